# The board's loop: sensors first, then one slice of whatever is next, then rest. Owns no hardware of its own.
# A slice says ("long", 0) before something that takes long on a chip; then every FIFO is emptied first. So it is before
# garbage is collected, which is reckoned by what was done: where an allocation does it, no FIFO is asked.
import gc

from clock import Clock
from micropython import const
from wire import (
    CAUSE_COMMAND,
    COUNTER_BAD_PACKETS,
    COUNTER_BATTERY_MV,
    COUNTER_BUSY_PERMILLE,
    COUNTER_DROPPED,
    COUNTER_EVENTS_LOST,
    COUNTER_FRAMES,
    COUNTER_HEAP_FREE,
    COUNTER_HEAP_LOW,
    COUNTER_JOURNAL_SECTORS,
    COUNTER_JOURNAL_USED,
    COUNTER_LOST_SAMPLES,
    COUNTER_OVERRUNS,
    COUNTER_REFUSED,
    COUNTER_RESENT,
    COUNTER_SENSORS_DOWN,
    COUNTER_UNACKED,
    COUNTER_UPTIME_S,
    EVENT_CHANNEL_STARTED,
    EVENT_CHANNEL_STOPPED,
    EVENT_LOW_BATTERY,
    EVENT_TIME_SET,
    EVENTKEY_CHANNEL,
    EVENTKEY_MILLIVOLT,
    EVENTKEY_UTC,
    EVENTKEY_UTC_ACCURACY,
)

# About what it costs, in loop iterations, counted on a 32-bit build:
_WAKE = const(17)  # a turn that only looks at the sensors
_TURN = const(38)  # any other, besides its slices
_ASK = const(24)  # that recorder and link have nothing to do
_SLICE = const(12)  # a slice besides what it says
_SENSE = const(17)  # a look at all sensors besides what is read
_LOOK = const(1_000_000)  # us after which the sensors are looked at in any case
_SERVE = const(15_000)  # us; a serial port at 115200 baud fills its 256 bytes in 22 ms
_REST = const(100_000)  # us; what comes in ends the rest
_MODMUL = const(258)  # bytes that one multiplication of a signature leaves there
_OTHER = const(380)  # and a slice of anything else, or a turn


class App:
    # streams and scalars: the sensors, see recorder.py; empty, low: mV of an empty battery, the
    # board's own and those in force. boot.py puts the parts in.
    rebooting = 0  # the cause, once that is to be
    leaving = low_battery = False
    reported = None  # what is said of the configuration, CBOR

    def __init__(self, hal):
        self.hal = hal
        self.clock = Clock(hal.ticks, self.time_set)
        self.streams = []
        self.scalars = []
        self.links = []
        self.journal = self.control = self.recorder = None
        self.empty = self.low = 0
        self.trial = None  # of an updated application that has not proved itself yet, or one that waits for its start
        self.job = None
        self.due = 0  # when a sensor is to be looked at, if no interrupt comes before
        self.serve = 0  # when the link is, even while a frame is being made
        self.rest = 0  # and when at the latest while nothing is
        self.busy = 0
        self.heap_low = gc.mem_free()  # the least that was free after a collection
        self._garbage = 0  # bytes, reckoned

    # ------------------------------------------------------------ the loop

    def run(self):
        # until somebody is to have the REPL
        hal = self.hal
        hal.stream.open()
        try:
            while not self.leaving:
                self.turn()
        finally:
            hal.stream.close()

    def turn(self):
        hal = self.hal
        start = now = hal.ticks()
        full = self._garbage > hal.enough
        looked = full or now >= self.due or hal.edge()
        if looked:
            self.sense(now, full)
            if full:
                self._tidy()
        if looked and now < self.rest and now < self.recorder.due:
            hal.spend("bytecode", _WAKE)
            worked = False
        else:
            worked = self._serve(now)
        now = hal.ticks()
        self.busy += now - start
        if not worked:
            hal.idle(min(self.recorder.due, self.due))

    def _serve(self, now):
        # everything but the sensors; returns whether there was anything
        hal = self.hal
        hal.feed()
        hal.spend("bytecode", _TURN)
        worked = self._work(now)
        now = hal.ticks()
        if not worked or now >= self.serve:
            if now >= self.due or hal.edge():
                self.sense(now, False)
            if self._links(hal.wall()):
                worked = True
            else:
                hal.spend("bytecode", _ASK)
                self.serve = now + _SERVE
        if worked:
            self.rest = 0
        return worked

    def sense(self, now, early):
        self.hal.spend("bytecode", _SENSE)
        due = now + _LOOK
        for stream in self.streams:
            at = stream.due
            irq = stream.sensor.irq
            if at <= now or early or (irq and irq.seen()):
                at = stream.service(now, early)
            if at < due:
                due = at
        for stream in self.scalars:
            at = stream.due
            if at <= now:
                at = stream.service(now, False)
            if at < due:
                due = at
        self.due = due

    def _work(self, now):
        # slices of the frame in the making, as long as nothing else is due; whether there were any
        if self.job is None:
            self.job = self.recorder.next(now)
            if self.job is None:
                return False
        hal = self.hal
        job = self.job
        until = min(self.due, self.serve)
        try:
            while True:
                self._slice(next, job)
                hal.spend("bytecode", _SLICE)
                if hal.ticks() >= until or hal.edge() or self._garbage > hal.enough:
                    return True
        except StopIteration:
            self.job = None
            self.due = 0  # a sensor may have waited for its ring to be emptied
        return True

    def _links(self, wall):
        # a slice of each link; whether there was any
        worked = False
        idle = True
        for link in self.links:
            if self._slice(link.step, wall):
                worked = True
            idle = idle and link.idle()
            # who asked for it over the link has its answer first
            if link.repl_requested and not (link.linked(wall) and not link.idle()):
                self.leaving = True
        self.rest = self.hal.ticks() + _REST if idle else 0
        if self.rebooting and idle:
            self.journal.flush()
            self.hal.reset(self.rebooting)
        return worked

    def _slice(self, step, argument):
        done = step(argument)
        while done and done[0] == "long":
            # what takes long follows at once, before a FIFO fills again
            self.sense(self.hal.ticks(), True)
            done = step(argument)
        if done is None:
            return False
        kind, units = done
        self._garbage += units * _MODMUL if kind == "modmul" else _OTHER
        self.hal.spend(kind, units)
        return True

    def _tidy(self):
        gc.collect()
        self._garbage = 0
        self.heap_low = min(self.heap_low, gc.mem_free())
        self.hal.spend("gc", 1)

    # ------------------------------------------------------------ what happens

    def report(self, code, details, ticks):
        self.recorder.report(code, details, ticks)

    def time_set(self, utc, accuracy):
        self.report(EVENT_TIME_SET, {EVENTKEY_UTC: utc, EVENTKEY_UTC_ACCURACY: accuracy}, self.hal.ticks())

    def switch(self, ids, off):
        # whole streams only: their channels share a FIFO; whether that is what they are
        wanted = set(ids)
        chosen = []
        for stream in self.streams:
            own = set(range(stream.channel, stream.channel + stream.channels))
            if own & wanted:
                if own - wanted:
                    return False
                chosen.append(stream)
                wanted -= own
        if wanted:
            return False
        self.due = 0
        event = EVENT_CHANNEL_STOPPED if off else EVENT_CHANNEL_STARTED
        for stream in chosen:
            if stream.off != off:
                stream.switch(off)
                for channel in range(stream.channels):
                    self.report(event, {EVENTKEY_CHANNEL: stream.channel + channel}, self.hal.ticks())
        return True

    def reboot(self, cause):
        self.rebooting = cause or CAUSE_COMMAND

    def counters(self, now):
        journal = self.journal
        resent = bad = overruns = lost = down = 0
        for link in self.links:
            resent += link.window.resent
            bad += link.bad()
        for stream in self.streams:
            overruns += stream.overruns
            lost += stream.lost
            down += not stream.up and not stream.off
        if self.trial:
            self.trial.check(now)
        if self.clock.learnt and self._later("drift"):
            self.clock.learnt = False
        counters = {
            COUNTER_UPTIME_S: now // 1_000_000,
            COUNTER_FRAMES: journal.newest,
            COUNTER_UNACKED: journal.unacked(),
            COUNTER_JOURNAL_SECTORS: journal.sectors,
            COUNTER_JOURNAL_USED: journal.used(),
            COUNTER_DROPPED: journal.lost,
            COUNTER_RESENT: resent,
            COUNTER_BAD_PACKETS: bad,
            COUNTER_REFUSED: self.control.refused,
            COUNTER_OVERRUNS: overruns,
            COUNTER_LOST_SAMPLES: lost,
            COUNTER_HEAP_FREE: gc.mem_free(),
            COUNTER_HEAP_LOW: self.heap_low,
            COUNTER_BUSY_PERMILLE: self.busy * 1000 // max(now, 1),
            COUNTER_SENSORS_DOWN: down,
            COUNTER_EVENTS_LOST: self.recorder.events_lost,
        }
        for stream in self.scalars:
            counters[COUNTER_BATTERY_MV] = stream.sensor.millivolt
            low = 0 < stream.sensor.millivolt < self.low
            if low and not self.low_battery:
                self.report(EVENT_LOW_BATTERY, {EVENTKEY_MILLIVOLT: stream.sensor.millivolt}, now)
            self.low_battery = low
            if low:
                self._later("shutdown")
        return counters

    def _later(self, name):
        # what a module does at the end of a frame; whether nothing else is to be done then
        recorder = self.recorder
        if recorder.step:
            return False
        recorder.step = lambda now: __import__(name).step(self, now)
        return True
