"""What a session concludes: one type for each, values only. `device` is a thumbprint (32 bytes) wherever it stands.

A consumer makes `Verified` and `Quarantined` durable and says so; everything else is for knowing, none may be ignored
as unverified data, because none but `Verified` carries any.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from vitalwire.messages import Descriptor, Frame, Trust


class Reason(StrEnum):
    """Why a frame was refused or quarantined."""

    MALFORMED = "malformed"  # its bytes are not of the form
    FOREIGN = "foreign"  # of a device nobody enrolled
    FORGED = "forged"  # its signature or MAC does not verify
    DOWNGRADE = "downgrade"  # it has a MAC, and its device announces signatures
    UNSEALED = "unsealed"  # it has a MAC that this reader has no key for, and no seal covered it in time
    UNBOUND = "unbound"  # of a device that whoever brought it may not speak for
    REVOKED = "revoked"  # of a revoked device, and no accepted frame's chain fixes it
    UNKNOWN_DESCRIPTOR = "unknown-descriptor"  # held until there was no more room, its descriptor never came
    BUSY = "busy"  # the consumer has too many frames that are not durable yet; the device will send it again
    CONFLICT = "conflict"  # the same number was used for other bytes
    FUTURE = "future"  # its UTC is later than the reader's
    OLD = "old"  # a number accepted so long ago that its bytes cannot be compared any more


@dataclass(frozen=True, slots=True)
class Verified:
    """A frame to believe. `late`: after higher numbers; `by_chain`: of a revoked device, proven by links.

    `trust` says what proves it by now. Of an `AUTHENTIC` one that is only a MAC, which everybody with the device's
    secret can make: it is never to be shown or passed on as signed; `Sealed` or `Disproved` follow. To a reader without
    the secret none comes before it is sealed.
    """

    device: bytes
    frame: Frame
    descriptor: Descriptor
    received_us: int
    late: bool = False
    by_chain: bool = False
    trust: Trust = Trust.SIGNED


@dataclass(frozen=True, slots=True)
class Sealed:
    """Frames first to last, delivered as authentic, are covered by a signature now."""

    device: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Disproved:
    """A frame delivered as authentic that the device never made (its `digest`, 16 bytes); a proven one replaces it."""

    device: bytes
    seq: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The same bytes again; `durable` says whether the first were, and so whether they are acknowledged again."""

    device: bytes
    seq: int
    durable: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A frame kept aside: of a descriptor not known yet, or of a revoked device and waiting for the chain's proof."""

    frame: Frame
    device: bytes | None = None


@dataclass(frozen=True, slots=True)
class NeedDescriptor:
    """Ask for a descriptor: frames wait for the one whose digest (8 bytes) this is."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame of which nothing is used; `detail` is the error's reason (vocabulary of the vectors), `raw` its bytes."""

    reason: Reason
    detail: str
    raw: bytes = field(repr=False)
    device: bytes | None = None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A frame with a good signature that must be kept but not believed."""

    device: bytes
    reason: Reason
    frame: Frame
    received_us: int

    @property
    def raw(self) -> bytes:
        """The frame's bytes."""
        return self.frame.raw


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers first to last are missing and nothing explains it yet."""

    device: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class GapClosed:
    """Nothing between first and last is missing any more: it came late or was explained."""

    device: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class GapForgotten:
    """Too many gaps: these numbers are still missing but no longer waited for."""

    device: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Burned:
    """Numbers the device never used for a frame that left it, by its signed word."""

    device: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """Frames the device erased unacknowledged because its journal was full, by its signed word."""

    device: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """Two frames with good signatures contradict each other; `seq` is the later one, `why` says what does not fit."""

    device: bytes
    seq: int
    why: str  # prev, boot, burned or dropped


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """Somebody should look: a device contradicts itself or its key is in other hands."""

    device: bytes
    seq: int
    what: str  # conflict, disproved, or why the chain broke


Outcome: TypeAlias = (
    Verified
    | Sealed
    | Disproved
    | Duplicate
    | Held
    | NeedDescriptor
    | Refused
    | Quarantined
    | Gap
    | GapClosed
    | GapForgotten
    | Burned
    | Dropped
    | ChainBreak
    | SecurityEvent
)
