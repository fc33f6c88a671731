"""The hash chain of one device as a reader has it: one head, and the holes below it. No bytes, no signatures, no time.

Every number up to the head is accepted or lies in a hole. A hole knows what its two ends must be: the digest its first
frame's PREV has to be, and the digest its last frame must have. So frames that come late prove themselves into the
chain, and burned and dropped numbers are holes whose ends a signed event has explained.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from vitalwire.messages import Frame
from vitalwire.session.outcomes import Burned, ChainBreak, Dropped, Gap, GapClosed, GapForgotten
from vitalwire_protocol import spec
from vitalwire_protocol.spec import EventKey

MAX_HOLES = 512

Finding: TypeAlias = Gap | GapClosed | GapForgotten | Burned | Dropped | ChainBreak


class Link(NamedTuple):
    """What the chain needs of a frame; `digest` and `prev` have 16 bytes."""

    seq: int
    boot: int
    prev: bytes
    digest: bytes


class Declaration(NamedTuple):
    """A device's signed word on numbers it will not send: `prev` before the first, `digest` after the last."""

    first: int
    last: int
    prev: bytes
    digest: bytes
    burned: bool


class State(IntEnum):
    """Why a hole is there."""

    BEFORE = 0  # from before this reader's first frame: nobody waits for it
    MISSING = 1
    BURNED = 2
    DROPPED = 3


@dataclass(slots=True)
class Hole:
    """Numbers without a frame, `before` and `after` the digests (and bounds of boot) at its two ends."""

    first: int
    last: int
    state: State
    before: bytes
    before_boot: int
    after: bytes
    after_boot: int
    gap_first: int  # the gap as it was first reported
    gap_last: int


def link_of(frame: Frame) -> Link:
    """Return a frame's place in the chain."""
    return Link(frame.seq, frame.boot, frame.prev, frame.digest[: spec.PREV_SIZE])


def declarations(frame: Frame) -> tuple[Declaration, ...]:
    """Return what a frame's events say about numbers before its own; what is incomplete or not signed says nothing."""
    found: list[Declaration] = []
    for event in frame.events if frame.signed else ():
        if event.code in (spec.Event.BOOT, spec.Event.DROPPED):
            details = event.details
            burned = event.code == spec.Event.BOOT
            first, last = details.get(EventKey.FIRST), details.get(EventKey.LAST)
            digest = details.get(EventKey.DIGEST)
            prev = digest if burned else details.get(EventKey.PREV)
            if (
                isinstance(first, int)
                and isinstance(last, int)
                and isinstance(prev, bytes)
                and isinstance(digest, bytes)
                and first <= last < frame.seq
            ):
                found.append(Declaration(first, last, prev, digest, burned))
    return tuple(found)


class Chain:
    """Which frames of one device are there, and whether their links fit; what changes it returns what that showed."""

    __slots__ = ("_max_holes", "boot", "device", "digest", "head", "holes")

    def __init__(self, device: bytes, max_holes: int = MAX_HOLES) -> None:
        self.device = device
        self.head = 0  # the highest number there is; 0: none yet
        self.digest = bytes(spec.PREV_SIZE)
        self.boot = 0
        self.holes: list[Hole] = []  # rising
        self._max_holes = max_holes

    def copy(self) -> Chain:
        """Return a chain that can go its own way."""
        other = Chain(self.device, self._max_holes)
        other.head, other.digest, other.boot = self.head, self.digest, self.boot
        other.holes = [copy(hole) for hole in self.holes]
        return other

    def hole_of(self, seq: int) -> Hole | None:
        """Return the hole a number lies in, or None if it is accepted or above the head."""
        index = bisect_right(self.holes, seq, key=_first) - 1
        return self.holes[index] if index >= 0 and self.holes[index].last >= seq else None

    def is_open(self, seq: int) -> bool:
        """Return whether a frame of this number would be new."""
        return seq > self.head or self.hole_of(seq) is not None

    def fixes(self, link: Link) -> bool:
        """Return whether the chain above already proves exactly this frame, whoever may hold the key by now."""
        hole = self.hole_of(link.seq)
        return (
            hole is not None
            and hole.last == link.seq
            and hole.state != State.BURNED
            and hole.after == link.digest
            and link.boot <= hole.after_boot
        )

    def explains(self, link: Link, declared: Iterable[Declaration]) -> bool:
        """Return whether all numbers between the head and this frame are burned or in declarations."""
        first, last = self.head + 1, link.seq - 1
        if link.prev == self.digest and link.boot > self.boot:
            return True
        for declaration in sorted(declared):
            if declaration.first <= first <= declaration.last:
                first = declaration.last + 1
        return first > last

    # ------------------------------------------------------------ growing

    def add(self, link: Link, own: Iterable[Declaration] = (), known: Iterable[Declaration] = ()) -> list[Finding]:
        """Put in a frame whose number `is_open`, with its own declarations and `known` ones of frames still to come."""
        found: list[Finding] = []
        if link.seq > self.head:
            if link.boot < self.boot:
                found.append(ChainBreak(self.device, link.seq, "boot"))
            if link.seq > self.head + 1:
                self._open(link, (*own, *known), found)
            elif link.prev != self.digest:
                found.append(ChainBreak(self.device, link.seq, "prev"))
            self._rise(link)
        else:
            self._fill(link, found)
        for declaration in own:
            self._declare(declaration, found, aloud=True)
        return found

    def extend(self, first: Link, last: Link) -> bool:
        """Put in a run of frames, linked without break from `first` to `last`, if it begins where the head ends."""
        fits = first.seq == self.head + 1 and first.prev == self.digest and first.boot >= self.boot
        if fits:
            self._rise(last)
        return fits

    def replace(self, link: Link) -> None:
        """Put a frame in the place of one accepted before, which somebody else had made."""
        if link.seq == self.head:
            self._rise(link)
        for hole in self.holes:
            if hole.first == link.seq + 1:
                hole.before, hole.before_boot = link.digest, link.boot
            if hole.last == link.seq - 1:
                hole.after, hole.after_boot = link.prev, link.boot

    def _rise(self, link: Link) -> None:
        self.head, self.boot, _, self.digest = link

    def _open(self, link: Link, declared: Iterable[Declaration], found: list[Finding]) -> None:
        gap = self.head + 1, link.seq - 1
        state = State.MISSING if self.head else State.BEFORE
        self.holes.append(Hole(*gap, state, self.digest, self.boot, link.prev, link.boot, *gap))
        explained: list[Finding] = []
        self._judge(self.holes[-1], explained)
        for declaration in declared:
            self._declare(declaration, explained, aloud=False)
        found.extend(finding for finding in explained if finding != GapClosed(self.device, *gap))  # it was never open
        for hole in self.holes:
            if hole.state == State.MISSING and (hole.gap_first, hole.gap_last) == gap:
                hole.gap_first, hole.gap_last = hole.first, hole.last
                found.append(Gap(self.device, hole.first, hole.last))
        self._bound(found)

    def _fill(self, link: Link, found: list[Finding]) -> None:
        hole = self.hole_of(link.seq)
        assert hole is not None, "the number is not open"
        if hole.state == State.BURNED:
            found.append(ChainBreak(self.device, link.seq, "burned"))
        if not hole.before_boot <= link.boot <= hole.after_boot:
            found.append(ChainBreak(self.device, link.seq, "boot"))
        pieces: list[Hole] = []
        if link.seq > hole.first:
            pieces.append(replace(hole, last=link.seq - 1, after=link.prev, after_boot=link.boot))
        elif link.prev != hole.before:
            found.append(ChainBreak(self.device, link.seq, "prev"))
        if link.seq < hole.last:
            pieces.append(replace(hole, first=link.seq + 1, before=link.digest, before_boot=link.boot))
        elif link.digest != hole.after:
            found.append(ChainBreak(self.device, link.seq + 1, "prev"))
        self._replace(hole, pieces, found)
        self._bound(found)

    # ------------------------------------------------------------ holes

    def _declare(self, declared: Declaration, found: list[Finding], *, aloud: bool) -> None:
        """Explain holes by a declaration; `aloud` if what contradicts it is to be said now."""
        why = "burned" if declared.burned else "dropped"
        overlapping = [hole for hole in self.holes if hole.first <= declared.last and hole.last >= declared.first]
        numbers = sum(min(hole.last, declared.last) - max(hole.first, declared.first) + 1 for hole in overlapping)
        top = max(self.head, *(hole.last for hole in overlapping), declared.first - 1)
        contradicted = declared.burned and numbers < min(declared.last, top) - declared.first + 1
        for hole in overlapping:
            if hole.state in (State.BURNED, State.DROPPED):
                continue
            first, last = max(hole.first, declared.first), min(hole.last, declared.last)
            left = first == hole.first == declared.first and hole.before != declared.prev
            right = last == hole.last == declared.last and hole.after != declared.digest
            if left or right or contradicted:
                contradicted = True
                continue
            pieces = [replace(hole, first=first, last=last, state=State.BURNED if declared.burned else State.DROPPED)]
            if hole.first < first:
                pieces.insert(0, replace(hole, last=first - 1, after=declared.prev))
                pieces[1].before = declared.prev
            if hole.last > last:
                pieces.append(replace(hole, first=last + 1, before=declared.digest))
                pieces[-2].after = declared.digest
            found.append((Burned if declared.burned else Dropped)(self.device, first, last))
            self._replace(hole, pieces, found)
        if contradicted and aloud:
            found.append(ChainBreak(self.device, declared.first, why))
        self._bound(found)

    def _judge(self, hole: Hole, found: list[Finding]) -> None:
        """Take a hole for burned where its two ends are one: across a reboot the chain leaves no room for a frame."""
        unexplained = hole.state in (State.MISSING, State.BEFORE)
        if unexplained and hole.before == hole.after and hole.before_boot < hole.after_boot:
            hole.state = State.BURNED
            found.append(Burned(self.device, hole.first, hole.last))

    def _replace(self, hole: Hole, pieces: list[Hole], found: list[Finding]) -> None:
        index = self.holes.index(hole)
        self.holes[index : index + 1] = pieces
        for piece in pieces:
            self._judge(piece, found)
        if hole.state == State.MISSING and not any(piece.state == State.MISSING for piece in pieces):
            gap = (hole.gap_first, hole.gap_last)
            others = (each for each in self.holes if each.state == State.MISSING)
            if not any((each.gap_first, each.gap_last) == gap for each in others):
                found.append(GapClosed(self.device, *gap))

    def _bound(self, found: list[Finding]) -> None:
        """Forget holes beyond the limit: explained ones first, then what nobody waits for, then the oldest gap."""
        while len(self.holes) > self._max_holes:
            hole = min(self.holes, key=lambda hole: (hole.state == State.MISSING, hole.first))
            self.holes.remove(hole)
            if hole.state == State.MISSING:
                found.append(GapForgotten(self.device, hole.first, hole.last))


def _first(hole: Hole) -> int:
    return hole.first
