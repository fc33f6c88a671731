"""What frames say, as frozen values; no parsing, no verification and no I/O here.

A `Frame` is only ever made by `vitalwire.frame.parse`; whether it is to be believed is the session's business, so
nothing here carries a verdict. Times: `ticks` are device microseconds since boot, `utc_us` microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from vitalwire_protocol import spec


class Trust(StrEnum):
    """What proves a frame: its own signature, a seal's over the chain, or so far only a MAC."""

    SIGNED = "signed"
    SEALED = "sealed"
    AUTHENTIC = "authentic"


@dataclass(frozen=True, slots=True)
class Decimal10:
    """mantissa * 10**exponent, exact."""

    mantissa: int
    exponent: int

    def __float__(self) -> float:
        return float(self.fraction)

    @property
    def fraction(self) -> Fraction:
        """The exact value."""
        return Fraction(self.mantissa) * Fraction(10) ** self.exponent


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a descriptor; `stream` and `rate` are None for scalars, `rate` is nominal Hz."""

    id: int
    name: str
    mdc: int | None
    unit: str
    part: str
    stream: int | None
    rate: Fraction | None
    bits: int
    scale: Decimal10
    offset: Decimal10


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a reading follows from what a sensor measures: c0 + c1 x + c2 x^2 ...; `mdc` says which, and so what x is."""

    mdc: int
    coefficients: tuple[Decimal10, ...]


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Who the device is and what its channels mean; `digest` (8 bytes) is what other frames call it."""

    digest: bytes
    version: int
    device: str
    public_key: bytes  # 65 bytes, uncompressed point 04 || x || y
    thumbprint: bytes  # 32 bytes, RFC 9679
    board: str
    firmware: str
    policy: int
    channels: tuple[Channel, ...]
    calibrations: tuple[Calibration, ...] = ()
    durable: int = 1  # whose word the device erases frames on: `spec.Durable`
    streams: tuple[tuple[Channel, ...], ...] = field(init=False, repr=False, compare=False)  # of each stream, in order

    def __post_init__(self) -> None:
        count = 1 + max((c.stream for c in self.channels if c.stream is not None), default=-1)
        streams = tuple(tuple(c for c in self.channels if c.stream == number) for number in range(count))
        object.__setattr__(self, "streams", streams)


@dataclass(frozen=True, slots=True)
class MarkRun:
    """Samples [start, start + length) of one channel that are not valid measurements, and why."""

    channel: int
    mark: spec.Mark | int
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """One reading of a scalar channel, `ticks` absolute."""

    channel: int
    ticks: int
    counts: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, `ticks` absolute; `details` by `spec.EventKey`, unknown keys kept."""

    code: spec.Event | int
    ticks: int
    details: Mapping[int, object]


@dataclass(frozen=True, slots=True)
class Readout:
    """The undecoded blocks of one stream: `count` samples a channel, `ticks` absolute of the newest one."""

    stream: int
    count: int
    ticks: int
    blocks: tuple[tuple[int, bytes], ...]  # (coding, body), one per channel of the stream


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, parsed: `raw` is the whole message, `digest` its SHA-256; what is not of its kind is empty.

    `signed` says whether a signature stands behind it or a MAC. `opaque` is what it keeps private and nobody has opened
    yet (SPEC section 5): while that is there, its samples and events are not all here.
    """

    raw: bytes = field(repr=False)
    digest: bytes
    kind: spec.Kind | int
    boot: int
    seq: int
    prev: bytes
    descriptor: bytes | None  # digest of the descriptor; None in a descriptor
    ticks: int
    utc_us: int | None = None
    utc_accuracy: int | None = None  # error at most 2**this microseconds
    blocks: bytes | None = field(default=None, repr=False)
    marks: tuple[MarkRun, ...] = ()
    scalars: tuple[Scalar, ...] = ()
    events: tuple[Event, ...] = ()
    counters: Mapping[int, int] = field(default_factory=dict)
    body: Descriptor | None = None  # what a descriptor frame describes
    unknown: Mapping[int, object] = field(default_factory=dict)
    signed: bool = True
    opaque: bytes | None = field(default=None, repr=False)  # ciphertext and tag
