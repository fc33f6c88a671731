# Recorder: which frame is made next, and of what. One at a time; the frames themselves are FrameMaker's business.
from micropython import const
from wire import (
    EVENT_BOOT,
    EVENT_COMMAND_REFUSED,
    EVENT_JOURNAL_FULL,
    EVENTKEY_CAUSE,
    EVENTKEY_COUNT,
    MAX_EVENTS,
    MAX_MARKS,
)

_GATHER = const(1_000_000)  # us between event frames, so that a loose electrode costs no signature a beat
_RETRY = const(1_000_000)  # us until a frame is tried again that a full journal refused
# us that a frame may take to be made: no other is begun so shortly before one of data, but right after one, because
# there is no other time where frames are short
_TAKES = const(600_000)
_PARTS = const(64)


class Recorder:
    # streams: those of the descriptor, in order; scalars: Streams whose samples become single readings.
    # counters(): the map of a status frame. journal_full is reported once until a frame fits again. `step`: what is to
    # be done once a frame of data is made, when there is most room: a generator of slices, called with the ticks, that
    # returns the next step or None.
    step = None
    _after = True  # right after a frame of data that was made in time, or before the first

    def __init__(self, maker, control, streams, scalars, frame_us, status_us, counters):
        self.maker = maker
        self.control = control
        self.streams = streams
        self.scalars = scalars
        self.frame_us = frame_us
        self.status_us = status_us
        self.counters = counters
        self.due = 0
        self.events = []
        self.events_lost = 0
        self._data_due = frame_us
        self._events_due = 0
        self._status_due = 10_000_000
        self._retry = 0
        self._full = False
        self._contents = None
        self._part = 1  # a frame takes one part-th of its share where the whole does not fit into one

    def report(self, code, details, ticks):
        self.due = 0
        if len(self.events) >= 2 * MAX_EVENTS:
            self.events_lost += 1
        else:
            self.events.append((code, ticks, details))

    def begin(self, now, cause, contents):
        self._contents = contents
        self.report(EVENT_BOOT, self.maker.boot_details(cause), now)

    def next(self, now):
        # The job to do now, a generator of slices, or None; `due` is when to ask again.
        if now < self._retry:
            self.due = self._retry
            return None
        refused = self.control.take_refusals()
        if refused:
            self.report(EVENT_COMMAND_REFUSED, {EVENTKEY_CAUSE: refused[0], EVENTKEY_COUNT: refused[1]}, now)
        if self._contents:
            return self._describe(now)
        if now >= self._data_due:
            return self.data(now)
        self.due = self._data_due
        after = self._after
        self._after = False
        if after or now + _TAKES < self._data_due:
            # the rarer one first, so that neither keeps the other waiting
            if now >= self._status_due:
                return self._status(now)
            self.due = min(self.due, self._status_due)
            if self.events or self.maker.journal.dropped:
                if now >= self._events_due:
                    return self.tell(now)
                self.due = min(self.due, self._events_due)
        return None

    def _made(self, seq, now):
        # 0: the journal is full and may give nothing up
        if seq:
            self._full = False
            return True
        self._retry = now + _RETRY
        if not self._full:
            self._full = True
            self.report(EVENT_JOURNAL_FULL, {}, now)
        return False

    def _describe(self, now):
        # A descriptor that says what the journal's says already makes no frame.
        seq = yield from self.maker.describe(now, self._contents)
        if seq or self.maker.descriptor:
            self._contents = None
            self._data_due = now + self.frame_us
        else:
            self._made(0, now)

    def tell(self, now):
        rows = self.events[: MAX_EVENTS - 1]
        seq = yield from self.maker.events(now, rows)
        if self._made(seq, now):
            self.events = self.events[len(rows) :]
            self._events_due = now + _GATHER

    def data(self, now):
        marks = []
        scalars = []
        ticks = -1
        for s in self.streams:
            s.take(self._part)
            s.marks(marks)
            if s.count and ticks < 0:
                ticks = s.ticks
        for s in self.scalars:
            s.take(1)
            ring = s.ring
            for i in range(ring.tail, ring.tail + s.count):
                scalars.append((s.channel, ring.ticks_at(i, s.sensor.RATE), ring.data[0][ring.place(i)]))
        if ticks >= 0 or scalars:
            if len(marks) > MAX_MARKS:
                from merged import merged

                marks = merged(marks)
            try:
                seq = yield from self.maker.data(now if ticks < 0 else ticks, self.streams, marks, scalars)
            except (ValueError, IndexError):
                # too much for one frame: two of half the length follow
                if self._part == _PARTS:
                    raise
                self._part *= 2
                return
            if not self._made(seq, now):
                return
            for s in self.scalars:
                s.consume()
            if self._part > 1:
                self._part //= 2
                return
        late = now - self._data_due
        self._data_due += self.frame_us * (1 + late // self.frame_us)
        if not self.step and self.control.step:
            self.step = self.control.step
            self.control.step = None
        if self.step:
            self.step = yield from self.step(now)
        else:
            self._after = 4 * late < self.frame_us

    def _status(self, now):
        self._status_due = now + self.status_us
        yield from self.maker.status(now, self.counters(now))
