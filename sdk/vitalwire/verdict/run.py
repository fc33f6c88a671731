"""A run: frames of one descriptor whose links and numbers follow each other without a gap.

Whoever verifies the signature of its last frame has proven them all, those with MACs among them. Nothing here verifies
or judges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from vitalwire.session.chain import Declaration, Link


class Words(NamedTuple):
    """What a frame that is not plain data says of the chain."""

    declared: tuple[Declaration, ...] = ()
    is_descriptor: bool = False


PLAIN = Words()


class Run:
    """Frames from number `first` on; lists of one entry a frame, and what is said by few of them, by number."""

    __slots__ = ("boots", "digests", "first", "future", "maced", "prev", "raws", "words")

    def __init__(self, first: int, prev: bytes) -> None:
        self.first = first
        self.prev = prev  # of the first
        self.raws: list[bytes] = []
        self.digests: list[bytes] = []  # 16 bytes each
        self.boots: list[int] = []
        self.future: set[int] = set()  # numbers whose UTC lies in the future
        self.maced: set[int] = set()  # numbers of frames that have a MAC and no signature
        self.words: dict[int, Words] = {}

    def __len__(self) -> int:
        return len(self.digests)

    def __getitem__(self, place: int) -> Link:
        """Return a frame's link, by its place from 0."""
        prev = self.digests[place - 1] if place else self.prev
        return Link(self.first + place, self.boots[place], prev, self.digests[place])

    def __iter__(self) -> Iterator[Link]:
        """Yield the frames' links."""
        return (self[place] for place in range(len(self)))

    def drop_last(self) -> None:
        """Take the last frame out."""
        for each in (self.raws, self.digests, self.boots):
            each.pop()


class Part(NamedTuple):
    """Runs of proven frames by device (thumbprint), without the frames' bytes, and how many frames these are."""

    frames: int
    runs: Mapping[bytes, list[Run]]
