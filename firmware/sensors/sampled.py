# Sampled: a sensor that keeps one sample only. A handler takes each when it is ready, between two bytecodes of whatever
# the board does; the loop reads them from here as from a chip's FIFO.
#
# What a handler cannot interrupt (flash, a compiled function, a collection) it waits for. A sample that is overwritten
# meanwhile is lost, and declared: its number is the clock's estimate. A driver calls slot() with the microseconds since
# the last call, then put() or fail(). `source` calls the handler; it comes from the hardware, see wiring.py.
from array import array

from micropython import const
from ring import ALL
from wire import MARK_LEAD_OFF

from sensors import Sensor

_DEPTH = const(64)  # a power of two
_SKIPS = const(32767)  # as many as a ring ever holds


class Sampled(Sensor):
    INTERVAL = 60000

    def __init__(self, source):
        super().__init__(None)
        self.source = source
        self.period = 1000000 * self.RATE[1] // self.RATE[0]
        self.queue = array("i", bytes(4 * _DEPTH * len(self.CHANNELS)))
        self.skips = array("h", bytes(2 * _DEPTH))  # samples lost before this one
        self.off = bytearray(_DEPTH)  # whether an electrode was off
        self.head = self.tail = self.skip = self.pending = self.at = 0
        self.rail = False

    # To be the last step of setup(): samples come from now on.
    def begin(self, handler):
        self.source.stop()
        self.head = self.tail = self.skip = 0
        self.at = self.period // 8
        self.source.start(handler)
        return 0

    # Where to put the sample now ready, -1 for none. The place of a call within its period tells a late one from a
    # missed one: the earliest are taken to be on time, an eighth into it, and a slower chip is followed by and by.
    def slot(self, elapsed):
        period = self.period
        at = self.at + elapsed
        n = at // period
        self.at = at = at - n * period
        if not n:
            return -1
        early = at - period // 8
        self.at -= early if early < 0 else early >> 4
        self.pending = min(self.skip + n - 1, _SKIPS)
        i = self.head
        if (i - self.tail) & (_DEPTH - 1) == _DEPTH - 1:
            self.fail()
            return -1
        return i

    def put(self, i, off):
        self.off[i] = off
        self.skips[i] = self.pending
        self.skip = 0
        self.head = (i + 1) & (_DEPTH - 1)

    def fail(self):
        self.skip = min(self.pending + 1, _SKIPS)

    def burst(self, ring, now):
        start = ring.head
        self.next = now + self.INTERVAL
        while True:  # a sample may come in the midst
            head = self.head
            at = self.source.newest() - self.at + self.period // 8
            if head == self.head:
                break
        tail = self.tail
        width = len(ring.data)
        while tail != head and ring.space():
            lost = self.skips[tail]
            if lost:
                self.skips[tail] = 0
                self.drop(ring, lost, True)
                continue
            place = ring.place(ring.head)
            for channel in range(width):
                ring.data[channel][place] = self.queue[width * tail + channel]
            if self.off[tail]:
                ring.mark(ALL, MARK_LEAD_OFF, ring.head, 1)
            self.lead_off = bool(self.off[tail])
            ring.head += 1
            self.tail = tail = (tail + 1) & (_DEPTH - 1)
        if ring.head == start:
            if not ring.space():
                self.ok = now  # a full ring is no fault of the chip's
        elif tail == head:
            ring.stamp(at, ring.head - 1)
        if self.rail:
            self.rail = False
            self.saturated(ring, start, self.LOW, self.HIGH)
        return ring.head - start
