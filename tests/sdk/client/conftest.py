"""A board made of Python, a registry that knows it, and a client connected to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakeboard import Board
from tests.sdk.client.reading import SECRET, Connect

import vitalwire
from vitalwire.capture import Writer
from vitalwire.client import ClientEvent
from vitalwire.registry import Registry
from vitalwire.session import ReplayState
from vitalwire.testing import FakeDevice


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry in memory."""
    registry = Registry()
    yield registry
    registry.close()


@pytest.fixture
def board(registry: Registry) -> Iterator[Board]:
    """A provisioned and enrolled board with two frames in its journal: descriptor and status."""
    with Board(secret=SECRET) as board:
        registry.enrol(board.device.thumbprint, "anna", secret=SECRET)
        board.send(board.device.descriptor(), board.device.status())
        yield board


@pytest.fixture
def state() -> Iterator[ReplayState]:
    """What a reader remembers, in memory."""
    state = ReplayState()
    yield state
    state.close()


@pytest.fixture
def events() -> list[ClientEvent]:
    """What `on_event` was told."""
    return []


@pytest.fixture
def connect(board: Board, registry: Registry, state: ReplayState, events: list[ClientEvent]) -> Connect:
    """Connect to the board with the fixtures' registry and state."""

    def connecting(**options: object) -> vitalwire.Client:
        chosen = {"registry": registry, "state": state, "settle": 0.0, "on_event": events.append, **options}
        return vitalwire.connect(board.url, **chosen)  # type: ignore[arg-type]

    return connecting


@pytest.fixture
def recording(tmp_path: Path, registry: Registry) -> tuple[Path, list[bytes]]:
    """A capture of forty frames and what is in it."""
    device, path = FakeDevice(), tmp_path / "a.cbor"
    registry.enrol(device.thumbprint, "recorded")
    device.utc_us = 1_700_000_000_000_000
    frames = [device.descriptor(), *(device.sampled() for _ in range(39))]
    with Writer(path) as writer:
        for frame in frames:
            writer.write(frame, device.utc_us)
    return path, frames
