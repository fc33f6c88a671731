"""How much a spool may hold, what happens when it is full, and what it tells of itself: values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

RESERVE = 16 << 20  # bytes of the disk that are left free: the log and the removal of entries need some


class Full(StrEnum):
    """What happens when there is no more room: nothing is taken, so that devices keep theirs; or the oldest go."""

    REFUSE = "refuse"
    DROP_OLDEST = "drop-oldest"


@dataclass(frozen=True, slots=True)
class Bound:
    """How many bytes the entries may take, what happens then, and of which share on the operator is to be told."""

    size: int = 1_000_000_000
    full: Full = Full.REFUSE
    alarm: float = 0.8
    reserve: int = RESERVE


class Lost(NamedTuple):
    """Entries that a sink will never get, because the oldest had to go."""

    sink: str
    first: int
    last: int


class State(NamedTuple):
    """How full the spool is and how far each sink: entries before it, and when the first of them arrived."""

    used: int
    size: int
    alarm: bool
    entries: int
    waiting: dict[str, int]
    oldest_us: dict[str, int | None]
    dead: dict[str, int]
    unsealed: int = 0  # frames that no sink gets before a seal covers them
    suspects: Mapping[str, int] = MappingProxyType({})  # frames in the quarantine beside it, by reason
