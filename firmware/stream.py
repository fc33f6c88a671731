# Stream: one sensor and its ring, kept alive. A missing, wrong or wedged chip becomes an event and is tried again,
# soon at first, later less often; nothing here knows frames.
from micropython import const
from ring import Ring
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


class Stream:
    # report(event, details, ticks) takes what happens. `up` says whether the sensor samples, `off` whether a
    # controller stopped it.
    def __init__(self, number, channel, sensor, capacity, report):
        self.number = number
        self.channel = channel  # id of its first channel
        self.sensor = sensor
        self.ring = Ring(len(sensor.CHANNELS), capacity)
        self.report = report
        self.up = self.off = False
        self.fault = 0
        self.due = 0
        self.overruns = self.lost = 0
        self._wait = _SOONEST
        self._lead_off = False

    def switch(self, off):
        self.off = off
        self.up = False
        self.due = 0

    def deadline(self):
        # when service() has something to do
        if self.up or (not self.off and self.ring.head == self.ring.tail):
            return self.due
        return _NEVER

    def service(self, now, early):
        # Read or (re)start the sensor if it is due; `early` reads before it is, because something long comes next.
        sensor = self.sensor
        try:
            if self.up:
                if sensor.due(now) <= now or (early and sensor.SHALLOW):
                    sensor.early = early
                    sensor.read(self.ring, now)
                    if sensor.lost:
                        self._overrun(now)
                    if sensor.lead_off != self._lead_off:
                        self._lead(sensor.lead_off, now)
                self.due = sensor.due(now)
            elif not self.off and now >= self.due and self.ring.head == self.ring.tail:
                self._start(now)
        except SensorError as e:
            self._fail(e.args[0], now)
        except OSError:
            self._fail(FAULT_BUS if self.up else FAULT_MISSING, now)

    def _start(self, now):
        self.due = self.sensor.start(now)
        if not self.due:
            self.ring.clear()
            self.up = True
            self.due = now
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
