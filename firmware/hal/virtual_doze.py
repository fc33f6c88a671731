# The virtual board's processor asleep: time passes as in idle(). Loaded where duty.py is.
from hal.virtual import idle, ticks

off_ppb = 0


def doze(until):
    start = ticks()
    idle(until)
    return ticks() - start
