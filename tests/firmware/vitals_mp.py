# Runs under MicroPython: estimates of signals that pass through rings as a board's do. Arguments: seconds, then for
# each channel its name, rate, bits and a file of 32-bit samples; channels of one rate share a sensor. Prints a line a
# second: what is estimated then.
import sys
from array import array

from ring import Ring
from vitals import Vitals


class Sensor:
    def __init__(self, names, rate, bits):
        self.CHANNELS = names
        self.RATE = (rate, 1)
        self.BITS = bits


class Stream:
    up = True

    def __init__(self, rows):
        self.sensor = Sensor([row[0] for row in rows], int(rows[0][1]), int(rows[0][2]))
        self.ring = Ring(len(rows), int(rows[0][1]) * 2 + 60, int(rows[0][2]))
        self.signals = []
        for row in rows:
            with open(row[3], "rb") as f:
                self.signals.append(array("i", f.read()))
        self.at = 0

    def pass_on(self, count):
        ring = self.ring
        for _ in range(count):
            for channel in range(len(ring.data)):
                signal = self.signals[channel]
                ring.data[channel][ring.place(ring.head)] = signal[self.at % len(signal)]
            ring.head += 1
            self.at += 1
        while ring.head - ring.tail > 2 * self.sensor.RATE[0]:
            ring.consume(2 * self.sensor.RATE[0])


class App:
    now = 0

    def __init__(self, streams):
        self.hal = self
        self.streams = streams

    def ticks(self):
        return self.now


rows = [sys.argv[i : i + 4] for i in range(2, len(sys.argv), 4)]
streams = [Stream([row for row in rows if row[1] == rate]) for rate in sorted({row[1] for row in rows})]
app = App(streams)
vitals = Vitals(app, None, None)
for tenth in range(10 * int(sys.argv[1])):
    for stream in streams:
        stream.pass_on((tenth + 1) * stream.sensor.RATE[0] // 10 - tenth * stream.sensor.RATE[0] // 10)
    app.now += 100_000
    vitals.step()
    if tenth % 10 == 9:
        print((vitals.heart, vitals.pulse, vitals.spo2))
