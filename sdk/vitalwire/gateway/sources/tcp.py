"""Connects to boards, or to what stands in for their serial ports, over TCP or TLS; again whenever it was lost.

Over TLS the common name of a peer's certificate is the name of its device, unless `peers` says for which devices it
speaks. Without TLS nothing binds a peer: that is for this computer's own loopback, or said to be wanted (`anybody`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from vitalwire.errors import UsageError
from vitalwire.settings import Address, Tls

from .door import EVERY, Door, SourceSettings
from .peers import common_name
from .streams import Backoff, join

CONNECT_SECONDS = 10.0
LASTING = 5.0  # seconds: a connection that held so long was a good one


class Settings(SourceSettings):
    """`connect` are the peers' addresses; `tls` verifies that each is who its address says."""

    kind: Literal["tcp"]
    connect: tuple[Address, ...] = Field(min_length=1)
    tls: Tls | None = None
    peers: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)  # common name: devices
    anybody: bool = False

    @model_validator(mode="after")
    def _bound(self) -> Self:
        if self.tls is None and not self.anybody and not all(address.is_local for address in self.connect):
            raise ValueError("peers must show a certificate (tls), or anybody = true must be said")
        return self


def from_settings(settings: Settings) -> Tcp:
    """Return the source of these settings."""
    return Tcp(settings)


class Tcp:
    """Several peers, each with a task of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def run(self, door: Door) -> None:
        """Keep a connection to each peer."""
        async with asyncio.TaskGroup() as peers:
            for address in self._settings.connect:
                peers.create_task(self._keep(door, address))

    async def _keep(self, door: Door, address: Address) -> None:
        backoff = Backoff()
        while True:
            began = time.monotonic()
            try:
                tls = self._settings.tls
                context = None if tls is None else tls.context()
                async with asyncio.timeout(CONNECT_SECONDS):
                    reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
            except (OSError, TimeoutError, UsageError) as error:
                door.failed(str(address), str(error) or "no answer")
            else:
                name = common_name(writer.get_extra_info("peercert"))
                devices = (EVERY,) if name is None else self._settings.peers.get(name, (name,))
                await join(door, str(address), reader, writer, devices)
                if time.monotonic() - began > LASTING:
                    backoff.succeeded()
            await backoff.wait()
