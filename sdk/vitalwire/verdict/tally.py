"""Counting for a verdict: one device's proven frames into its chain, each once, and what that adds up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from vitalwire.session.chain import Chain, Declaration, Finding, Link, State
from vitalwire.session.outcomes import Burned, ChainBreak, Dropped, GapForgotten, Reason
from vitalwire.session.unsealed import Unsealed
from vitalwire.verdict.run import PLAIN, Run, Words
from vitalwire_protocol import spec

WINDOW = 1 << 15  # of so many numbers, at least, the digest is remembered, to tell a repetition from a conflict
_MAX_BREAKS = 64  # named; the rest is counted


@dataclass(frozen=True, slots=True)
class DeviceVerdict:
    """What a record proves of one device. `burned`, `dropped` and `forgotten` count numbers, everything else frames.

    `by_chain` of the verified frames were proven by a later one's signature. `missing` are ranges of numbers,
    `forgotten` how many more are missing than can be named; `breaks` are (number, why), of `break_count`. Of frames
    that no signature covers, `authentic` have a right MAC, of `unchecked` ones nobody here can tell; none is verified.
    """

    device: bytes
    name: str
    verified: int
    first: int
    head: int
    digest: bytes  # of the head: 16 bytes
    duplicates: int = 0
    conflicts: int = 0
    future: int = 0
    undecided: int = 0  # repetitions of numbers too long ago to be compared
    burned: int = 0
    dropped: int = 0
    missing: tuple[tuple[int, int], ...] = ()
    forgotten: int = 0
    breaks: tuple[tuple[int, str], ...] = ()
    break_count: int = 0
    refused: Mapping[Reason, int] = field(default_factory=dict)
    authentic: int = 0
    unchecked: int = 0
    by_chain: int = field(default=0, compare=False)

    @property
    def sealed(self) -> bool:
        """Whether a signature, its own or a seal's, stands behind every frame that counts."""
        return not (self.authentic or self.unchecked)

    @property
    def complete(self) -> bool:
        """Whether from `first` to `head` nothing is missing and every link fits; burned and dropped are explained."""
        return not (self.missing or self.forgotten or self.break_count)

    @property
    def ok(self) -> bool:
        """Whether it is complete and sealed, and nothing in it was contradicted, refused or set aside."""
        return (
            self.complete
            and self.sealed
            and not (self.conflicts or self.future or self.undecided or any(self.refused.values()))
        )


class Tally:
    """The running count of one device; `anchor` is a frame (number, digest) it is believed up to if it is revoked."""

    def __init__(self, device: bytes, anchor: tuple[int, bytes] | None = None) -> None:
        self.device = device
        self.refused: Counter[Reason] = Counter()
        self._chain = Chain(device)
        self._seen: dict[int, bytes] = {}
        self._aside: set[int] = set()
        self._floating: dict[int, Link] = {}  # descriptors, as long as there is nothing else
        self._counts: Counter[str] = Counter()
        self._first = 0
        self._breaks: list[tuple[int, str]] = []
        self._anchor = anchor and (anchor[0], anchor[1][: spec.PREV_SIZE])
        self._anchored = False
        self._barrier = 0  # the last number up to the anchor that no link leads beyond
        self._end: tuple[int, bytes] | None = None  # the head that is proven, once frames come that are not
        self._unsealed = Unsealed()

    def repeats(self, link: Link) -> bool:
        """Return whether exactly this frame was counted before; if so, that is counted."""
        if self._seen.get(link.seq) != link.digest or link.seq in self._aside:
            return False
        self._counts["duplicates"] += 1
        return True

    def repeated(self) -> None:
        """Count a frame that came twice."""
        self._counts["duplicates"] += 1

    def demands(self, link: Link) -> bool:
        """Return whether what is proven so far proves exactly this frame."""
        return self._chain.fixes(link)

    def accept(self, run: Run) -> None:
        """Count a run of proven frames."""
        self._counts["by_chain"] += len(run) - 1
        if self._anchor is not None and 0 <= self._anchor[0] - run.first < len(run):
            self._anchored |= run.digests[self._anchor[0] - run.first] == self._anchor[1]
        plain = not (run.words or run.future) and self._chain.head > 0
        if plain and self._chain.extend(run[0], run[len(run) - 1]):
            self._seen.update(enumerate(run.digests, run.first))
            self._counts["verified"] += len(run)
        else:
            for link in run:
                self._accept_one(link, run.words.get(link.seq, PLAIN), link.seq in run.future)
        if len(self._seen) >= 2 * WINDOW:
            recent = islice(self._seen.items(), len(self._seen) - WINDOW, None)
            self._seen = dict(recent)
            self._aside &= self._seen.keys()

    def _accept_one(self, link: Link, words: Words, in_future: bool) -> None:
        seen = self._seen.get(link.seq)
        if seen is not None and seen != link.digest:
            self._counts["conflicts"] += 1
        elif seen is not None and (link.seq not in self._aside or in_future):
            self._counts["duplicates"] += 1
        elif seen is not None:
            self._aside.discard(link.seq)
            self._counts["future"] -= 1
            self._counts["verified"] += 1
        elif not self._chain.is_open(link.seq):
            self._counts["undecided"] += 1
        else:
            self._counts["future" if in_future else "verified"] += 1
            if in_future:
                self._aside.add(link.seq)
            self._seen[link.seq] = link.digest
            if self._chain.head or not words.is_descriptor:
                self._link(link, words.declared)
            else:  # descriptors are repeated for every record and may be much older than it: none begins it
                self._floating[link.seq] = link

    def _link(self, link: Link, own: tuple[Declaration, ...]) -> None:
        """Put a frame in the chain; with the first, the descriptors that came before it."""
        if not self._chain.head:
            before, self._floating = self._floating, {}
            self._first = link.seq
            while self._first - 1 in before:
                self._first -= 1
            for seq in range(self._first, link.seq):
                self._add(before.pop(seq))
            self._add(link, own)
            for older in before.values():
                self._add(older)
        else:
            self._add(link, own)

    def _add(self, link: Link, own: tuple[Declaration, ...] = ()) -> None:
        hole = self._chain.hole_of(link.seq)
        if hole is not None and hole.state in (State.BURNED, State.DROPPED):
            self._counts["burned" if hole.state == State.BURNED else "dropped"] -= 1
        for finding in self._chain.add(link, own):
            self._note(finding)

    def _note(self, finding: Finding) -> None:
        match finding:
            case Burned(_, first, last):
                self._counts["burned"] += last - first + 1
            case Dropped(_, first, last):
                self._counts["dropped"] += last - first + 1
            case GapForgotten(_, first, last):
                self._counts["forgotten"] += last - first + 1
                self._bar(last + 1)
            case ChainBreak(_, seq, why):
                self._counts["break_count"] += 1
                self._bar(seq)
                if len(self._breaks) < _MAX_BREAKS:
                    self._breaks.append((seq, why))

    def _bar(self, seq: int) -> None:
        if self._anchor is not None and seq <= self._anchor[0]:
            self._barrier = max(self._barrier, seq)

    def settle(self, link: Link, *, future: bool, authentic: bool | None) -> None:
        """Count a frame that no signature covers, after all that are proven and by number; None: nobody can tell."""
        if self._end is None:
            self._land()
            self._end = self._chain.head, self._chain.digest
        seen = self._seen.get(link.seq)
        false = seen is not None or self._unsealed.contradicts(self._chain, link)
        if seen == link.digest:
            self._counts["duplicates"] += 1
        elif authentic is False:
            self.refused[Reason.FORGED] += 1
        elif false and authentic is None:
            self.refused[Reason.UNSEALED] += 1
        elif false:
            self._counts["conflicts"] += 1
        elif not self._chain.is_open(link.seq):
            self._counts["undecided"] += 1
        else:
            self._counts["future" if future else "authentic" if authentic else "unchecked"] += 1
            self._seen[link.seq] = link.digest
            self._unsealed.add(link)
            if not self._chain.head:
                self._first = link.seq
            self._add(link)

    # ------------------------------------------------------------ the end

    def _land(self) -> None:
        while self._floating:
            self._link(self._floating.pop(min(self._floating)), ())

    def verdict(self, name: str, *, revoked: bool) -> DeviceVerdict:
        """Return what was counted; of a revoked device only what links lead to from the anchor counts as verified."""
        self._land()
        if revoked:
            return self._up_to_anchor(name)
        chain = self._chain
        head, digest = self._end or (chain.head, chain.digest)
        missing = tuple((hole.first, hole.last) for hole in chain.holes if hole.state == State.MISSING)
        return DeviceVerdict(
            chain.device, name, self._counts["verified"], self._first, head, digest,
            duplicates=self._counts["duplicates"], conflicts=self._counts["conflicts"],
            future=self._counts["future"], undecided=self._counts["undecided"],
            burned=self._counts["burned"], dropped=self._counts["dropped"],
            missing=missing, forgotten=self._counts["forgotten"],
            breaks=tuple(sorted(self._breaks)), break_count=self._counts["break_count"],
            refused={reason: count for reason, count in self.refused.items() if count},
            authentic=self._counts["authentic"], unchecked=self._counts["unchecked"], by_chain=self._counts["by_chain"],
        )  # fmt: skip

    def _up_to_anchor(self, name: str) -> DeviceVerdict:
        counted = self._counts["verified"] + self._counts["future"]
        verified = first = head = burned = 0
        digest = b""
        if self._anchored and self._anchor is not None:
            head, digest = self._anchor
            below = [hole for hole in self._chain.holes if hole.last < head]
            first = max([self._barrier, 1, *(hole.last + 1 for hole in below if hole.state != State.BURNED)])
            burned = sum(h.last - h.first + 1 for h in below if h.state == State.BURNED and h.first >= first)
            verified = head - first + 1 - burned
        refused = self.refused + Counter({Reason.REVOKED: counted - verified})
        return DeviceVerdict(
            self._chain.device, name, verified, first, head, digest, self._counts["duplicates"], burned=burned,
            refused=dict(refused), by_chain=verified,
        )  # fmt: skip
