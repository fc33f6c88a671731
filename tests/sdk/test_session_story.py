"""A device, a bad network, a forgetful reader: over many random stories nothing is lost, doubled or believed wrongly.

The oracle is the device: it knows every byte it made, what it burned and what it dropped.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from vitalwire.registry import Registry
from vitalwire.session import (
    Burned,
    ChainBreak,
    Dropped,
    Duplicate,
    Gap,
    GapClosed,
    NeedDescriptor,
    Outcome,
    Quarantined,
    Refused,
    ReplayState,
    SecurityEvent,
    Session,
    Verified,
)
from vitalwire.testing import FakeDevice, flipped, forged, high_s

NOW = 1_790_000_000_000_000


@dataclass
class Board:
    """A device with a journal: frames stay in it until acknowledged, old ones are dropped when it is full."""

    device: FakeDevice
    capacity: int
    made: dict[int, bytes] = field(default_factory=dict)
    journal: dict[int, bytes] = field(default_factory=dict)
    burned: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)
    words: dict[int, int] = field(default_factory=dict)  # number of a DROPPED event's frame: the first it names
    descriptors: dict[bytes, bytes] = field(default_factory=dict)  # never dropped, sent when asked for

    def keep(self, raw: bytes) -> None:
        self.made[self.device.seq] = self.journal[self.device.seq] = raw
        if raw == self.device.descriptor():
            self.descriptors[hashlib.sha256(raw).digest()[:8]] = raw

    def step(self, luck: random.Random) -> None:
        """Make the next frame: mostly status, at times an event, a new descriptor, a reboot or a drop."""
        chance = luck.random()
        if not self.made:
            self.keep(self.device.descriptor())
        elif chance < 0.05:
            burn = luck.randrange(4)
            self.burned |= set(range(self.device.seq + 1, self.device.seq + burn + 1))
            self.keep(self.device.reboot(burn))
        elif chance < 0.08:
            self.keep(self.device.descriptor(firmware=str(self.device.seq)))
        else:
            self.keep(self.device.status())
        if len(self.journal) > self.capacity:
            oldest = min(self.journal)
            run = [seq for seq in range(oldest, oldest + 4) if seq in self.journal and seq in self.made]
            run = [seq for n, seq in enumerate(run) if seq == oldest + n]
            self.dropped |= set(run)
            for seq in run:
                del self.journal[seq]
            # A word that is dropped itself is said again, or nobody would ever hear it.
            first = min([run[0], *(self.words.pop(seq) for seq in run if seq in self.words)])
            self.keep(self.device.dropped([self.made[first], self.made[run[-1]]]))
            self.words[self.device.seq] = first


def play(seed: int, path: Path, rounds: int = 40) -> None:
    """Play one story and hold every promise of the session against the board's own knowledge."""
    luck = random.Random(seed)
    board = Board(FakeDevice(f"device {seed}"), capacity=luck.choice((12, 1000)))
    registry = Registry()
    registry.enrol(board.device.thumbprint, "board")
    me = board.device.thumbprint
    session = Session(registry, ReplayState(path))
    now = NOW
    stored: dict[int, bytes] = {}  # what the consumer has, by number
    unstored: list[Verified] = []
    shown: set[int] = set()  # verified in this session's life
    last = 0
    waiting: set[int] = set()  # reported missing and not yet there or explained
    acknowledged: set[int] = set()
    fed: set[bytes] = set()

    def check(outcomes: list[Outcome]) -> None:
        nonlocal last
        for outcome in outcomes:
            match outcome:
                case Verified():
                    seq = outcome.frame.seq
                    assert board.made[seq] == outcome.frame.raw
                    assert seq not in shown
                    assert seq not in acknowledged
                    shown.add(seq)
                    waiting.discard(seq)
                    if not outcome.late:
                        assert seq > last
                        last = seq
                    unstored.append(outcome)
                case Duplicate():
                    assert board.made[outcome.seq] in fed
                case Gap():
                    waiting.update(range(outcome.first, outcome.last + 1))
                case Burned():
                    numbers = set(range(outcome.first, outcome.last + 1))
                    assert numbers <= board.burned
                    waiting.difference_update(numbers)
                case Dropped():
                    numbers = set(range(outcome.first, outcome.last + 1))
                    assert numbers <= board.dropped | board.burned  # a boot event may have been dropped as well
                    waiting.difference_update(numbers)
                case GapClosed():
                    assert not waiting & set(range(outcome.first, outcome.last + 1))
                case ChainBreak() | SecurityEvent() | Quarantined():
                    pytest.fail(f"a good device was accused: {outcome}")
                case NeedDescriptor():
                    asked = board.descriptors.get(outcome.digest)  # none: a damaged frame named it
                    if asked is not None:
                        fed.add(asked)
                        check(session.receive(asked, now))
                case Refused():
                    assert outcome.raw not in board.made.values()

    loss = luck.choice((0.0, 0.2, 0.5))
    for number in range(rounds):
        calm = number == rounds - 1
        for _ in range(luck.randrange(8)):
            board.step(luck)
        batch = sorted(board.journal)
        if luck.random() < 0.4 and not calm:
            luck.shuffle(batch)
        for seq in batch:
            raw = board.journal.get(seq)
            if raw is None or (luck.random() < loss and not calm):
                continue
            now += luck.randrange(500_000)
            if luck.random() < 0.1:
                damage = luck.choice((forged, high_s, lambda good: flipped(good, luck.randrange(9999))))
                check(session.receive(damage(raw), now))
            for _ in range(1 + (luck.random() < 0.1)):
                check(session.receive(raw, now))
                fed.add(raw)
        check(session.poll(now + (10_000_000 if calm else 0)))
        if luck.random() < 0.7 or calm:  # the consumer stores some, says so, and acknowledgements may get lost
            luck.shuffle(unstored)
            cut = 0 if calm else luck.randrange(len(unstored) + 1)
            done = unstored[cut:]
            del unstored[cut:]
            stored |= {each.frame.seq: each.frame.raw for each in done}
            session.durable(done)
            ranges = session.acknowledgements(me)
            assert list(ranges) == sorted(ranges)
            assert all(a[1] + 1 < b[0] for a, b in pairwise(ranges))
            for first, final in ranges:
                for seq in range(first, final + 1):
                    assert stored[seq] == board.made[seq], "acknowledged without being stored"
                    if luck.random() < 0.8 or calm:
                        board.journal.pop(seq, None)
                        acknowledged.add(seq)
        if luck.random() < 0.1 and not calm:  # the reader restarts: what was not durable is gone
            session = Session(registry, ReplayState(path))
            unstored.clear()
            shown.clear()
            last = 0
            waiting = {n for first, final in session.gaps(me) for n in range(first, final + 1)}
    check(session.flush())
    session.durable(unstored)
    stored |= {each.frame.seq: each.frame.raw for each in unstored}
    assert board.made.keys() - board.dropped <= stored.keys()
    assert session.gaps(me) == ()
    assert not waiting
    assert session.head(me)[0] == max(board.made)


def test_random_stories_end_well(tmp_path: Path, long: bool) -> None:
    """Loss, disorder, duplicates, damage, forgery, reboots, drops and restarts: every kept promise, over many seeds."""
    for seed in range(400 if long else 25):
        play(seed, tmp_path / f"{seed}.db")
