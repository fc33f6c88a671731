"""A virtual board, or a ward of them, for each test that asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.mosquitto import Mosquitto

from vitalwire import crypto
from vitalwire.registry import Registry
from vitalwire_tools.provision import Identity
from vitalwire_tools.virtual.board import VirtualBoard
from vitalwire_tools.virtual.machine import Options, create

from .ward import Ward, broker


@dataclass(frozen=True)
class Bench:
    """A board, its identity, and a registry that knows it."""

    board: VirtualBoard
    identity: Identity
    registry: Registry

    @property
    def thumbprint(self) -> bytes:
        """Who the board is."""
        return crypto.thumbprint(self.identity.public_key)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Start boards; each gets its flash, its keys and its place in a registry, and ends with the test."""
    with ExitStack() as stack:

        def start(
            settings: dict[str, Any] | None = None, maker: bytes = b"", operator: bytes = b"", **options: Any
        ) -> Bench:
            folder = tmp_path / f"board{len(list(tmp_path.iterdir()))}"
            board = options.get("board", "")
            identity = create(folder, settings=settings, maker=maker, operator=operator, board=board)
            registry = stack.enter_context(Registry(tmp_path / f"{folder.name}.registry"))
            registry.enrol(crypto.thumbprint(identity.public_key), "virtual", secret=identity.secret)
            return Bench(stack.enter_context(VirtualBoard(Options(folder, **options))), identity, registry)

        yield start


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    """A ward of the test's own; its boards end with it."""
    with ExitStack() as stack:
        yield Ward(tmp_path, stack)


@pytest.fixture
def hub(ward: Ward) -> Iterator[Mosquitto]:
    """A broker that demands certificates and lets each device publish and hear its own topics only."""
    with broker(ward) as started:
        yield started
