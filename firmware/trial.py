# An updated application on trial: it stays once its sensors work and whoever reads it has acknowledged a frame that it
# signed, and so link, journal and key work too; if that takes too long, the one before returns. Loaded on trial only.
import slots
from micropython import const
from wire import CAUSE_UPDATE, EVENT_UPDATE_CONFIRMED, EVENTKEY_COUNT

_LIMIT = const(600_000_000)  # us


class Trial:
    def __init__(self, app, root):
        self._app = app
        self._root = root
        self._first = app.journal.next

    def acknowledged(self, last):
        # frames up to this number are durable elsewhere
        app = self._app
        if last >= self._first and all(stream.up or stream.off for stream in app.streams):
            app.trial = app.control.trial = None
            app.report(EVENT_UPDATE_CONFIRMED, {EVENTKEY_COUNT: slots.confirm(self._root, app.hal)}, app.hal.ticks())

    def check(self, now):
        if now > _LIMIT:
            self._app.rebooting = CAUSE_UPDATE
