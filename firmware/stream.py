# Stream: one sensor and its ring, kept alive and read out. A missing, wrong or wedged chip becomes an event and is
# tried again, soon at first, later less often. Knows blocks of samples, and not the frames they go into.
from micropython import const
from ring import ALL, Ring
from sensors import SensorError
from wire import (
    EVENT_LEAD_OFF,
    EVENT_LEAD_ON,
    EVENT_OVERRUN,
    EVENT_SENSOR_FAULT,
    EVENT_SENSOR_OK,
    EVENTKEY_CHANNEL,
    EVENTKEY_COUNT,
    EVENTKEY_ESTIMATED,
    EVENTKEY_FAULT,
    EVENTKEY_STREAM,
    FAULT_BUS,
    FAULT_MISSING,
)

_SOONEST = const(500_000)  # us until a failed sensor is tried again; doubles
_LATEST = const(60_000_000)
_NEVER = 1 << 62
DELAY = const(400)  # ms a frame may come late
_BURST = const(32)  # samples a driver wants room for
_FEW = const(4)  # and one of single readings, of which few are lost at a time
_LONG = const(30_000)  # steps of the encoder that take 10 ms


class Stream:
    # One frame takes `most` samples, those of frame_ms and what drift adds; the ring holds them and what comes while
    # the frame waits to be made. report(event, details, ticks) takes what happens. `up` says whether the sensor
    # samples, `off` whether a controller stopped it; `channel` is the id of its first channel.
    # To FrameMaker a stream is what take() took: `count` samples of `channels` channels, the newest at `ticks`.
    encoder = None  # one for all, see boot.py
    # what few streams ever change
    off = _lead_off = False
    fault = overruns = lost = 0

    def __init__(self, number, sensor, frame_ms, report):
        numerator, denominator = sensor.RATE
        denominator *= 1000
        self.number = number
        self.channel = 0
        self.channels = len(sensor.CHANNELS)
        self.sensor = sensor
        self.most = frame_ms * numerator // denominator * 17 // 16 + 1
        room = (frame_ms + DELAY) * numerator // denominator
        self.ring = Ring(self.channels, room + min(_BURST, room + _FEW), sensor.BITS)
        self.report = report
        self.up = False
        self.due = 0
        self.count = self.ticks = 0
        self._wait = _SOONEST

    # ------------------------------------------------------------ kept alive

    def switch(self, off):
        self.off = off
        self.up = False
        self.due = 0
        if off:
            __import__("rest").rest(self.sensor)

    def service(self, now, early):
        # Read or (re)start the sensor if it is due; returns when it will be, if no interrupt comes before.
        # `early` reads before it is, because something long comes next.
        sensor = self.sensor
        try:
            if self.up:
                due = sensor.due(now)
                if due <= now or (early and due - now < sensor.EARLY):
                    if sensor.EARLY:
                        sensor.early = early
                    if sensor.read(self.ring, now) and self._wait > _SOONEST:
                        self._sound(now)
                    if sensor.lost:
                        self._overrun(now)
                    if sensor.lead_off != self._lead_off:
                        self._lead(sensor.lead_off, now)
                    due = sensor.next
                self.due = due
            elif self.off or self.ring.head != self.ring.tail:
                return _NEVER  # until switch() or consume()
            elif now >= self.due:
                self._start(now)
        except SensorError as e:
            self._fail(e.args[0], now)
        except OSError:
            self._fail(FAULT_BUS if self.up else FAULT_MISSING, now)
        return self.due

    def _start(self, now):
        self.due = self.sensor.start(now)
        if not self.due:
            self.ring.clear()
            self.up = True
            self.due = now

    def _sound(self, now):
        # it delivers again after a failure; one that only answers is tried less and less often
        self._wait = _SOONEST
        if self.fault:
            self.fault = 0
            self.report(EVENT_SENSOR_OK, {EVENTKEY_STREAM: self.number}, now)

    def _fail(self, fault, now):
        # What the ring still holds goes into the next frame; the sensor starts anew only after that, so that no block
        # ever has a hole in its time.
        if self.sensor.lost:
            self._overrun(now)
        self.up = False
        self.due = now + self._wait
        self._wait = min(2 * self._wait, _LATEST)
        if fault and fault != self.fault:
            self.fault = fault
            self.report(EVENT_SENSOR_FAULT, {EVENTKEY_STREAM: self.number, EVENTKEY_FAULT: fault}, now)

    def _overrun(self, now):
        sensor = self.sensor
        self.overruns += 1
        self.lost += sensor.lost
        details = {EVENTKEY_STREAM: self.number, EVENTKEY_COUNT: sensor.lost, EVENTKEY_ESTIMATED: sensor.estimated}
        self.report(EVENT_OVERRUN, details, now)
        sensor.lost = 0
        sensor.estimated = False

    def _lead(self, off, now):
        self._lead_off = off
        self.report(EVENT_LEAD_OFF if off else EVENT_LEAD_ON, {EVENTKEY_CHANNEL: self.channel}, now)

    # ------------------------------------------------------------ read out

    def take(self, part):
        # what there is, but at most one part-th of a frame's share
        ring = self.ring
        self.count = n = min(ring.head - ring.tail, self.most // part)
        if n:
            self.ticks = ring.ticks_at(ring.tail + n - 1, self.sensor.RATE)

    def block(self, channel, buf, pos):
        ring = self.ring
        encoder = self.encoder
        steps = encoder.steps(self.count)
        if steps > _LONG:
            yield ("long", 0)
        bits = self.sensor.BITS
        pos = encoder.encode(ring.data[channel], ring.tail, self.count, bits, buf, pos, bits <= 16)
        yield ("viper", steps)
        return pos

    def marks(self, rows):
        # add (channel id, mark, start, length) of the samples taken
        ring = self.ring
        marks = ring.marks
        for i in range(0, 4 * ring.runs, 4):
            start = max(marks[i + 2] - ring.tail, 0)
            end = min(marks[i + 2] + marks[i + 3] - ring.tail, self.count)
            if end > start:
                first = 0 if marks[i] == ALL else marks[i]
                last = self.channels if marks[i] == ALL else first + 1
                for channel in range(first, last):
                    rows.append((self.channel + channel, marks[i + 1], start, end - start))

    def consume(self):
        self.ring.consume(self.count)
