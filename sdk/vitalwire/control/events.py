"""What a controller reports of its conversation with a device, as frozen values, and what it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from vitalwire_protocol.spec import Command, Result

from .command import Identity
from .timesync import TimeFix


@dataclass(frozen=True, slots=True)
class Identified:
    """The device said who it is (a hint until `Confirmed`); `rebooted` if it had another boot or nonce before."""

    identity: Identity
    rebooted: bool


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The device proved, by a MAC over this boot's nonce, that it has the secret of this identity."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Answered:
    """A request was carried out; `fields` are those of the reply, by `spec.CommandKey`."""

    ticket: int
    command: Command
    fields: Mapping[int, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """A request was not carried out, and why: by the device under its MAC, or here when there is no secret for it."""

    ticket: int
    command: Command
    result: Result | int


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request got no answer in time; whether it was carried out is not known."""

    ticket: int
    command: Command


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The device accepted that these frames are durable."""

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class AcknowledgeRefused:
    """The device refused, under its MAC, to take these frames for acknowledged; they are not offered again."""

    ranges: tuple[tuple[int, int], ...]
    result: Result | int


@dataclass(frozen=True, slots=True)
class TimeMeasured:
    """What a round trip told about the device's clock in this boot."""

    boot: int
    fix: TimeFix


@dataclass(frozen=True, slots=True)
class TimeTold:
    """The device accepted its UTC."""

    boot: int
    fix: TimeFix


@dataclass(frozen=True, slots=True)
class Hint:
    """The device, or anybody, says without a MAC that a command was refused."""

    command: Command
    result: Result | int


ControlEvent: TypeAlias = (
    Identified | Confirmed | Answered | Refused | Unanswered | Acknowledged | AcknowledgeRefused | TimeMeasured
    | TimeTold | Hint
)  # fmt: skip


@dataclass(slots=True)
class ControllerCounters:
    """What a controller did not act on."""

    ignored: int = 0  # replies to nothing that is under way
    forged: int = 0  # replies whose MAC does not verify
    malformed: int = 0
