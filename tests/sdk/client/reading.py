"""How tests read a client: so many frames, so long, or until something is told."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.waiting import FAR

import vitalwire
from vitalwire.client import ClientEvent

SECRET = bytes(range(32))
Connect = Callable[..., vitalwire.Client]


def take(client: vitalwire.Client, count: int) -> list[vitalwire.VerifiedFrame]:
    """Return so many frames, or fail."""
    until, frames = time.monotonic() + FAR, []
    while len(frames) < count and time.monotonic() < until:
        if frame := client.receive(0.2):
            frames.append(frame)
    assert len(frames) == count
    return frames


def work(client: vitalwire.Client, done: Callable[[], bool]) -> None:
    """Let the client work until something is so, or fail; frames are taken and forgotten."""
    until = time.monotonic() + FAR
    while not done() and time.monotonic() < until:
        client.receive(0.05)
    assert done()


def some(events: list[ClientEvent], kind: type) -> Callable[[], bool]:
    """Return a question: was there an event of this kind?"""
    return lambda: any(isinstance(event, kind) for event in events)
