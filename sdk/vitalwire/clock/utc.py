"""Which UTC a boot's ticks are: the tightest bounds that all that was said about it allows.

Three kinds of evidence: two-sided bounds (a device's `UTC` and `UTC_ACCURACY`, or a host's own measurement), and, only
as long as there are none of these, arrivals, before which a frame must have been made. All are constraints on one line
utc = offset + (1 + drift) ticks; the estimate is the middle of what remains possible, its uncertainty half the width.
Evidence that contradicts the rest means that somebody's clock was set: it starts anew from there.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from .envelope import Envelope, Floats

MAX_DRIFT = 200e-6  # of a device's crystal against UTC
MOST = 32  # bounds held
FRESH = 30.0  # seconds in which a bound that says nothing new is not held again
TRIED = np.linspace(0.0, 1.0, 17)


class _Bound(NamedTuple):
    """At `at` (device seconds) UTC minus device time was within [low, high] (seconds beyond the map's origin)."""

    at: float
    low: float
    high: float


class UtcMap:
    """UTC of one boot's device time; all times in seconds, device time since the boot, UTC since 1970."""

    def __init__(self) -> None:
        self.steps = 0  # how often a clock was set, as far as it shows
        self._origin = 0.0  # of `low` and `high`: keeps the arithmetic within what floats resolve
        self._bounds: deque[_Bound] = deque(maxlen=MOST)
        self._drifts = (-MAX_DRIFT, MAX_DRIFT)
        self._lines: tuple[Floats, Floats, Floats] | None = None  # what `at` makes of both
        self._arrivals = Envelope(rate=0.0)

    @property
    def known(self) -> bool:
        """Whether anything at all is known."""
        return bool(self._bounds) or self._arrivals.count > 0

    @property
    def bounded(self) -> bool:
        """Whether UTC is known from both sides."""
        return bool(self._bounds)

    def bound(self, at: float, utc_us: int, error_us: int) -> None:
        """At device time `at` UTC was `utc_us`, with an error of at most `error_us` microseconds."""
        if not self._bounds:
            self._origin = utc_us / 1e6 - at
        middle, half = (utc_us - round((at + self._origin) * 1e6)) / 1e6, error_us / 1e6
        new = _Bound(at, middle - half, middle + half)
        last = self._bounds[-1] if self._bounds else None
        if last and 0 <= at - last.at < FRESH and new.low - 1e-6 <= last.low and last.high <= new.high + 1e-6:
            return
        drifts = self._possible([*self._bounds, new])
        if drifts is None:
            self.steps += 1
            self._bounds.clear()
            drifts = (-MAX_DRIFT, MAX_DRIFT)
        self._bounds.append(new)
        self._drifts = drifts
        self._lines = None

    def arrival(self, at: float, utc_us: int) -> None:
        """A frame made at device time `at` or later had arrived at UTC `utc_us`."""
        if not self._bounds:
            if not self._arrivals.count:
                self._origin = utc_us / 1e6 - at
            self._arrivals.add(at, at + (utc_us - round((at + self._origin) * 1e6)) / 1e6)

    def at(self, at: float) -> tuple[float, float]:
        """Return the UTC of device time `at` and its uncertainty: infinite where only arrivals bound it, from above."""
        if not self._bounds:
            return (self._arrivals.at(at)[0] + self._origin if self._arrivals.count else np.nan), np.inf
        if self._lines is None:
            table = np.array(self._bounds)
            slopes = self._drifts[0] + (self._drifts[1] - self._drifts[0]) * TRIED[:, None]
            self._lines = slopes, table[:, 0], table[:, 1:].T[:, None]
        slopes, begins, limits = self._lines
        low, high = limits + slopes * (at - begins)
        lowest, highest = float(low.max(axis=1).min()), float(high.min(axis=1).max())
        return at + self._origin + (lowest + highest) / 2, abs(highest - lowest) / 2

    def _possible(self, bounds: list[_Bound]) -> tuple[float, float] | None:
        """Return the least and greatest drift of a line through all bounds, or None if there is no such line."""
        table = np.array(bounds)
        apart = table[:, 0] - table[:, None, 0]  # [i, j]: from i to j
        later = apart > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            least = np.where(later, (table[:, 1] - table[:, None, 2]) / apart, -np.inf).max()
            most = np.where(later, (table[:, 2] - table[:, None, 1]) / apart, np.inf).min()
        same = (apart == 0) & (table[:, 1] > table[:, None, 2])
        low, high = max(float(least), -MAX_DRIFT), min(float(most), MAX_DRIFT)
        return (low, high) if low <= high and not same.any() else None
