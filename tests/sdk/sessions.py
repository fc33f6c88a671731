"""A session with enrolled devices made of Python, and what its outcomes say in short."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from vitalwire.registry import Registry
from vitalwire.session import Limits, Outcome, Session, Verified
from vitalwire.testing import FakeDevice

T = TypeVar("T")
NOW = 1_790_000_000_000_000
SECOND = 1_000_000


def enrolled(*devices: FakeDevice) -> Registry:
    """Return a registry that trusts these devices."""
    registry = Registry()
    for device in devices:
        registry.enrol(device.thumbprint, device.name)
    return registry


def started(frames: int = 3, limits: Limits | None = None) -> tuple[Session, FakeDevice, Registry, list[bytes]]:
    """Return a session that has seen a device's first frames, with those frames; number n is at n - 1."""
    device = FakeDevice("one")
    registry = enrolled(device)
    session = Session(registry, limits=limits)
    made = [device.descriptor(), *(device.status() for _ in range(frames - 1))]
    assert seqs(feed(session, made)) == list(range(1, frames + 1))
    return session, device, registry, made


def feed(session: Session, frames: Iterable[bytes], now: int = NOW) -> list[Outcome]:
    """Return everything a session says to these frames."""
    return [outcome for raw in frames for outcome in session.receive(raw, now)]


def of(kind: type[T], outcomes: Iterable[Outcome]) -> list[T]:
    """Return the outcomes of one kind."""
    return [outcome for outcome in outcomes if isinstance(outcome, kind)]


def seqs(outcomes: Iterable[Outcome]) -> list[int]:
    """Return the numbers of the verified frames, in order."""
    return [outcome.frame.seq for outcome in of(Verified, outcomes)]


def only(outcomes: list[Outcome], kind: type[T]) -> T:
    """Return the only outcome."""
    (outcome,) = outcomes
    assert isinstance(outcome, kind)
    return outcome
