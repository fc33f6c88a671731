"""What a controller has to ask, and what it has asked: values, and the acknowledgements that wait. Decides no order."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from vitalwire.ranges import Ranges
from vitalwire_protocol.spec import Command, Limit

from .command import Argument
from .timesync import TimeFix

ACK_DELAY = 0.05  # seconds to wait for more to acknowledge
MAX_ACK_RANGES = 4096  # that wait; beyond it the device sends frames again, which is harmless


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing to ask: a request of the caller (with a ticket), or one of the controller's own."""

    command: Command
    argument: Argument = None
    ticket: int | None = None
    until: float = float("inf")
    boot: int | None = None  # the one it was first sent in
    ranges: tuple[tuple[int, int], ...] = ()
    fix: TimeFix | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """What is under way, and what its answer must bear."""

    asked: Asked
    id: int
    counter: int | None  # None: an open command
    at: float
    due: float


class Acknowledgements:
    """Frames that are durable here, by the device that may erase them: until it has said that it knows."""

    def __init__(self) -> None:
        self._ranges: dict[bytes, Ranges] = {}
        self._since: float | None = None

    def add(self, thumbprint: bytes, first: int, last: int) -> None:
        """Take the numbers `first` to `last` of a device."""
        ranges = self._ranges.setdefault(thumbprint, Ranges())
        if len(ranges) < MAX_ACK_RANGES:
            ranges.add(first, last)

    def due(self, thumbprint: bytes, now: float) -> tuple[tuple[int, int], ...]:
        """Return what a device is to be told now; nothing while more may come that fits the same command."""
        ranges = self._ranges.get(thumbprint)
        if not ranges:
            self._since = None
            return ()
        if self._since is None:
            self._since = now
        if now - self._since < ACK_DELAY and len(ranges) < Limit.MAX_RANGES:
            return ()
        return tuple(islice(ranges, Limit.MAX_RANGES))

    def settle(self, thumbprint: bytes, ranges: tuple[tuple[int, int], ...]) -> None:
        """Forget what a device has answered."""
        for first, last in ranges:
            self._ranges[thumbprint].discard(first, last)
        self._since = None
