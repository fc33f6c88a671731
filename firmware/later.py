# When an update that was told to start does so (SPEC.md section 14): at once, or at the hour that `update_hour` says.
# Loaded when an update is applied.
from micropython import const
from unload import drop
from wire import CAUSE_UPDATE

_AT_ONCE = const(24)
_HOUR = 3_600_000_000  # us


def hour(root):
    # what the settings say
    import desired
    import values

    state = desired.load(root)
    settings = values.all_of(root, (state.get("next") or state["now"])[1])
    drop("desired", "values", "settings")
    return settings["update_hour"]


def start(app, hour):
    # returns whether it waits
    if hour == _AT_ONCE:
        app.reboot(CAUSE_UPDATE)
        return False
    app.trial = Later(app, hour)
    return True


class Later:
    # Takes the place of a Trial: none runs while an update waits. What it waits for is not kept: any start starts it.
    def __init__(self, app, hour):
        self._app = app
        self.at(hour)

    def at(self, hour):
        self._hour = hour
        self._due = None  # hours since 1970, once UTC is known

    def check(self, now):
        # with each status frame
        app = self._app
        if self._hour == _AT_ONCE:
            app.reboot(CAUSE_UPDATE)
            return
        known = app.clock.utc(now)
        if not known:
            return
        hour = known[0] // _HOUR
        next = hour + (self._hour - hour) % 24
        # a clock put back must not wait for what it said before
        self._due = next if self._due is None else min(self._due, next)
        if hour >= self._due and not app.low_battery:
            app.reboot(CAUSE_UPDATE)
