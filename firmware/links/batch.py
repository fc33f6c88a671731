# When the radio is on where it is not always: every so many seconds, and at once for what must not wait. Then what the
# journal holds is delivered and commands are taken, and the links over the air end until the next time. Knows links
# and the journal, no bytes. Loaded where `batch_s` is set; the schedule goes by the board's clock, patience by real
# time.
from micropython import const
from wire import COMMAND_ACKNOWLEDGE, COMMANDKEY_COMMAND, EVENT_BUTTON, EVENT_FALL, EVENT_LOW_BATTERY

_URGENT = (EVENT_BUTTON, EVENT_LOW_BATTERY, EVENT_FALL)
_SECOND = const(1_000_000)  # us; between two looks at how full the journal is
_LISTEN = const(1_000_000)  # us that who came has for a command, and for another
_PATIENCE = const(30_000_000)  # us without an acknowledgement of the oldest frame, or a command, until it is given up
_SOON = const(30_000_000)  # us until what must not wait is tried again; doubles, as the period does
_DOUBLES = const(7)  # times
_LONGEST = const(3600)  # s between two tries, if the period is not longer

_batch = None


def every(app, links, seconds):
    # From now on; 0: the radio is always on. No link with services that anybody may look for at any time.
    global _batch
    if _batch is None:
        _batch = Batch(app, [link for link in links if not getattr(link.stream, "services", None)])
    _batch.period = seconds * _SECOND
    _batch.due = 0


class Batch:
    # links: those over the air; they go on or end together
    on = True
    period = due = 0  # us; when to begin at the latest

    def __init__(self, app, links):
        self._app = app
        self._links = links
        self._report = app.recorder.report
        app.recorder.report = self.report
        for link in links:
            link.stream.gate = self.look
        self._fails = self._look = 0
        self._counter = app.control.counter
        self._begin(app.hal.wall(), app.hal.ticks(), False)

    def report(self, code, details, ticks):
        self._report(code, details, ticks)
        if code in _URGENT:
            self._hurry = True

    def look(self, now):
        # whether the links may go on
        ticks = self._app.hal.ticks()
        if not self.on:
            pressing = self._hurry or self._full(ticks)
            if pressing or ticks >= self.due:
                self._begin(now, ticks, pressing)
        elif self.period:
            if self._delivered(now):
                self._fails = 0
                self._end(self._begun + self.period)
            elif now - self._moved > _PATIENCE:
                wait = min(self.period << self._fails, max(self.period, _LONGEST * _SECOND))
                if self._pressing or self._hurry:
                    wait = min(wait, _SOON << self._fails)
                self._fails = min(self._fails + 1, _DOUBLES)
                self._end(ticks + wait)
                self._look = self.due
        return self.on

    def _full(self, ticks):
        # whether the journal is more than half full
        if ticks < self._look:
            return False
        self._look = ticks + _SECOND
        journal = self._app.journal
        return 2 * journal.used() > journal.sectors

    def _begin(self, now, ticks, pressing):
        self.on = True
        self._hurry = self._pressing = pressing
        self._begun = ticks
        self._moved = self._until = now
        self._met = False
        self._acked = self._app.journal.acked
        self._mark()

    def _end(self, due):
        self.on = self._hurry = False
        self.due = due

    def _mark(self):
        # What there is now is to be delivered; and where only a signature vouches for it, the frame that has one.
        recorder = self._app.recorder
        seal = recorder.maker.seal
        self._last = self._app.journal.newest
        if seal:
            seal.at = -1
            self._last += 1

    def _delivered(self, now):
        app = self._app
        control = app.control
        for link in self._links:
            if not self._met and link.linked(now):
                self._met = True
                self._moved = now
                self._until = now + _LISTEN
        if control.counter != self._counter:
            self._counter = control.counter
            request = control.request
            if control.link in self._links and request and request[COMMANDKEY_COMMAND] != COMMAND_ACKNOWLEDGE:
                self._moved = now
                self._until = now + _LISTEN
        if app.journal.acked != self._acked:
            self._acked = app.journal.acked
            self._moved = now
        if self._hurry and not [row for row in app.recorder.events if row[0] in _URGENT]:
            self._hurry = False
            self._mark()
        if self._hurry or app.trial or app.rebooting or not self._met or now < self._until:
            return False
        return self._acked >= self._last and control.link not in self._links
