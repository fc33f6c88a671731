"""What bad links do to messages, on purpose and the same way for the same seed; knows nothing of their meaning."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from vitalwire.errors import UsageError

from .replay import Timed

FURTHEST = 8  # messages that one out of order, or its duplicate, comes late


@dataclass(slots=True)
class Faults:
    """How likely each fault befalls a message, each on its own; `done` counts what befell.

    `flip` changes one bit and `truncate` cuts the message anywhere, `reorder` lets it come up to FURTHEST messages late
    and `duplicate` come again as late. Pinned messages are passed on as they are.
    """

    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    flip: float = 0.0
    truncate: float = 0.0
    seed: int = 0
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for name in ("loss", "reorder", "duplicate", "flip", "truncate"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"{name} is a probability, from 0 to 1")

    def apply(self, messages: Iterable[Timed]) -> Iterator[Timed]:
        """Yield the messages as the link delivers them."""
        luck = random.Random(self.seed)  # noqa: S311  # for tests that repeat, not for secrets
        late: list[tuple[int, Timed]] = []  # how many messages must still go before it, and what
        for message in messages:
            if message.pinned:
                yield message
                continue
            # Every fault draws for every message, so that one probability changes nothing about the others.
            befalls = {name: luck.random() < getattr(self, name) for name in ("loss", "duplicate", "reorder")}
            damaged = self._damaged(message, luck)
            by, again = luck.randint(1, FURTHEST), luck.randint(0, FURTHEST)
            for name, does in befalls.items():
                self.done[name] += does
            if befalls["duplicate"]:
                late.append((again, message))
            if befalls["loss"]:
                continue
            if befalls["reorder"]:
                late.append((by, damaged))
            else:
                yield damaged
            late = [(left - 1, held) for left, held in late]
            yield from (held for left, held in late if left < 0)
            late = [(left, held) for left, held in late if left >= 0]
        yield from (held for _, held in late)

    def _damaged(self, message: Timed, luck: random.Random) -> Timed:
        flips, cuts = luck.random() < self.flip, luck.random() < self.truncate
        where, length = luck.random(), luck.random()
        data = message.data
        if flips and data:
            self.done["flip"] += 1
            byte, bit = divmod(int(where * 8 * len(data)), 8)
            data = data[:byte] + bytes([data[byte] ^ 1 << bit]) + data[byte + 1 :]
        if cuts:
            self.done["truncate"] += 1
            data = data[: int(length * len(data))]
        return message if data is message.data else replace(message, data=data)
