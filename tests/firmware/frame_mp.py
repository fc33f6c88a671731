"""Runs under MicroPython: a frame maker with real signer and journal, and streams whose blocks have any length asked.

Used by test_frame.py. `made` runs a maker to its end and prints the frame.
"""

import json
import sys

import cbor
import wire
from frame import FrameMaker
from hal.virtual_flash import FlashFile
from journal import Journal
from p256 import Signer

SIZE = 16 * wire.SECTOR_SIZE
path, key = sys.argv[1:3]


class Stream:
    """A readout of two channels with blocks of given length."""

    channels = 2

    def __init__(self, count, ticks, length):
        self.count = count
        self.ticks = ticks
        self.length = length
        self.consumed = 0

    def block(self, channel, buf, pos):
        """Write a block of the bytes 1, 2, 3, ... in coding `channel`."""
        yield ("viper", 1)
        pos = wire.put_varint(buf, pos, self.length << wire.CODING_BITS | channel)
        for i in range(self.length):
            buf[pos + i] = 1 + i & 255
        return pos + self.length

    def consume(self):
        """Take note that the samples are in a frame."""
        self.consumed += 1


def encoded(fields):
    """Return a map in CBOR."""
    buf = memoryview(bytearray(8192))
    return bytes(buf[: cbor.put(buf, 0, fields)])


def contents(name="vital-0001", x=bytes(32), y=bytes(32)):
    """Return a descriptor's map, in CBOR."""
    channels = [{0: n, 1: f"c{n}", 3: "1", 4: "part", 7: 16, 8: [1, -3]} for n in range(12)]
    point = {1: 2, -1: 1, -2: x, -3: y}
    return encoded({16: 1, 17: name, 18: point, 19: "virtual", 20: "0.1.0", 21: 1, 22: channels})


def boot(stop=False, utc=None):
    """Begin a life; returns the maker."""
    journal = Journal(FlashFile(path, 0, SIZE, lambda kind, n: None), stop)
    journal.mount()
    journal.begin()
    return FrameMaker(journal, Signer(bytes.fromhex(key)), lambda ticks: utc)


SECRET = bytes(range(32))
THUMBPRINT = bytes(range(32, 64))


def seal(maker, frames=4, us=1 << 40):
    """Let a maker seal."""
    from mac import hkdf
    from seal import Seal

    maker.seal = Seal(hkdf(SECRET, THUMBPRINT, wire.INFO_FRAME), frames, us)
    maker.journal.groups = True
    return maker


def hide(maker):
    """Let a maker keep private."""
    from mac import hkdf
    from private import Private

    maker.private = Private(hkdf(SECRET, THUMBPRINT, wire.INFO_PRIVATE, wire.CCM_KEY_SIZE))
    return maker


def made(maker, work):
    """Run a maker; print and return the seq, and the frame in hex."""
    work_done = {}
    try:
        while True:
            kind, n = next(work)
            work_done[kind] = max(work_done.get(kind, 0), n)
    except StopIteration as stop:
        seq = stop.value
    frame = bytes(maker.frame).hex() if seq else ""
    print(json.dumps({"seq": seq, "frame": frame, "work": work_done, "boot": maker.journal.boot}))
    return seq


def put(result):
    """Print a result."""
    print(json.dumps(result))


with open(path, "wb") as file:
    file.write(b"\xff" * SIZE)
