# Frames: built in one buffer, signed and made durable, one at a time; the chain allows no other order. Every maker is a
# generator of slices (at most about 10 ms on the chip), each yielded as (kind of work, units), and returns the frame's
# seq, or 0 if the journal is full and may drop nothing; then no number was used. ValueError or IndexError: too much for
# one frame, and nothing was used either. Nobody may send a frame before its maker has returned.
# All ticks given are absolute. Knows no sensor, no policy and no link.
from hashlib import sha256

from cbor import ARRAY, BYTES, MAP, Reader, put, put_bytes, put_head, put_int
from cose import PAYLOAD, TAIL, mac0, sign1_digest, sign1_end, sign1_start
from micropython import const
from records import MAX_KEPT
from wire import (
    AAD_FRAME,
    DIGEST_SIZE,
    EVENT_DROPPED,
    EVENTKEY_CAUSE,
    EVENTKEY_DIGEST,
    EVENTKEY_FIRST,
    EVENTKEY_LAST,
    EVENTKEY_PREV,
    KEY_BLOCKS,
    KEY_BOOT,
    KEY_COUNTERS,
    KEY_DESCRIPTOR,
    KEY_EVENTS,
    KEY_KIND,
    KEY_MARKS,
    KEY_PREV,
    KEY_SCALARS,
    KEY_SEQ,
    KEY_TICKS,
    KEY_UTC,
    KEY_UTC_ACCURACY,
    KIND_DATA,
    KIND_DESCRIPTOR,
    KIND_EVENT,
    KIND_STATUS,
    MAX_EVENTS,
    MAX_MARKS,
    MAX_SCALARS,
    PREV_SIZE,
    RECORD_DESCRIPTOR,
    RECORD_FRAME,
    put_varint,
    put_zigzag,
)

_SPARE = const(3)  # sectors a full journal that may drop nothing keeps for everything but data
_BLOCKS_HEAD = const(3)  # bytes reserved in front of the blocks, which are seldom fewer than 256


def prev_of(frame):
    # PREV of a frame of which at least the first 64 bytes are given
    reader = Reader(frame, PAYLOAD - 3)
    for _ in range(9):  # heads: payload, map, three keys with integers, PREV
        reader.head()
    return bytes(reader.data())[:PREV_SIZE]


class FrameMaker:
    # signer.sign(digest) is a generator of multiplications done that returns the signature; utc(ticks) is
    # (utc, accuracy) or None; no frame is longer than `size`. `frame` is the last one made, until the next is begun.
    def __init__(self, journal, signer, utc, size=MAX_KEPT):
        self.journal = journal
        self.signer = signer
        self.utc = utc
        self.seal = self.private = None  # a Seal, a Private: boot.py puts in what the policy asks for
        self.descriptor = None  # its digest, once describe() has returned
        self.frame = None
        self._all = memoryview(bytearray(size))
        self._busy = False

    # ------------------------------------------------------------ the four kinds

    def describe(self, ticks, contents):
        # A descriptor of these fields, a CBOR map of fewer than 24; 0 if the one in the journal still says the same.
        if self._busy:
            raise RuntimeError("frame")
        # they are the last thing in front of its signature
        buf = self._all
        size = self.journal.read_descriptor(buf)
        end = size - TAIL
        fields = memoryview(contents)[1:]
        if end > len(fields) and buf[end - len(fields) : end] == fields:
            self.descriptor = sha256(buf[:size]).digest()[:DIGEST_SIZE]
            return 0
        seq = yield from self._make(KIND_DESCRIPTOR, ticks, contents[0] & 31, self._fields, fields, _SPARE)
        if seq:
            self.descriptor = self.journal.prev[:DIGEST_SIZE]
        return seq

    def data(self, ticks, readouts, marks=(), scalars=()):
        # readouts: for each stream of the descriptor an object with count, ticks, channels and
        # block(channel, buf, pos), a generator of slices that writes a block and returns the position behind it.
        # marks: (channel, mark, start, length). scalars: (channel, ticks, counts). Once it is sure that there will be
        # a frame, consume() tells each of the readouts.
        # ticks: those of the first readout that has samples.
        if len(marks) > MAX_MARKS or len(scalars) > MAX_SCALARS:
            raise ValueError("items")
        entries = bool(readouts) + bool(marks) + bool(scalars)
        content = (ticks, readouts, marks, scalars)
        return (yield from self._make(KIND_DATA, ticks, entries, self._content, content, _SPARE + 1))

    def events(self, ticks, events):
        # events: (code, ticks, details). What the journal has dropped is declared besides.
        dropped = self.journal.dropped
        if len(events) + bool(dropped) > MAX_EVENTS:
            raise ValueError("items")
        declares = 0
        rows = [(code, at - ticks, details) for code, at, details in events]
        if dropped:
            first, declares, prev, digest = dropped
            details = {EVENTKEY_FIRST: first, EVENTKEY_LAST: declares, EVENTKEY_PREV: prev, EVENTKEY_DIGEST: digest}
            rows.append((EVENT_DROPPED, 0, details))
        return (yield from self._make(KIND_EVENT, ticks, 1, self._event_rows, rows, _SPARE, declares))

    def status(self, ticks, counters):
        return (yield from self._make(KIND_STATUS, ticks, 1, self._counters, counters, _SPARE))

    def boot_details(self, cause):
        # of the boot event
        details = {EVENTKEY_CAUSE: cause}
        burned = self.journal.burned
        if burned:
            details[EVENTKEY_FIRST], details[EVENTKEY_LAST], details[EVENTKEY_DIGEST] = burned
        return details

    # ------------------------------------------------------------ what is in them

    def _fields(self, buf, pos, fields):
        end = pos + len(fields)
        buf[pos:end] = fields
        yield ("bytecode", 50)
        return end

    def _counters(self, buf, pos, counters):
        pos = put_head(buf, put_int(buf, pos, KEY_COUNTERS), MAP, len(counters))
        for key in sorted(counters):
            pos = put_int(buf, put_int(buf, pos, key), counters[key])
            yield ("bytecode", 60)
        return pos

    def _rows(self, buf, pos, key, rows):
        pos = put_head(buf, put_int(buf, pos, key), ARRAY, len(rows))
        for row in rows:
            pos = put(buf, pos, row)
            yield ("bytecode", 150)
        return pos

    def _event_rows(self, buf, pos, rows):
        return (yield from self._rows(buf, pos, KEY_EVENTS, rows))

    def _content(self, buf, pos, content):
        ticks, readouts, marks, scalars = content
        if readouts:
            pos = yield from self._blocks(buf, put_int(buf, pos, KEY_BLOCKS), ticks, readouts)
        if marks:
            pos = yield from self._rows(buf, pos, KEY_MARKS, marks)
        if scalars:
            scalars = [(channel, at - ticks, counts) for channel, at, counts in scalars]
            pos = yield from self._rows(buf, pos, KEY_SCALARS, scalars)
        return pos

    def _blocks(self, buf, head, ticks, readouts):
        pos = start = head + _BLOCKS_HEAD
        first = True
        for readout in readouts:
            pos = put_varint(buf, pos, readout.count)
            if not readout.count:
                continue
            if not first:
                pos = put_zigzag(buf, pos, readout.ticks - ticks)
            elif readout.ticks != ticks:
                raise ValueError("ticks")
            first = False
            ticks = readout.ticks
            for channel in range(readout.channels):
                pos = yield from readout.block(channel, buf, pos)
        n = pos - start
        pos = put_head(buf, head, BYTES, n)
        if pos != start:
            buf[pos : pos + n] = buf[start : start + n]
        return pos + n

    # ------------------------------------------------------------ how one is made

    def _make(self, kind, ticks, entries, fill, content, spare, declares=0):
        if self._busy or (self.descriptor is None and kind != KIND_DESCRIPTOR):
            raise RuntimeError("frame")
        self._busy = True
        journal = self.journal
        self.frame = None
        buf = self._all[:-TAIL]
        seal = self.seal
        private = self.private
        readouts = content[1] if kind == KIND_DATA else ()
        try:
            if private and (kind == KIND_DATA or kind == KIND_EVENT):
                fill, content, entries = private.wrap(kind, fill, content, entries)
            utc = self.utc(ticks)
            pos = put_head(buf, PAYLOAD, MAP, 5 + (kind != KIND_DESCRIPTOR) + (2 if utc else 0) + entries)
            pos = put_int(buf, put_int(buf, pos, KEY_KIND), kind)
            pos = put_int(buf, put_int(buf, pos, KEY_BOOT), journal.boot)
            pos = put_int(buf, put_int(buf, pos, KEY_SEQ), journal.next)
            pos = put_bytes(buf, put_int(buf, pos, KEY_PREV), journal.prev)
            if kind != KIND_DESCRIPTOR:
                pos = put_bytes(buf, put_int(buf, pos, KEY_DESCRIPTOR), self.descriptor)
            pos = put_int(buf, put_int(buf, pos, KEY_TICKS), ticks)
            if utc:
                pos = put_int(buf, put_int(buf, pos, KEY_UTC), utc[0])
                pos = put_int(buf, put_int(buf, pos, KEY_UTC_ACCURACY), utc[1])
            yield ("bytecode", 400)
            pos = yield from fill(buf, pos, content)
        except:
            self._busy = False
            raise
        buf = self._all
        if not journal.fits(pos + TAIL, spare):
            self._busy = False
            return 0
        # from here on the number counts as used: nothing else must ever be signed, MACed or encrypted under it
        for readout in readouts:
            readout.consume()
        if private:
            yield from private.conceal(buf, journal.boot, journal.next)
        yield ("bytecode", 250)
        if seal and seal.macs(kind, ticks, declares):
            end = mac0(buf, pos, seal.key, AAD_FRAME)
            yield ("sha", end >> 6)
            yield ("bytecode", 500)
        else:
            end = sign1_start(buf, pos)
            digest = sign1_digest(buf, end, AAD_FRAME)
            yield ("sha", end >> 6)
            steps = self.signer.sign(digest)
            while True:
                try:
                    n = next(steps)
                except StopIteration as stop:
                    end = sign1_end(buf, end, stop.value)
                    break
                yield ("modmul", n)
        seq = journal.next
        frame = buf[:end]
        yield from journal.append(frame, RECORD_DESCRIPTOR if kind == KIND_DESCRIPTOR else RECORD_FRAME, declares)
        self.frame = frame
        self._busy = False
        return seq
