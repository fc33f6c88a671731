# Runs under MicroPython: the device's own link, control, clock and journal, moved by lines on stdin, so that time and
# the stream are the test's. "s NOW HEX" gives it bytes and time, "x CODE" runs code; each is answered by one line.
import gc
import sys
from binascii import crc32, hexlify, unhexlify

import wire
from cbor import put
from clock import Clock
from control import Control
from cose import PAYLOAD, sign1_end, sign1_start
from journal import Journal
from link import Link


class Flash:
    def __init__(self, sectors):
        self.data = bytearray(b"\xff" * (4096 * sectors))

    def readblocks(self, n, buf, offset=0):
        at = 4096 * n + offset
        buf[:] = memoryview(self.data)[at : at + len(buf)]

    def writeblocks(self, n, buf, offset):
        at = 4096 * n + offset
        for i in range(len(buf)):
            self.data[at + i] &= buf[i]

    def ioctl(self, op, n):
        if op == 4:
            return len(self.data) // 4096
        if op == 5:
            return 4096
        self.data[4096 * n : 4096 * n + 4096] = b"\xff" * 4096
        return 0


class Stream:
    session = 0

    def __init__(self):
        self.coming = b""
        self.left = bytearray()
        self.space = 1 << 30  # bytes it will still take

    def readinto(self, buf):
        n = min(len(buf), len(self.coming))
        buf[:n] = self.coming[:n]
        self.coming = self.coming[n:]
        return n

    def write(self, buf, n):
        n = min(n, self.space)
        self.space -= n
        self.left += bytes(buf[:n])
        return n


class Board:
    def __init__(self, thumbprint, secret, sectors=64, **link):
        self.thumbprint = thumbprint
        self.secret = secret
        self.options = link
        self.flash = Flash(sectors)
        self.now = 0
        self.started = 0  # `now` of this boot
        self.asked = []  # what the app was asked
        self.steps = []  # the time set
        self.work = {}  # the most that one slice said it did, by kind
        self.announced = False  # the next slice may be long
        self.boot(b"\1" * 8)

    def boot(self, nonce):
        self.started = self.now
        self.journal = Journal(self.flash)
        self.journal.mount()
        boot = self.journal.begin()
        self.clock = Clock(lambda: self.now - self.started, self.stepped)
        actions = {
            wire.COMMAND_STOP: lambda ids, off: self.switch("stop" if off else "start", ids),
            wire.COMMAND_REBOOT: lambda _: self.asked.append(("reboot", None)),
        }
        texts = ("1.0", "virtual", "bench")
        self.control = Control(self.thumbprint, texts, self.secret, boot, nonce, self.clock, self.journal, actions)
        self.links = []
        self.on(0)

    def on(self, number):
        # from now on this link is the one that runs and has the bytes
        while len(self.links) <= number:
            self.links.append(Link(Stream(), self.journal, self.control, **self.options))
        self.link = self.links[number]
        self.stream = self.link.stream

    def stepped(self, utc, accuracy):
        self.steps.append((utc, accuracy))

    def switch(self, what, ids):
        if max(ids) > 7:
            return False
        self.asked.append((what, ids))
        return True

    def frame(self, size=0, type=wire.RECORD_FRAME):
        # a frame in everything but its signature, with `size` bytes of filler; returns its seq
        journal = self.journal
        frame = memoryview(bytearray(wire.MAX_FRAME))
        keys = {
            wire.KEY_KIND: wire.KIND_DATA,
            wire.KEY_BOOT: journal.boot,
            wire.KEY_SEQ: journal.next,
            wire.KEY_PREV: journal.prev,
            wire.KEY_BLOCKS: bytes((journal.next + i) & 255 for i in range(size)),
        }
        end = sign1_start(frame, put(frame, PAYLOAD, keys))
        frame = frame[: sign1_end(frame, end, bytes(64))]
        for _ in journal.append(frame, type):
            pass
        return journal.newest

    def read(self, seq):
        buf = memoryview(bytearray(wire.MAX_FRAME))
        return hexlify(buf[: self.journal.read(seq, buf)]).decode()

    def unacked(self):
        seqs = []
        seq = self.journal.next_unacked(0)
        while seq:
            seqs.append(seq)
            seq = self.journal.next_unacked(seq)
        return seqs

    def run(self, now, data):
        self.now = now
        self.stream.coming += data
        idle = 0
        while idle < 2:
            work = self.link.step(now)
            if work:
                idle = 0
                kind = "announced" if self.announced else work[0]
                self.work[kind] = max(self.work.get(kind, 0), work[1])
                self.announced = work[0] == "long"
            else:
                idle += 1
            if not self.stream.space and self.link._end:
                break
        data = bytes(self.stream.left)
        self.stream.left = bytearray()
        return data


def flood(rounds):  # noqa: D103
    # Random packets, as like to good ones as they can be without the key; returns the bytes allocated at the end.
    x = 12345
    for n in range(rounds):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        body = bytes(x >> (i & 15) & 255 for i in range(x >> 12 & 127))
        raw = bytes((wire.PACKETTYPE_COMMAND, n & 255)) + STARTS[x >> 8 & 3] + body
        raw += crc32(raw).to_bytes(4, "little")
        out = bytearray()
        for part in raw.split(b"\0"):
            out.append(min(len(part) + 1, 255))
            out += part
        if x >> 10 & 3 == 0:
            out[x % len(out)] ^= 4
        board.run(n * 1000, bytes(out) + b"\0")
    gc.collect()
    return gc.mem_alloc()


STARTS = (b"", b"\xa1\x01", b"\xd1\x84\x43\xa1\x01\x05\xa0\x58", b"\xa2\x01\x02")
board = None


def main():  # noqa: D103
    names = globals()
    while True:
        line = sys.stdin.readline()
        if not line:
            break
        kind, rest = line[:-1].split(" ", 1)
        if kind == "s":
            now, data = rest.split(" ")
            print(hexlify(board.run(int(now), unhexlify(data))).decode())
        else:
            try:
                print(repr(eval(rest, names)))
            except SyntaxError:
                exec(rest, names)
                print("None")


if __name__ == "__main__":
    main()
