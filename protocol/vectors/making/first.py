"""The first set: everything that there was at the beginning, each subject from its own file."""

from __future__ import annotations

from collections.abc import Iterator

from . import blocks, commands, cose, frames, maps, numbers, packets, stored
from .independent import ALICE, Vector

DATA = "data with marks and scalars"


def accepted() -> Iterator[Vector]:
    """Sections 1 to 12."""
    history = frames.History()
    yield from numbers.accepted()
    yield from frames.accepted(history)
    yield from blocks.accepted()
    yield from packets.accepted(history.frames)
    yield from commands.accepted()
    yield from stored.accepted(history.frames)


def refused(good: dict[str, bytes]) -> Iterator[Vector]:
    """One fault each, what is damaged signed anew where that is not the fault."""
    yield from numbers.refused()
    yield from cose.refused(good[DATA], ALICE.public)
    yield from maps.refused(good, ALICE.public)
    yield from blocks.refused()
    yield from packets.refused()
    yield from stored.refused(good)
    yield from commands.refused()
