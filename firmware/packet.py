# Packets on a byte stream: COBS (Cheshire and Baker 1999) around header, body and CRC-32 (SPEC.md section 9).
# Bytes in, bytes out, in buffers of the caller; nothing here knows what a body says.
from array import array
from binascii import crc32
from struct import unpack_from

import micropython
from micropython import const
from wire import PACKET_HEADER, PACKET_HEADER_SIZE, PACKET_TRAILER, PACKET_TRAILER_SIZE, pack

_RUN = const(254)  # bytes that one code byte can stand in front of
_OVERHEAD = PACKET_HEADER_SIZE + PACKET_TRAILER_SIZE

# fields of a receiver's state
_LENGTH = const(0)  # bytes unstuffed so far
_LEFT = const(1)  # bytes until the next code byte
_ZERO = const(2)  # a zero is due before the next code byte's run
_BAD = const(3)  # 1: a code byte pointed past the end, 2: longer than the buffer


def gap(size):
    # Bytes that must stand free in front of a body of at most `size`, so that stuffing in place never overtakes
    # itself: the leading delimiter, one code byte and one more for each full run, and the header.
    return 2 + (size + _OVERHEAD) // _RUN + PACKET_HEADER_SIZE


def room(size):
    # Bytes of a buffer for bodies of at most `size`, the gap, the trailer and the last delimiter included.
    return gap(size) + size + PACKET_TRAILER_SIZE + 1


@micropython.viper
def _stuff(buf: ptr8, start: int, end: int) -> int:
    buf[0] = 0
    code = 1
    out = 2
    run = 1
    for i in range(start, end):
        if run == 255:
            buf[code] = 255
            code = out
            out += 1
            run = 1
        b = buf[i]
        if b == 0:
            buf[code] = run
            code = out
            run = 1
        else:
            buf[out] = b
            run += 1
        out += 1
    buf[code] = run
    buf[out] = 0
    return out + 1


def encode(buf, body, n, type, id):
    # buf[body:body+n] becomes a packet at buf[0:], delimiters included; returns its length. body is at least gap(n).
    start = body - PACKET_HEADER_SIZE
    pack(PACKET_HEADER, buf, start, type, id)
    pack(PACKET_TRAILER, buf, body + n, crc32(memoryview(buf)[start : body + n]))
    return _stuff(buf, start, body + n + PACKET_TRAILER_SIZE)


@micropython.viper
def _unstuff(state: ptr32, chunk: ptr8, start: int, end: int, out: ptr8, limit: int) -> int:
    length = state[0]
    left = state[1]
    zero = state[2]
    i = start
    while i < end:
        b = chunk[i]
        if b == 0:
            if left != 0:
                state[3] = 1
            break
        if left == 0:
            if zero != 0:
                if length < limit:
                    out[length] = 0
                    length += 1
                else:
                    state[3] = 2
            left = b - 1
            zero = 1
            if b == 255:
                zero = 0
        else:
            if length < limit:
                out[length] = b
                length += 1
            else:
                state[3] = 2
            left -= 1
        i += 1
    state[0] = length
    state[1] = left
    state[2] = zero
    return i


class Receiver:
    # One packet at a time, out of a stream of any bytes; its body is at most `size` long and stands in `body` while
    # take() says so. Everything else is dropped and counted in `bad`.
    def __init__(self, size):
        self._buf = memoryview(bytearray(size + _OVERHEAD))
        self._limit = size + _OVERHEAD
        self._state = array("i", (0, 0, 0, 0))
        self._begun = False
        self.type = 0
        self.id = 0
        self.body = None
        self.good = 0
        self.bad = 0
        self.fault = None  # why the last one was dropped

    def reset(self):
        # drop what was begun
        if self._begun:
            self.bad += 1
            self.fault = "truncated"
            self._clear()

    def _clear(self):
        state = self._state
        state[_LENGTH] = state[_LEFT] = state[_ZERO] = state[_BAD] = 0
        self._begun = False

    def take(self, chunk, start, end):
        # Read chunk[start:end] up to the end of a packet. Returns where to go on; `body` is None if none ended well.
        self.body = None
        if start >= end:
            return end
        stop = _unstuff(self._state, chunk, start, end, self._buf, self._limit)
        if stop > start:
            self._begun = True
        if stop < end:
            if self._begun:
                self._finish(self._state[_LENGTH], self._state[_BAD])
            stop += 1
        return stop

    def _finish(self, n, bad):
        buf = self._buf
        self._clear()
        if bad:
            self.fault = "cobs" if bad == 1 else "oversized"
        elif n < _OVERHEAD:
            self.fault = "truncated"
        else:
            end = n - PACKET_TRAILER_SIZE
            if unpack_from(PACKET_TRAILER, buf, end)[0] == crc32(buf[:end]):
                self.type, self.id = unpack_from(PACKET_HEADER, buf, 0)
                self.body = buf[PACKET_HEADER_SIZE:end]
                self.good += 1
                return
            self.fault = "crc"
        self.bad += 1
