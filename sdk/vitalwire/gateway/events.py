"""What a gateway tells whoever operates it: one type for each, values only. No keys and no samples are in any text.

Times are UTC in microseconds since 1970. An observer is called in the event loop, must return soon, and costs nothing
but a log line when it fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from vitalwire.client import LineEvent
from vitalwire.session import Outcome
from vitalwire.spool import Entry, Lost, State


@dataclass(frozen=True, slots=True)
class SourceChanged:
    """A peer of a source came or went; `peer` is its address or port, without one it is the source itself."""

    source: str
    peer: str
    up: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Concluded:
    """What the session or a device's controller said, but for `Verified`; None: it followed from time alone."""

    source: str | None
    peer: str | None
    outcome: Outcome | LineEvent


@dataclass(frozen=True, slots=True)
class Spooled:
    """Entries are durable and may be acknowledged; each arrived at `arrived_us` and was verified at `verified_us`.

    A quick sink's `Delivered` may be told before it.
    """

    entries: tuple[Entry, ...] = field(repr=False)
    verified_us: tuple[int, ...] = field(repr=False)
    spooled_us: int


@dataclass(frozen=True, slots=True)
class SpoolChanged:
    """The spool takes frames, or none for the reason given; `alarm`: it is nearly full."""

    takes: bool
    alarm: bool
    why: str
    state: State


@dataclass(frozen=True, slots=True)
class QuarantineChanged:
    """The quarantine keeps what is not believed, or, for the reason given, leaves it with its devices."""

    keeps: bool
    why: str


@dataclass(frozen=True, slots=True)
class RoomLost:
    """Entries that a sink will never get: the oldest had to go, as the policy says."""

    lost: Lost


class SinkState(StrEnum):
    """How a sink is: not open, open with nothing delivered yet, delivering, waiting to try again, waiting longer
    because nothing helped, ended.
    """

    OPENING = "opening"
    READY = "ready"
    UP = "up"
    WAITING = "waiting"
    BROKEN = "broken"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class SinkChanged:
    """A sink is in another state; `wait`: seconds until it is tried again."""

    sink: str
    state: SinkState
    why: str = ""
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """A sink's peer has these entries; `sent_us` is when the delivery began."""

    sink: str
    entries: tuple[Entry, ...] = field(repr=False)
    sent_us: int
    delivered_us: int


@dataclass(frozen=True, slots=True)
class Buried:
    """A sink will never take this entry: it is a dead letter now."""

    sink: str
    entry: Entry = field(repr=False)
    why: str


@dataclass(frozen=True, slots=True)
class JobChanged:
    """A job for a device of this name is at another stage, one of `jobs.Stage`; `why` it was refused."""

    number: int
    device: str
    kind: str
    title: str
    stage: str
    why: str = ""


GatewayEvent: TypeAlias = (
    SourceChanged | Concluded | Spooled | SpoolChanged | QuarantineChanged | RoomLost | SinkChanged | Delivered | Buried
    | JobChanged
)  # fmt: skip
Observer: TypeAlias = Callable[[GatewayEvent], None]
