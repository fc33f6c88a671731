"""Connects to boards, or to what stands in for their serial ports, over TCP or TLS; again whenever it was lost."""

from __future__ import annotations

import asyncio
import time
from typing import Literal

from pydantic import Field

from vitalwire.errors import UsageError
from vitalwire.settings import Tls

from .address import Address
from .door import Door, SourceSettings
from .streams import Backoff, join

CONNECT_SECONDS = 10.0
LASTING = 5.0  # seconds: a connection that held so long was a good one


class Settings(SourceSettings):
    """`tls`, if given, verifies the peer's name; without, `devices` is all that binds the peer."""

    kind: Literal["tcp"]
    connect: tuple[Address, ...] = Field(min_length=1)
    tls: Tls | None = None


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
                await join(door, str(address), reader, writer)
                if time.monotonic() - began > LASTING:
                    backoff.succeeded()
            await backoff.wait()
