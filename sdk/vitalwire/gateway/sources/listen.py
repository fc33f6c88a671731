"""Boards and relays that connect to us over TLS, each bound by its certificate to the devices it speaks for.

The common name of a peer's certificate is the name of its device, unless `peers` says for which devices it speaks.
Without certificates nothing binds a peer: that is for this computer's own loopback, or said to be wanted (`anybody`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from vitalwire.errors import UsageError
from vitalwire.settings import Address, ServerTls, Watch

from .door import EVERY, Door, SourceSettings
from .peers import common_name
from .streams import join

LOOK = 2.0  # seconds between looks at whether certificates were changed


class Settings(SourceSettings):
    """`connections` is how many peers may be there at once."""

    kind: Literal["listen"]
    listen: Address
    tls: ServerTls | None = None
    peers: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)  # common name: devices
    anybody: bool = False
    connections: int = Field(1000, ge=1)

    @model_validator(mode="after")
    def _bound(self) -> Self:
        known = self.tls is not None and self.tls.ca is not None
        if not known and not self.anybody and not self.listen.is_local:
            raise ValueError("peers must show a certificate (tls with ca), or anybody = true must be said")
        return self


def from_settings(settings: Settings) -> Listen:
    """Return the source of these settings."""
    return Listen(settings)


class Listen:
    """One listening socket."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._peers: set[asyncio.Task[None]] = set()

    async def run(self, door: Door) -> None:
        """Let peers in. Raises OSError if nobody can listen there, UsageError without usable certificates.

        Changed certificates are for those who come from then on; where they cannot be used, it goes on as before.
        """
        settings = self._settings
        watch = Watch(settings)
        server: asyncio.Server | None = None
        try:
            while True:
                try:
                    context = None if settings.tls is None else settings.tls.context()
                except UsageError as error:
                    if server is None:
                        raise
                    door.failed("", f"goes on with the certificates it had: {error}")
                else:
                    if server is not None:
                        server.close()
                    server = await asyncio.start_server(
                        lambda reader, writer: self._came(door, reader, writer),
                        settings.listen.host,
                        settings.listen.port,
                        ssl=context,
                    )
                while not await asyncio.to_thread(watch.changed):
                    await asyncio.sleep(LOOK)
        finally:
            if server is not None:
                server.close()
            for task in self._peers:
                task.cancel()
            await asyncio.gather(*self._peers, return_exceptions=True)

    def _came(self, door: Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("peername")
        name = common_name(writer.get_extra_info("peercert"))
        peer = f"{name or 'somebody'} at {Address(*address[:2])}"
        if len(self._peers) >= self._settings.connections:
            door.failed(peer, "too many connections")
            writer.transport.abort()
            return
        devices = (EVERY,) if name is None else self._settings.peers.get(name, (name,))
        task = asyncio.ensure_future(self._join(door, peer, reader, writer, devices))
        self._peers.add(task)
        task.add_done_callback(self._peers.discard)

    @staticmethod
    async def _join(
        door: Door, peer: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, devices: tuple[str, ...]
    ) -> None:
        await join(door, peer, reader, writer, devices)
