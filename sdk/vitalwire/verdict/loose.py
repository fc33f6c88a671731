"""Frames of one device with MACs that no signature covers yet; bounded, the oldest gives way. Judges nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vitalwire.session.chain import Link
from vitalwire.verdict.run import PLAIN, Run, Words

MAX_LOOSE = 4096  # frames of one device


class One(NamedTuple):
    """A frame by itself."""

    link: Link
    raw: bytes
    words: Words
    future: bool


class Loose:
    """Such frames by number and digest, which is what links name them by."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, bytes], One] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, link: Link) -> bool:
        return (link.seq, link.digest) in self._kept

    def add(self, one: One) -> One | None:
        """Keep a frame; return the one that had to give way."""
        self._kept[one.link.seq, one.link.digest] = one
        return self._kept.pop(next(iter(self._kept))) if len(self._kept) > MAX_LOOSE else None

    def take(self, seq: int, digest: bytes) -> Run | None:
        """Take what links lead to that end at this number with this digest, as a run without bytes."""
        found: list[One] = []
        while (one := self._kept.pop((seq, digest), None)) is not None:
            found.append(one)
            seq, digest = seq - 1, one.link.prev
        if not found:
            return None
        run = Run(found[-1].link.seq, found[-1].link.prev)
        for link, _, words, future in reversed(found):
            run.digests.append(link.digest)
            run.boots.append(link.boot)
            if words != PLAIN:
                run.words[link.seq] = words
            if future:
                run.future.add(link.seq)
        return run

    def rest(self) -> Iterator[One]:
        """Yield what is left, by number."""
        return iter(sorted(self._kept.values(), key=lambda one: one.link.seq))
