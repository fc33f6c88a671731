# Runs under MicroPython: the firmware's frame maker, codec, journal and signer make the frames of two boots. Used by
# made.py. Arguments: the flash file, and a JSON file of {"key": {x, y, d}, "samples": for each stream its channels}.
# Prints each frame in hex, a line each.
import json
import sys
from array import array

import cbor
import wire
from codec import Encoder
from frame import FrameMaker
from hal.virtual_flash import FlashFile
from journal import Journal
from p256 import Signer, run

SIZE = 16 * wire.SECTOR_SIZE
BITS = (18, 16)  # of the two streams
PART = 100  # samples in a frame


class Readout:
    """Some samples of a stream, as the frame maker asks for them."""

    def __init__(self, channels, start, ticks, bits):
        self.all = [array("i", channel) for channel in channels]
        self.channels = len(channels)
        self.start = start
        self.count = max(0, min(PART, len(channels[0]) - start))
        self.ticks = ticks
        self.bits = bits

    def block(self, channel, buf, pos):
        """Write a block; return the position behind it."""
        yield ("long", 0)
        return Encoder(PART).encode(self.all[channel], self.start, self.count, self.bits, buf, pos)

    def consume(self):
        """Nobody else has these samples."""


def contents(key, shape):
    """Return the descriptor's map for streams of so many channels, in CBOR."""
    channels = []
    for stream, count in enumerate(shape):
        for _ in range(count):
            n = len(channels)
            channels.append({0: n, 1: f"c{n}", 3: "1", 4: "part", 5: stream, 6: [100, 1], 7: BITS[stream], 8: [1, -3]})
    channels.append({0: len(channels), 1: "battery", 2: 67996, 3: "%", 4: "ADC", 7: 8, 8: [1, 0]})
    public = {1: 2, -1: 1, -2: bytes.fromhex(key["x"]), -3: bytes.fromhex(key["y"])}
    buf = memoryview(bytearray(2048))
    fields = {16: 1, 17: "vital-0001", 18: public, 19: "virtual", 20: "0.1.0", 21: 1, 22: channels}
    return bytes(buf[: cbor.put(buf, 0, fields)])


def boot(path, given, part):
    """Make the frames of one boot, with the samples from `part` on."""
    journal = Journal(FlashFile(path, 0, SIZE, lambda kind, n: None))
    journal.mount()
    journal.begin()
    utc = (1767225600000000, 12) if journal.boot > 1 else None
    maker = FrameMaker(journal, Signer(bytes.fromhex(given["key"]["d"])), lambda ticks: utc)
    streams = given["samples"]

    def make(work):
        if run(work):
            print(bytes(maker.frame).hex())

    make(maker.describe(0, contents(given["key"], [len(each) for each in streams])))
    make(maker.events(1000, [(wire.EVENT_BOOT, 10, maker.boot_details(wire.CAUSE_POWER_ON))]))
    for n in range(part, part + 3):
        ticks = 2000000 * (n + 1)
        readouts = [Readout(each, PART * n, ticks - 777 * i, BITS[i]) for i, each in enumerate(streams)]
        last = sum([len(each) for each in streams])
        make(maker.data(ticks, readouts, [(0, wire.MARK_LEAD_OFF, 5, 9)], [(last, ticks - 5000, 87)]))
    make(maker.status(ticks + 1, {wire.COUNTER_UPTIME_S: 7, wire.COUNTER_HEAP_FREE: 1 << 20}))


def main(path, cases):
    """Make the frames of two boots."""
    with open(cases) as file:
        given = json.load(file)
    with open(path, "wb") as file:
        file.write(b"\xff" * SIZE)
    boot(path, given, 0)
    boot(path, given, 3)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
