"""Serial ports that come and go: whatever matches a pattern is read for as long as it is there."""

from __future__ import annotations

import asyncio
import contextlib
import glob
from typing import Literal

from pydantic import Field

from vitalwire.errors import TransportError
from vitalwire.transports import from_url

from .door import Door, SourceSettings
from .pump import pump
from .streams import Backoff

LOOK = 1.0  # seconds between looks at which ports there are


class Settings(SourceSettings):
    """`ports` are paths, or patterns of paths such as /dev/serial/by-id/*."""

    kind: Literal["serial"]
    ports: tuple[str, ...] = Field(min_length=1)
    baud: int = Field(115_200, gt=0)


def from_settings(settings: Settings) -> Serial:
    """Return the source of these settings."""
    return Serial(settings)


class Serial:
    """All ports that match."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self, door: Door) -> None:
        """Read every port that appears until it vanishes."""
        try:
            while True:
                for path in await asyncio.to_thread(self._there):
                    if path not in self._tasks:
                        self._tasks[path] = asyncio.create_task(self._keep(door, path))
                await asyncio.sleep(LOOK)
                for path in [path for path, task in self._tasks.items() if task.done()]:
                    self._tasks.pop(path).result()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _there(self) -> set[str]:
        return {path for pattern in self._settings.ports for path in glob.glob(pattern)}

    async def _keep(self, door: Door, path: str) -> None:
        """Read a port for as long as it is there."""
        backoff = Backoff()
        while path in await asyncio.to_thread(self._there):
            transport = from_url(f"serial://{path}?baud={self._settings.baud}")
            with contextlib.suppress(TransportError):
                await pump(door, path, transport, timed=True)
            await backoff.wait()
