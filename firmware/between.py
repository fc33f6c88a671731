# A configuration between two frames: put in force, by a start where it needs one, and proven by the frame that follows.
# Loaded while there is one to be.
import sys

from unload import drop
from wire import (
    CAUSE_CONFIGURATION,
    EVENT_CONFIGURED,
    EVENTKEY_BEFORE,
    EVENTKEY_VERSION,
    LOGLEVEL_DEBUG,
    REPORTEDKEY_IN_FORCE,
)


def put(app, settings, before):
    # Returns whether the board goes on with these settings, by name, in place of those before.
    from settings import STARTS

    for name in STARTS:
        if settings[name] != before[name]:
            app.reboot(CAUSE_CONFIGURATION)
            return False
    apply(app, settings)
    return True


def prove(app, now):
    # at the end of a frame that was made under it
    yield ("long", 0)
    import desired

    root = app.hal.files()
    state = desired.load(root)
    before = state["now"][0]
    version = state["next"][0]
    state["now"] = state.pop("next")[:2]
    yield from desired.store(root, state)
    import values

    values.report(app, {REPORTEDKEY_IN_FORCE: version})
    app.report(EVENT_CONFIGURED, {EVENTKEY_VERSION: version, EVENTKEY_BEFORE: before}, now)
    drop("desired", "values", "settings", "between")


def apply(app, settings):
    # what needs no start
    recorder = app.recorder
    recorder.status_us = settings["status_s"] * 1_000_000
    seal = recorder.maker.seal
    if seal:
        seal.frames = settings["seal_frames"]
        seal.us = settings["seal_s"] * 1_000_000
    app.low = settings["low_mv"] or app.empty
    app.journal.stop = settings["when_full"] == "stop"
    level = LOGLEVEL_DEBUG + ("debug", "info", "warning", "error").index(settings["log_level"])
    for link in app.links:
        link.level = level
    over_air = [link for link in app.links if link.stream is not app.hal.stream]
    if over_air and (settings["batch_s"] or "links.batch" in sys.modules):
        from links.batch import every

        every(app, over_air, settings["batch_s"])
    for stream in app.streams:
        off = bool(settings["channels_off"] >> stream.channel & 1)
        if off != stream.off:
            app.switch(range(stream.channel, stream.channel + stream.channels), off)
    if hasattr(app.trial, "at"):
        app.trial.at(settings["update_hour"])  # an update waits for it
