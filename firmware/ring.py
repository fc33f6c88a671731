# Ring: the samples of one sensor between its driver and the block encoder. Knows no chip, no frame and no clock.
#
# One array of `size` per channel: 'h' where a sample has 16 bits at most, else 'i'. Sample indices run from `tail`
# (oldest held, below `size`) to `head` (next to come) and wrap in the arrays as place() says. Index and time stay
# linear: what a sensor lost is filled in by `lose`.
# Sample `index` was ready in the sensor at `ticks` (-1: not yet known).
# `marks` holds `runs` runs of four integers: channel (or ALL), mark code, first index, length.
from array import array

from micropython import const

ALL = const(-1)
_RUNS = const(8)


class Ring:
    def __init__(self, channels, capacity, bits=32):
        code, size = ("i", 4) if bits > 16 else ("h", 2)
        self.data = tuple([array(code, bytes(size * capacity)) for _ in range(channels)])
        self.size = capacity
        self.marks = array("i", bytes(16 * _RUNS))
        self.clear()

    def clear(self):
        self.head = self.tail = self.runs = self.index = 0
        self.ticks = -1

    def space(self):
        return self.size - self.head + self.tail

    def place(self, index):
        return index if index < self.size else index - self.size

    def stamp(self, ticks, index):
        self.ticks = ticks
        self.index = index

    # Ticks of any index, by the sensor's nominal rate (numerator, denominator) in Hz from the nearest stamp.
    def ticks_at(self, index, rate):
        return self.ticks + (index - self.index) * 1000000 * rate[1] // rate[0]

    def mark(self, channel, code, start, length):
        marks = self.marks
        wide = -1
        for i in range(0, 4 * self.runs, 4):
            if marks[i + 1] != code:
                continue
            if marks[i] == channel and marks[i + 2] + marks[i + 3] >= start:
                marks[i + 3] = start + length - marks[i + 2]
                return
            wide = i
        if self.runs < _RUNS:
            i = 4 * self.runs
            self.runs += 1
            marks[i] = channel
            marks[i + 1] = code
            marks[i + 2] = start
        else:
            # A full table widens a run over good samples rather than let a bad one pass as good.
            i = wide if wide >= 0 else 4 * _RUNS - 4
            if marks[i] != channel:
                marks[i] = ALL
        marks[i + 3] = start + length - marks[i + 2]

    # Fill the place of n lost samples with the last value and mark them; n at most space().
    def lose(self, n, code):
        head = self.head
        for samples in self.data:
            last = samples[self.place(head - 1)] if head else samples[-1]
            for i in range(head, head + n):
                samples[self.place(i)] = last
        self.mark(ALL, code, head, n)
        self.head = head + n

    def consume(self, n):
        tail = self.tail = self.tail + n
        shift = self.size if tail >= self.size else 0
        marks = self.marks
        kept = 0
        for i in range(0, 4 * self.runs, 4):
            end = marks[i + 2] + marks[i + 3]
            if end > tail:
                start = max(marks[i + 2], tail)
                marks[kept] = marks[i]
                marks[kept + 1] = marks[i + 1]
                marks[kept + 2] = start - shift
                marks[kept + 3] = end - start
                kept += 4
        self.runs = kept >> 2
        self.tail -= shift
        self.head -= shift
        self.index -= shift
