"""Which UTC a device's ticks are, measured by asking it: the better half of a round trip (as NTP, RFC 5905, does).

No I/O and no clock of its own: `now` is monotonic seconds, `utc_us` microseconds since
1970, `ticks` device microseconds since its boot. Every error is a bound and not a deviation.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

KEPT = 8  # measurements
MAX_AGE = 60.0  # seconds a measurement is worth keeping
ASSUMED_DRIFT = 50e-6  # of a device's crystal: what the device itself assumes
MAX_DRIFT = 0.025  # no oscillator is further off; a clock that is does not count time


@dataclass(frozen=True, slots=True)
class TimeFix:
    """At `ticks` UTC was `utc_us`, within `error_us`; measured at `now`."""

    ticks: int
    utc_us: int
    error_us: int
    now: float

    @property
    def accuracy(self) -> int:
        """The least exponent with error_us <= 2**exponent."""
        return max(0, self.error_us - 1).bit_length()


class TimeSync:
    """Measures one boot of one device, and says when it should be told its UTC."""

    def __init__(self, own_error_us: int) -> None:
        """`own_error_us` bounds the error of this computer's own UTC."""
        self.plausible = True  # whether the device's ticks are microseconds at all
        self._own = own_error_us
        self._fixes: deque[TimeFix] = deque(maxlen=KEPT)
        self._told: TimeFix | None = None
        self._refused = False

    @property
    def measured(self) -> int:
        """How many measurements are held."""
        return len(self._fixes)

    def measure(self, ticks: int, sent: float, received: float, utc_us: int) -> TimeFix:
        """Return what an answer tells: the device read `ticks` between `sent` and `received`, which was `utc_us`."""
        half = (received - sent) / 2
        fix = TimeFix(ticks, utc_us - round(half * 1e6), round(half * 1e6) + self._own + 1, received)
        if self._fixes:
            first = self._fixes[0]
            elapsed = (fix.now - first.now) * 1e6
            doubt = fix.error_us + first.error_us - 2 * self._own
            self.plausible = abs(fix.ticks - first.ticks - elapsed) <= elapsed * MAX_DRIFT + 2 * doubt
        self._fixes.append(fix)
        return fix

    def best(self, now: float) -> TimeFix | None:
        """Return the measurement that bounds the device's time most tightly now, or None before the first."""
        while len(self._fixes) > 1 and now - self._fixes[0].now > MAX_AGE:
            self._fixes.popleft()
        return min(self._fixes, key=lambda fix: _bound(fix, now), default=None)

    def to_tell(self, now: float) -> TimeFix | None:
        """Return the fix the device should be told: its first, one twice as good as what it has, or a correction."""
        best = self.best(now)
        if best is None or self._refused or not self.plausible:
            return None
        told = self._told
        if told is None or _bound(best, now) <= _bound(told, now) / 2:
            return best
        off = abs((best.utc_us - told.utc_us) - (best.ticks - told.ticks))
        return best if off > _bound(told, best.now) + best.error_us else None

    def told(self, fix: TimeFix) -> None:
        """Note that the device accepted `fix`."""
        self._told = fix

    def refused(self) -> None:
        """Note that the device does not want to be told."""
        self._refused = True


def _bound(fix: TimeFix, now: float) -> float:
    """Return the error of a fix carried on to `now`, in microseconds."""
    return fix.error_us + abs(now - fix.now) * 1e6 * ASSUMED_DRIFT
