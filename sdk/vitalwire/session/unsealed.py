"""Frames of one device that only a MAC proves so far, and how a signed frame's links prove them. No bytes, no keys.

Links lead from a frame to the one before. So whatever is proven demands one digest of the number before it: a frame
there that has this digest is proven too, and one that has not was never made by the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vitalwire.messages import Frame
from vitalwire.session.chain import Chain, Link, declarations
from vitalwire_protocol import spec


class Row(NamedTuple):
    """One authentic frame; `wanted` is the digest that something proven demands in its place, empty so far."""

    digest: bytes  # 16 bytes, as the others
    prev: bytes
    wanted: bytes = b""


class Unsealed:
    """The authentic frames of one device by number."""

    __slots__ = ("rows",)

    def __init__(self, rows: dict[int, Row] | None = None) -> None:
        self.rows = rows or {}

    def __contains__(self, seq: int) -> bool:
        return seq in self.rows

    def __len__(self) -> int:
        return len(self.rows)

    def copy(self) -> Unsealed:
        """Return one that can go its own way."""
        return Unsealed(dict(self.rows))

    def proves(self, chain: Chain, link: Link) -> bool:
        """Return whether something proven demands exactly this frame, be it new or in the place of an authentic one."""
        row = self.rows.get(link.seq)
        if row is not None:
            return row.wanted == link.digest
        return chain.fixes(link) and link.seq + 1 not in self.rows

    def contradicts(self, chain: Chain, link: Link) -> bool:
        """Return whether a proven neighbour demands another frame of this new number."""
        hole = chain.hole_of(link.seq)
        if hole is None:
            return link.seq == chain.head + 1 > 1 and chain.head not in self.rows and link.prev != chain.digest
        above = hole.last == link.seq and link.seq + 1 not in self.rows and hole.after != link.digest
        below = hole.first == link.seq and link.seq - 1 not in self.rows and hole.before != link.prev
        return above or (below and link.seq > 1)

    def add(self, link: Link) -> None:
        """Note a frame that only a MAC proves."""
        self.rows[link.seq] = Row(link.digest, link.prev)

    def cover(self, demands: Iterator[tuple[int, bytes]]) -> list[int]:
        """Take out what is proven by demands of a number and its digest; return these numbers."""
        found: list[int] = []
        for seq, digest in demands:
            while (row := self.rows.get(seq)) is not None:
                if row.digest != digest:
                    self.rows[seq] = row._replace(wanted=digest)
                    break
                del self.rows[seq]
                found.append(seq)
                seq, digest = seq - 1, row.prev
        return found


def demands(frame: Frame) -> Iterator[tuple[int, bytes]]:
    """Yield what a proven frame demands of frames before it: number and digest."""
    yield frame.seq - 1, frame.prev
    for declared in declarations(frame):
        yield declared.first - 1, declared.prev[: spec.PREV_SIZE]
