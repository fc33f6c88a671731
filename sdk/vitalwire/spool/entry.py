"""One verified frame as it lies in the spool and as sinks get it: values only."""

from __future__ import annotations

from dataclasses import dataclass, field

from vitalwire.messages import Trust
from vitalwire_protocol.spec import Kind


@dataclass(frozen=True, slots=True)
class Entry:
    """A frame at its place in the spool.

    `position` rises and is never used again; `digest` (SHA-256 of `raw`) is what a receiver knows duplicates by.
    `time_us` is the UTC of the frame's ticks by the fit that was known when it was spooled and never changes, None if
    there was none; it is off by at most `accuracy_us`; where that is None, only an arrival is known: it may be older.
    """

    position: int
    device: str  # its name in the registry
    thumbprint: bytes  # 32 bytes, RFC 9679
    kind: Kind | int
    boot: int
    seq: int
    digest: bytes
    raw: bytes = field(repr=False)
    arrived_us: int
    time_us: int | None
    accuracy_us: int | None
    trust: Trust
