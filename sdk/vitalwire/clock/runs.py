"""What a device's clock keeps of frames: runs of them, the streams in a run, readouts in parts, and the times given.

Values only; what follows from them is decided in `device`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .envelope import Envelope, Floats


@dataclass(frozen=True, slots=True)
class SampleTimes:
    """When the samples of one stream in one frame were taken: arrays of as many seconds as there are samples.

    `utc` is since 1970, NaN where nothing is known of UTC; `elapsed` is since the boot, by the device's own clock.
    `uncertainty` (seconds) is of `utc`: what the bounds on UTC leave open and two deviations of the chip's fit;
    infinite where only arrivals are known, which bound a time from above.
    """

    utc: Floats
    elapsed: Floats
    uncertainty: float


Edge = tuple[float, float]  # elapsed and UTC of one sample


@dataclass(slots=True)
class Track:
    """One stream within a run: the clock fitted, the samples placed on it, the first and last times handed out."""

    envelope: Envelope
    placed: int = 0
    first: Edge | None = None
    last: Edge | None = None


@dataclass(slots=True)
class Run:
    """Frames of consecutive sequence numbers of one boot under one descriptor."""

    first: int
    last: int
    boot: int
    descriptor: bytes | None
    tracks: dict[int, Track] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive samples of a readout, the last of them at `place` of an envelope; without one, nobody saw them."""

    count: int
    envelope: Envelope | None = None
    place: float = 0.0


@dataclass(frozen=True, slots=True)
class Placed:
    """A readout in its parts."""

    parts: tuple[Part, ...]
    period: float
    ready: float
