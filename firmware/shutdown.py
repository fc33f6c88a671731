# An empty battery: the board makes a frame of what it has, says so in another, and sleeps until it is charged. Loaded
# when the battery is low.
from micropython import const
from wire import EVENT_SHUTDOWN, EVENTKEY_MILLIVOLT

_PATIENCE = const(25_000_000)  # us that it must stay low: two more readings
_SLEEP = const(600)  # s until it is looked at again, see boot.py


def step(app, now, since=-1):
    # A step at the end of a frame: generator of slices that returns the next step or None.
    yield ("bytecode", 50)
    since = now if since < 0 else since
    if app.scalars[0].sensor.millivolt >= app.low:
        return None
    if now - since < _PATIENCE:
        return lambda now: step(app, now, since)
    recorder = app.recorder
    recorder.step = app.control.step = None  # the last frame has nothing behind it
    app.sense(now, True)
    for stream in app.streams:
        stream.switch(True)
    yield from recorder.data(app.hal.ticks())
    if recorder.maker.seal:
        recorder.maker.seal.frames = 0  # the last one is signed
    app.report(EVENT_SHUTDOWN, {EVENTKEY_MILLIVOLT: app.scalars[0].sensor.millivolt}, now)
    while recorder.events:
        left = len(recorder.events)
        yield from recorder.tell(now)
        if len(recorder.events) == left:
            break  # a full journal
    app.journal.flush()
    app.hal.sleep(_SLEEP)
