# Recorder: which frame is made next, and of what. One at a time; the frames themselves are FrameMaker's business.
from micropython import const
from ring import ALL
from wire import (
    CHANNELKEY_BITS,
    CHANNELKEY_ID,
    CHANNELKEY_MDC,
    CHANNELKEY_NAME,
    CHANNELKEY_PART,
    CHANNELKEY_RATE,
    CHANNELKEY_SCALE,
    CHANNELKEY_STREAM,
    CHANNELKEY_UNIT,
    EVENT_BOOT,
    EVENT_COMMAND_REFUSED,
    EVENT_JOURNAL_FULL,
    EVENTKEY_CAUSE,
    EVENTKEY_COUNT,
    MAX_EVENTS,
    MAX_MARKS,
    SIGNALS,
)

_GATHER = const(1_000_000)  # us between event frames, so that a loose electrode costs no signature a beat
_RETRY = const(1_000_000)  # us until a frame is tried again that a full journal refused


class Readout:
    # What FrameMaker.data wants to know of a stream: the samples its ring holds now, of each channel a block.
    def __init__(self, stream, encoder):
        self.stream = stream
        self.encoder = encoder
        self.channels = len(stream.sensor.CHANNELS)
        self.count = self.ticks = 0

    def take(self, most):
        # Up to the sample whose time is known for sure; all that is left once the sensor is down.
        ring = self.stream.ring
        self.count = n = min(ring.ready() if self.stream.up else ring.head - ring.tail, most)
        if n:
            self.ticks = ring.ticks_at(ring.tail + n - 1, self.stream.sensor.RATE)

    def block(self, channel, buf, pos):
        ring = self.stream.ring
        yield ("long", 0)
        pos = self.encoder.encode(
            ring.data[channel], ring.tail & ring.mask, self.count, self.stream.sensor.BITS, buf, pos
        )
        yield ("viper", self.encoder.steps(self.count))
        return pos

    def marks(self, rows):
        # add (channel id, mark, start, length) of the samples taken
        ring = self.stream.ring
        marks = ring.marks
        for i in range(0, 4 * ring.runs, 4):
            start = max(marks[i + 2] - ring.tail, 0)
            end = min(marks[i + 2] + marks[i + 3] - ring.tail, self.count)
            if end > start:
                first = 0 if marks[i] == ALL else marks[i]
                last = self.channels if marks[i] == ALL else first + 1
                for channel in range(first, last):
                    rows.append((self.stream.channel + channel, marks[i + 1], start, end - start))


class Recorder:
    # streams: those of the descriptor, in order; scalars: Streams whose samples become single readings.
    # counters(): the map of a status frame. journal_full is reported once until a frame fits again.
    def __init__(self, maker, control, streams, scalars, encoder, config, most, counters):
        self.maker = maker
        self.control = control
        self.streams = streams
        self.scalars = scalars
        self.readouts = [Readout(s, encoder) for s in streams]
        self.counters = counters
        self.most = most
        self.frame_us = config.frame_ms * 1000
        self.status_us = config.status_s * 1_000_000
        self.due = 0
        self._data_due = self.frame_us
        self.events = []
        self.events_lost = 0
        self._events_due = 0
        self._status_due = 10_000_000
        self._retry = 0
        self._full = False
        self._contents = None

    def report(self, code, details, ticks):
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
        if (self.events or self.maker.journal.dropped) and now >= self._events_due:
            return self._tell(now)
        if now >= self._data_due:
            return self._data(now)
        if now >= self._status_due:
            return self._status(now)
        self.due = min(self._data_due, self._status_due)
        if self.events:
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

    def _tell(self, now):
        rows = self.events[: MAX_EVENTS - 1]
        seq = yield from self.maker.events(now, rows)
        if self._made(seq, now):
            self.events = self.events[len(rows) :]
            self._events_due = now + _GATHER

    def _data(self, now):
        self._data_due += self.frame_us * (1 + (now - self._data_due) // self.frame_us)
        marks = []
        ticks = -1
        for r in self.readouts:
            r.take(self.most)
            r.marks(marks)
            if r.count and ticks < 0:
                ticks = r.ticks
        scalars = []
        for s in self.scalars:
            ring = s.ring
            for i in range(ring.tail, ring.head):
                scalars.append((s.channel, ring.ticks_at(i, s.sensor.RATE), ring.data[0][i & ring.mask]))
        if ticks < 0 and not scalars:
            return
        if len(marks) > MAX_MARKS:
            marks = _merged(marks)
        seq = yield from self.maker.data(now if ticks < 0 else ticks, self.readouts, marks, scalars)
        if self._made(seq, now):
            for r in self.readouts:
                r.stream.ring.consume(r.count)
            for s in self.scalars:
                s.ring.consume(s.ring.head - s.ring.tail)

    def _status(self, now):
        self._status_due = now + self.status_us
        yield from self.maker.status(now, self.counters(now))


def _merged(marks):
    # one run a channel, over everything marked: good samples are given up rather than a bad one passed as good
    runs = {}
    for channel, mark, start, length in marks:
        run = runs.get(channel)
        if run:
            end = max(run[2] + run[3], start + length)
            start = min(run[2], start)
            length = end - start
            mark = run[1]
        runs[channel] = (channel, mark, start, length)
    return [runs[channel] for channel in sorted(runs)]


def describe_channels(streams, scalars):
    # the descriptor's channels; sets each stream's first channel id
    rows = []
    for stream in streams + scalars:
        sensor = stream.sensor
        stream.channel = len(rows)
        for name in sensor.CHANNELS:
            mdc, unit = SIGNALS[name]
            row = {
                CHANNELKEY_ID: len(rows),
                CHANNELKEY_NAME: name,
                CHANNELKEY_UNIT: unit,
                CHANNELKEY_PART: sensor.PART,
                CHANNELKEY_BITS: sensor.BITS,
                CHANNELKEY_SCALE: sensor.SCALE,
            }
            if mdc:
                row[CHANNELKEY_MDC] = mdc
            if stream in streams:
                row[CHANNELKEY_STREAM] = stream.number
                row[CHANNELKEY_RATE] = sensor.RATE
            rows.append(row)
    return rows
