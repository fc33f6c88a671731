"""What goes into a reading and what comes out of it: values only, nothing is computed here."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Reason(StrEnum):
    """Why there is no reading."""

    TOO_SHORT = "too-short"  # not enough valid samples that follow each other
    LEAD_OFF = "lead-off"  # most of the window lies under that mark
    SATURATED = "saturated"  # most of the window lies under that mark
    NO_SIGNAL = "no-signal"  # flat, or too weak to be told from noise
    NOISE = "noise"  # what is there does not repeat as a pulse, or two detectors disagree
    MOTION = "motion"  # the pulse that is seen keeps step with the body, so it may be its steps
    IMPLAUSIBLE = "implausible"  # outside what a living body shows


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """One channel over one window, on its regular grid, in physical units; two are the same only if they are one.

    `valid` is False where nothing was measured: lead-off, saturation, samples or frames that are missing. `lead_off`
    and `saturated` count those under these marks. Shapes (n,); `rate` in Hz.
    """

    values: Floats
    valid: Mask
    rate: float
    lead_off: int = 0
    saturated: int = 0

    def runs(self, seconds: float) -> list[tuple[int, int]]:
        """Return [start, stop) of each run of valid samples at least this long."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], self.valid, [False]]).astype(np.int8)))
        return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= seconds * self.rate]

    def missing(self) -> Reason:
        """Return why there is not enough of it."""
        if self.lead_off * 2 > len(self.values):
            return Reason.LEAD_OFF
        return Reason.SATURATED if self.saturated * 2 > len(self.values) else Reason.TOO_SHORT


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an algorithm concludes: a number or the reason why there is none, and a quality from 0 to 1."""

    value: float | None
    quality: float
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a window: `value`, rounded to what it is good for, or else `reason`; never both.

    `algorithm` and `version` say how it was made, of `channels`; `calibrated` is False where the number follows no
    calibration of this sensor.
    """

    name: str
    unit: str  # UCUM
    value: Decimal | None
    reason: Reason | None
    quality: Decimal
    algorithm: str
    version: int
    channels: tuple[str, ...]
    calibrated: bool = True


def absent(reason: Reason, quality: float = 0.0) -> Estimate:
    """Return that there is no reading."""
    return Estimate(None, quality, reason)
