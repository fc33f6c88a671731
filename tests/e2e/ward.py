"""A ward: the real gateway, boards that connect out to it or to a broker before it, and certificates for all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.gateway.site import Site
from tests.mosquitto import Mosquitto
from tests.papers import Authority, put
from tests.sinks.servers import free_port

from vitalwire import crypto
from vitalwire.frame import parse
from vitalwire.gateway import Concluded
from vitalwire.messages import Event, Frame
from vitalwire.registry import Registry
from vitalwire.session import Burned
from vitalwire_tools.provision import Identity
from vitalwire_tools.virtual.board import VirtualBoard
from vitalwire_tools.virtual.machine import Options, create

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
        keys: dict[str, Any] | None = None,
        **options: Any,
    ) -> VirtualBoard:
        """Start a board that is enrolled, with these links, the files of its certificate and others' public keys."""
        folder = self.folder / f"board{len(list(self.folder.iterdir()))}"
        identity = create(
            folder,
            settings={"links": links, "ntp": "127.0.0.1", "frame_ms": 1000, "status_s": 5, **(settings or {})},
            **(keys or {}),
        )
        put(folder, (files or self.authority.device)(identity))
        with Registry(self.site.registry) as registry:
            registry.enrol(crypto.thumbprint(identity.public_key), "virtual", secret=identity.secret)
        return self._stack.enter_context(VirtualBoard(Options(folder, **{"speed": 10.0, **options})))

    def listen(self, certificate: tuple[Path, Path] | None = None) -> str:
        """Return the table of a source that boards connect to."""
        pem, key = certificate or self.authority.server()
        return (
            f'[source.ward]\nkind = "listen"\nlisten = "127.0.0.1:{self.port}"\n'
            f'tls = {{ certificate = "{pem}", key = "{key}", ca = "{self.authority.pem}" }}\n'
        )

    def passkey(self) -> int:
        """Return what a central has to type to bond with the only board."""
        with Registry(self.site.registry) as registry:
            (device,) = registry
            secret = registry.secret(device.thumbprint)
        assert secret is not None
        return crypto.passkey(secret, device.thumbprint)

    def seqs(self) -> list[int]:
        """Return the numbers of what is durable: the spool holds all of it, since nothing takes it on."""
        database = f"file:{self.folder / 'spool.db'}?mode=ro"
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(database, uri=True)) as spool:
            return [seq for (seq,) in spool.execute("SELECT seq FROM entries")]
        return []  # it is not there yet

    def frames(self) -> list[Frame]:
        """Return the frames that are durable, in order."""
        database = f"file:{self.folder / 'spool.db'}?mode=ro"
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(database, uri=True)) as spool:
            return [parse(raw) for (raw,) in spool.execute("SELECT raw FROM entries ORDER BY seq")]
        return []  # it is not there yet

    def events(self) -> list[Event]:
        """Return what happened, of the frames that are durable."""
        return [event for frame in self.frames() for event in frame.events]

    async def whole(self, count: int) -> None:
        """Wait until so many frames are durable, each number from the first on once, but for proven never made."""
        await self.site.until(lambda: len(seqs := self.seqs()) >= count and not self._missing(seqs))
        seqs = self.seqs()
        assert len(set(seqs)) == len(seqs)

    def _missing(self, seqs: list[int]) -> set[int]:
        burned = [event.outcome for event in self.site.of(Concluded) if isinstance(event.outcome, Burned)]
        never = {seq for each in burned for seq in range(each.first, each.last + 1)}
        return set(range(1, max(seqs))) - set(seqs) - never


@contextmanager
def broker(
    ward: Ward, certificate: tuple[Path, Path] | None = None, settings: Sequence[str] = ()
) -> Iterator[Mosquitto]:
    """A broker that demands certificates and lets each device publish and hear its own topics only."""
    pem, key = certificate or ward.authority.server()
    rules = ward.folder / "acl"
    rules.write_text(
        "user gateway\ntopic readwrite #\n"
        "pattern write devices/%u/messages/events/#\npattern read devices/%u/messages/devicebound/#\n"
        "pattern readwrite $iothub/#\n"  # a hub's own names, without a device's
    )
    lines = [
        f"cafile {ward.authority.pem}", f"certfile {pem}", f"keyfile {key}", "require_certificate true",
        "use_identity_as_username true", f"acl_file {rules}", "log_type all", *settings,
    ]  # fmt: skip
    with Mosquitto(ward.folder / "broker", lines, anonymous=False) as started:
        yield started


def subscribed(ward: Ward, hub: Mosquitto) -> str:
    """Return the table of a source that takes what boards publish there."""
    pem, key = ward.authority.server("gateway")
    return (
        f'[source.hub]\nkind = "mqtt"\ntopics = "iothub"\nhost = "localhost"\nport = {hub.port}\n'
        f'tls = {{ ca = "{ward.authority.pem}", certificate = "{pem}", key = "{key}" }}\n'
    )
