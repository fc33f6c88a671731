# What every sensor driver is. A driver knows one chip's registers and nothing of frames, pins or clocks: bus, chip
# select and interrupt line come in through its constructor, time comes in as ticks (microseconds, 64 bit).
#
#   PART        name of the chip                    CHANNELS   names of the channel table, in the order of ring.data
#   BITS        of a sample                         RATE       (numerator, denominator) in Hz, nominal
#   SCALE       (mantissa, exponent): value = counts * mantissa * 10**exponent in the channel's UCUM unit
#   start(now)  probe and configure, one step a call: ticks at which to call again, or 0 when it samples.
#               OSError: nothing answers; SensorError(fault): a wrong or dead chip. The next call starts afresh.
#   due(now)    ticks at which to read: in the past once the chip's interrupt came, and before half its FIFO is full
#   read(ring, now)  after due(now): one burst from the FIFO into the ring; returns the samples added, allocates none.
#               SensorError(fault): flush the ring, clear it and start() again, soon at first, later less often.
#   lost, estimated  samples lost since the caller last cleared them; whether their number is the clock's guess
#   lead_off    whether the electrodes were off at the last readout
#
# SensorError(0) is no fault of the chip: more was lost than the ring holds, so its samples before and after cannot
# stand in one block.
from wire import FAULT_BUS, FAULT_WEDGED, MARK_ESTIMATED, MARK_LOST, MARK_SATURATED


class SensorError(Exception):
    pass


class Sensor:
    DELAY = 0  # microseconds from the interrupt to the time of reading
    PATIENCE = 500000  # microseconds without a sample after which a chip counts as dead
    WAKES = True  # whether the board has to wake when the interrupt comes; else any time before due() will do
    EARLY = 0  # microseconds before it is due that it is read instead, `early` set, if something long comes next

    lead_off = early = False  # a driver that sets these has them from the first: reading allocates nothing

    def __init__(self, irq):
        self.irq = irq
        self.step = self.lost = self.ok = self.next = self.quiet = 0
        self.estimated = False
        self.edge = -1

    def start(self, now):
        step = self.step
        self.step = 0
        wait = self.setup(step)
        if wait:
            self.step = step + 1
            return now + wait
        self.ok = now
        self.next = now + self.INTERVAL
        self.quiet = 0
        if self.irq:
            self.irq.take()
        self.edge = -1
        return 0

    def due(self, now):
        if self.edge < 0 and self.irq:
            self.edge = self.irq.take()
            if self.edge >= 0:
                self.next = self.edge + self.DELAY
        return self.next

    def read(self, ring, now):
        try:
            n = self.burst(ring, now)
        except OSError:
            if now - self.ok > self.PATIENCE:
                raise SensorError(FAULT_BUS)
            self.next = now + 5000
            return 0
        if n:
            self.ok = now
        elif now - self.ok > self.PATIENCE:
            raise SensorError(FAULT_WEDGED)
        return n

    # The interrupt came at self.edge, when sample `index` was ready; `newest` was the last one ready at `now`.
    def stamp(self, ring, index, now, newest):
        if self.edge >= 0:
            ring.stamp(self.edge, index)
            self.quiet = 0
        else:
            self.quiet += 1
            if ring.ticks < 0 or not self.irq or self.quiet > 2:
                ring.stamp(now, newest)
            if self.irq and self.quiet > 20:
                # The line is dead: this chip is polled from its next start on.
                self.irq = None
                raise SensorError(FAULT_WEDGED)
        self.edge = -1

    # How many samples there should be beyond head + n by the clock.
    def missing(self, ring, now, n):
        if ring.ticks < 0:
            return 1
        newest = ring.index + (now - ring.ticks) * self.RATE[0] // (self.RATE[1] * 1000000)
        return max(newest + 1 - ring.head - n, 1)

    def drop(self, ring, n, estimated):
        self.lost += n
        self.estimated = self.estimated or estimated  # | would make a number of it
        if n > ring.space():
            raise SensorError(0)
        ring.lose(n, MARK_ESTIMATED if estimated else MARK_LOST)

    # Mark the runs of samples at a rail; called only when the burst met one.
    def saturated(self, ring, start, low, high):
        for channel in range(len(ring.data)):
            samples = ring.data[channel]
            for i in range(start, ring.head):
                v = samples[ring.place(i)]
                if v <= low or v >= high:
                    ring.mark(channel, MARK_SATURATED, i, 1)
