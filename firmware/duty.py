# Sensors on for a part of the time: each cycle begins with them on, for on_s of every_s seconds; then their chips rest,
# and the processor sleeps where nothing needs it. Loaded where it is configured. It stands in front of what App does
# with its sensors: what somebody switched off stays off, and everything else goes on in a pause.
from micropython import const
from rest import rest
from wire import COUNTER_ASLEEP_S, COUNTER_SENSORS_DOWN, EVENT_PAUSE_BEGUN, EVENT_PAUSE_ENDED

_LOOK = const(4_000_000)  # us after which a pause is looked at, because somebody feeds a watchdog


def begin(app, cycle, then):  # noqa: F811  it ends itself
    # At the end of a frame: the cycle of a board that just started; returns what else was to be done.
    global begin
    yield ("long", 0)
    Duty(app, *cycle)
    begin = Duty.__init__ = None  # there is one
    return then


class Duty:
    def __init__(self, app, on_s, every_s, links):
        hal = app.hal
        self.app = app
        self.on = on_s * 1_000_000
        self.every = every_s * 1_000_000
        self.at = self.on  # when it changes
        self.paused = False
        self.asleep = 0  # us
        self._sense = app.sense
        self._counters = app.counters
        self._idle = hal.idle
        app.sense = self.sense
        app.recorder.counters = self.counters
        if links == ["serial"]:  # a radio has to hear
            self._chip = __import__(hal.__name__ + "_doze", None, None, ("doze",))
            hal.idle = self.idle

    def sense(self, now, early):
        # in place of App.sense
        app = self.app
        # an update on trial proves itself by sensors that work; one that waits for its hour does not
        proving = app.trial and not hasattr(app.trial, "at")
        if now >= self.at and not proving:
            self._change(now)
        if not self.paused:
            self._sense(now, early)
            if not proving:
                app.due = min(app.due, self.at)
            return
        due = min(self.at, now + _LOOK)
        for stream in app.scalars:
            at = stream.due
            if at <= now:
                at = stream.service(now, False)
            due = min(due, at)
        app.due = due

    def _change(self, now):
        app = self.app
        if self.paused:
            self.at = now + self.on
        else:
            self._sense(now, True)  # what their FIFOs hold
            self.at = now + self.every - self.on
        self.paused = not self.paused
        for stream in app.streams:
            if not stream.off:
                stream.up = False
                stream.due = 0
                if self.paused:
                    rest(stream.sensor)
        app.report(EVENT_PAUSE_BEGUN if self.paused else EVENT_PAUSE_ENDED, {}, now)

    def counters(self, now):
        # in place of App.counters
        counters = self._counters(now)
        counters[COUNTER_ASLEEP_S] = self.asleep // 1_000_000
        if self.paused:
            # those that rest are not down
            counters[COUNTER_SENSORS_DOWN] = sum([s.fault > 0 and not s.off for s in self.app.streams])
        return counters

    def idle(self, until):
        # in place of the chip's: whoever reads is heard
        app = self.app
        if not self.paused or app.links[0].linked(app.hal.wall()):
            self._idle(until)
        else:
            self.asleep += self._chip.doze(until)
            app.clock.slack = max(app.clock.slack, self._chip.off_ppb)
