"""Boards in reach over Bluetooth LE, each read by name or address for as long as it is there."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Literal
from urllib.parse import quote

from pydantic import Field

from vitalwire.errors import TransportError
from vitalwire.transports import from_url

from .door import Door, SourceSettings
from .pump import pump
from .streams import Backoff

LASTING = 5.0  # seconds: a connection that held so long was a good one


class Settings(SourceSettings):
    """`connect` are names or addresses, as the boards advertise themselves; they must have been paired with before."""

    kind: Literal["ble"]
    connect: tuple[str, ...] = Field(min_length=1)


def from_settings(settings: Settings) -> Ble:
    """Return the source of these settings."""
    return Ble(settings)


class Ble:
    """Several boards, each with a task of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def run(self, door: Door) -> None:
        """Keep a connection to each board. Raises UsageError where there is no Bluetooth library."""
        async with asyncio.TaskGroup() as boards:
            for name in self._settings.connect:
                boards.create_task(self._keep(door, name))

    async def _keep(self, door: Door, name: str) -> None:
        backoff = Backoff()
        while True:
            began = time.monotonic()
            transport = from_url(f"ble://{quote(name)}")
            try:
                with contextlib.suppress(TransportError):
                    await pump(door, name, transport, timed=True)
            finally:
                await asyncio.to_thread(transport.close)  # it may be opening in a thread that nobody waits for
            if time.monotonic() - began > LASTING:
                backoff.succeeded()
            await backoff.wait()
