# What UTC the device's ticks are, since a controller said so. Ticks are microseconds since boot and never wrap.
# Integers only. A UTC is never given without the bound of its error, which grows with the time since the fix.
from micropython import const

_ASSUMED = const(50_000)  # ppb a crystal may be off while nobody measured it
_WANDER = const(5_000)  # ppb a measured one may move with temperature
_IMPLAUSIBLE = const(25_000_000)  # ppb no oscillator is off: somebody corrected the time
_BILLION = const(1_000_000_000)
_EARLIEST = 1_577_836_800_000_000  # 2020-01-01, before any device was made
_LATEST = 4_102_444_800_000_000  # 2100-01-01


class Clock:
    # now() is the ticks; stepped(utc, accuracy) is called for the first fix and for one that contradicts the last.
    def __init__(self, now, stepped=None):
        self.now = now
        self.stepped = stepped
        self._fix = None  # (ticks, utc, error)
        self._anchor = None  # the fix that drift is measured from
        self.drift = 0  # ppb that UTC runs faster than ticks
        self.slack = _ASSUMED  # ppb that drift may be wrong
        self.learnt = False  # whether both are worth keeping

    def _at(self, ticks):
        since, utc, error = self._fix
        elapsed = ticks - since
        return utc + elapsed + elapsed * self.drift // _BILLION, error + abs(elapsed) * self.slack // _BILLION

    def utc(self, ticks):
        # (utc, accuracy): at `ticks` UTC is within 2^accuracy microseconds of utc; None before the first fix.
        if self._fix is None:
            return None
        utc, error = self._at(ticks)
        accuracy = 0
        while (error - 1) >> accuracy:
            accuracy += 1
        # so wide a bound says nothing, and has no number in a frame
        return (utc, accuracy) if accuracy < 64 else None

    def set(self, ticks, utc, accuracy):
        # A controller's word, already authenticated. Returns whether it was plausible; if not, nothing changes.
        if not (0 <= ticks <= self.now() and _EARLIEST <= utc < _LATEST):
            return False
        error = 1 << accuracy
        step = True
        if self._fix is not None:
            expected, slack = self._at(ticks)
            step = abs(utc - expected) > error + slack
            if not step and error > slack:
                return True  # who makes us less sure could then say anything, and nothing would contradict it
        fix = (ticks, utc, error)
        if self._anchor is None:
            self._anchor = fix
        else:
            self._learn(fix, step)
        self._fix = fix
        if step and self.stepped:
            self.stepped(utc, accuracy)
        return True

    def _learn(self, fix, step):
        # Drift over the time since the anchor, once that is known better than what we held so far. A contradiction may
        # be a drift or a corrected controller: until the next fix tells, allow for both.
        ticks, utc, error = self._anchor
        elapsed = fix[0] - ticks
        if elapsed > 0:
            drift = (fix[1] - utc - elapsed) * _BILLION // elapsed
            slack = (error + fix[2]) * _BILLION // elapsed + _WANDER
            if step:
                slack += abs(drift)
                drift = 0
                if slack > _IMPLAUSIBLE:
                    slack = _ASSUMED
            elif slack >= self.slack:
                return
            self.drift = drift
            self.slack = slack
            self.learnt = not step
        self._anchor = fix
