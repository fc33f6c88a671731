"""The clock fit of a window, frozen with what was made of it: ticks to UTC by one frame's anchor.

Within a window the device's clock is taken at its word: at 100 ppm a minute is off by 6 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from vitalwire.errors import InputError

from . import codes
from .jsontext import Resource
from .windows import Source

MAX_DRIFT_PPM = 200  # by which the clock of any board with a crystal is off, at most

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fit:
    """At `ticks` it was `utc_us`, within `accuracy_us`."""

    ticks: int
    utc_us: int
    accuracy_us: int

    def is_surer(self, other: Fit | None) -> bool:
        """Return whether this one is known better than another, or than nothing."""
        return other is None or self.accuracy_us < other.accuracy_us

    def around(self, ticks: int) -> Fit:
        """Return the fit at another tick of the same boot: as unsure as the clock may have drifted until there."""
        drifted = abs(ticks - self.ticks) * MAX_DRIFT_PPM // 1_000_000
        return Fit(ticks, self.at(ticks), self.accuracy_us + drifted)

    def at(self, ticks: int) -> int:
        """Return the UTC of a tick, microseconds since 1970."""
        return self.utc_us + ticks - self.ticks

    @property
    def extension(self) -> Resource:
        """The fit as an extension of the Provenance."""
        return {
            "url": codes.CLOCK,
            "extension": [
                {"url": "ticks", "valueDecimal": Decimal(self.ticks)},
                {"url": "utc", "valueInstant": instant(self.utc_us)},
                {"url": "accuracy", "valueDecimal": Decimal(self.accuracy_us) / 1_000_000},
            ],
        }


def fit_of(sources: Sequence[Source]) -> Fit | None:
    """Return the fit of a window: that of its surest frame, the earliest of equals; None if no frame has one."""
    known = [each for each in sources if each.utc_us is not None and each.accuracy_us is not None]
    if not known:
        return None
    best = min(known, key=lambda each: (each.accuracy_us, each.frame.seq))
    assert best.utc_us is not None
    assert best.accuracy_us is not None
    return Fit(best.frame.ticks, best.utc_us, best.accuracy_us)


def read_fit(extensions: Any) -> Fit:
    """Return the fit that a Provenance records; raises InputError."""
    try:
        (clock,) = (each for each in extensions if each["url"] == codes.CLOCK)
        parts = {each["url"]: each for each in clock["extension"]}
        accuracy = Decimal(parts["accuracy"]["valueDecimal"]) * 1_000_000
        return Fit(int(parts["ticks"]["valueDecimal"]), micros(parts["utc"]["valueInstant"]), int(accuracy))
    except (ValueError, KeyError, TypeError, InvalidOperation, OverflowError):
        raise InputError("no clock fit is recorded") from None


def instant(us: int) -> str:
    """Return microseconds since 1970 as a FHIR instant. Raises InputError beyond the years that FHIR has."""
    try:
        return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except OverflowError:
        raise InputError("a time that no calendar holds", reason="range") from None


def micros(text: str) -> int:
    """Return a FHIR dateTime with its zone as microseconds since 1970; raises ValueError, TypeError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return (moment - _EPOCH) // timedelta(microseconds=1)
