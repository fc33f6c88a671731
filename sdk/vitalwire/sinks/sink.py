"""What every sink promises; retries, backoff, order, cursors and dead letters are the gateway's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from vitalwire.spool import Entry


@dataclass(frozen=True, slots=True)
class Rejected:
    """An entry that the peer will never take, and why in the peer's own words (no keys, no personal data).

    `entry` is given where it was delivered before: a sink that keeps frames may learn only later what its peer refuses.
    """

    position: int
    why: str
    entry: Entry | None = None


class Sink(Protocol):
    """Delivers batches of entries, in the order they are given, to one peer.

    The gateway calls from one task, one call at a time: `open`, any number of `deliver`, `close`. After a `SinkError`
    it calls `close`, waits (at least the error's `retry_after`), and begins anew with `open` and the same batch.
    """

    async def open(self) -> None:
        """Connect and authenticate; raises SinkError."""

    async def deliver(self, batch: Sequence[Entry]) -> Sequence[Rejected]:
        """Return when each entry is durable at the peer or among the returned ones; else raises SinkError.

        What was delivered before an error comes again: at least once on the wire, in order per device.
        """
        ...

    async def close(self) -> None:
        """Release the connection; raises nothing, also when it was never open."""


@runtime_checkable
class Keeping(Protocol):
    """A sink that keeps what it took until its peer has it: an empty batch now and then asks what became of that."""

    keeps: Literal[True]
