"""A board that connects out, over TLS or several links at once, to the real gateway: each frame once, none lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.site import Site
from tests.papers import Authority, put
from tests.sinks.servers import free_port

from vitalwire import crypto
from vitalwire.gateway import Concluded, SourceChanged, Spooled
from vitalwire.registry import Registry
from vitalwire.session import Duplicate, SecurityEvent
from vitalwire.spool import Entry
from vitalwire_tools.provision import Identity
from vitalwire_tools.virtual.board import VirtualBoard
from vitalwire_tools.virtual.machine import Options, create

HEAP = 192 * 1024  # bytes: each link takes some beside the standard profile (firmware/README.md)
NOWHERE = '[sink.nowhere]\nkind = "http"\nurl = "http://127.0.0.1:9/"\n'  # nobody listens there


class Ward:
    """A gateway in a folder, an authority, and boards that it signed."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.authority = Authority(folder / "tls")
        self.port = free_port()
        self.site = Site(folder)
        self._stack = stack

    def board(
        self,
        links: list[str],
        files: Callable[[Identity], dict[str, bytes]] | None = None,
        settings: dict[str, Any] | None = None,
        **options: Any,
    ) -> VirtualBoard:
        """Start a board that is enrolled, with these links and the files of its certificate."""
        folder = self.folder / f"board{len(list(self.folder.iterdir()))}"
        identity = create(folder, settings={"links": links, "frame_ms": 1000, "status_s": 5, **(settings or {})})
        put(folder, (files or self.authority.device)(identity))
        with Registry(self.site.registry) as registry:
            registry.enrol(crypto.thumbprint(identity.public_key), "virtual", secret=identity.secret)
        return self._stack.enter_context(VirtualBoard(Options(folder, **{"speed": 10.0, "heap": HEAP, **options})))

    def listen(self, certificate: tuple[Path, Path] | None = None) -> str:
        """Return the table of a source that boards connect to."""
        pem, key = certificate or self.authority.server()
        return (
            f'[source.ward]\nkind = "listen"\nlisten = "127.0.0.1:{self.port}"\n'
            f'tls = {{ certificate = "{pem}", key = "{key}", ca = "{self.authority.pem}" }}\n'
        )

    def entries(self) -> list[Entry]:
        """Return what is durable, in order."""
        return [entry for event in self.site.of(Spooled) for entry in event.entries]

    async def whole(self, count: int) -> None:
        """Wait until so many frames are durable, each number from the first on once; late ones may come later."""
        await self.site.until(lambda: len(self.entries()) >= count and self._gapless())
        assert len({entry.seq for entry in self.entries()}) == len(self.entries())

    def _gapless(self) -> bool:
        return {entry.seq for entry in self.entries()} == set(range(1, len(self.entries()) + 1))


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    """A ward of the test's own; its boards end with it."""
    with ExitStack() as stack:
        yield Ward(tmp_path, stack)


@pytest.mark.asyncio
async def test_over_two_links_each_frame_comes_once(ward: Ward) -> None:
    """A board on TLS and serial at once is one device to the gateway: frames come twice, and are taken once."""
    board = ward.board([f"tls://localhost:{ward.port}", "serial"])
    ward.site.configure(ward.listen(), f'[source.wire]\nkind = "serial"\nports = ["{board.port}"]\n', NOWHERE)
    async with ward.site.running():
        await ward.whole(30)
    sources = {event.source for event in ward.site.of(Concluded) if isinstance(event.outcome, Duplicate)}
    assert sources
    assert {event.source for event in ward.site.of(SourceChanged) if event.up} == {"ward", "wire"}


@pytest.mark.asyncio
async def test_a_board_connects_again_and_loses_nothing(ward: Ward) -> None:
    """While the gateway is away frames wait in the journal; each new connection brings them, none twice."""
    ward.board([f"tls://localhost:{ward.port}"])
    ward.site.configure(ward.listen(), NOWHERE)
    for count in (10, 40):
        async with ward.site.running():
            await ward.site.until(lambda count=count: len(ward.entries()) >= count)
        await asyncio.sleep(1)
    async with ward.site.running():
        await ward.whole(70)


@pytest.mark.asyncio
async def test_a_board_cut_at_random_moments_loses_nothing(ward: Ward) -> None:
    """Power cuts at any moment of a connection cost no frame that was made: the chain has no gap."""
    board = ward.board([f"tls://localhost:{ward.port}"])
    ward.site.configure(ward.listen(), NOWHERE)
    moments = random.Random(7)
    async with ward.site.running():
        for _ in range(4):
            known = len(ward.entries())
            await ward.site.until(lambda known=known: len(ward.entries()) > known + 3)
            await asyncio.sleep(moments.uniform(0, 0.4))
            board.power_cut()
            board.power_on()
        known = len(ward.entries())
        await ward.site.until(lambda: len(ward.entries()) > known + 8)
    entries = ward.entries()
    assert len({entry.seq for entry in entries}) == len(entries)
    assert {entry.boot for entry in entries} == {1, 2, 3, 4, 5}
    assert not [event for event in ward.site.of(Concluded) if isinstance(event.outcome, SecurityEvent)]
