# What the crystal was measured to be off, kept over starts: UTC is then sharp from the first fix of a boot on. Loaded
# to read it at a start, and when it was learnt better.
from struct import pack, unpack

from micropython import const
from unload import drop

_FORM = "<ii"
_AGED = const(5_000)  # ppb it may have moved since, besides


def recall(hal, clock):
    kept = hal.recall("drift")
    if kept and len(kept) == 8:
        clock.drift, slack = unpack(_FORM, kept)
        clock.slack = min(clock.slack, slack + _AGED)


def step(app, now):
    # At the end of a frame, in slices; only what is much better than what is kept, or else, because flash wears.
    yield ("long", 0)
    clock = app.clock
    kept = app.hal.recall("drift")
    drift, slack = unpack(_FORM, kept) if kept and len(kept) == 8 else (0, 1 << 30)
    if 2 * clock.slack < slack or abs(clock.drift - drift) > slack:
        yield ("long", 0)
        app.hal.keep("drift", pack(_FORM, clock.drift, clock.slack))
    drop("drift")
