"""Captures, played as if their devices were there: once, in order, at a speed."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

from pydantic import Field

from vitalwire.settings import Existing
from vitalwire.transports import from_url

from .door import Door, SourceSettings
from .pump import pump


class Settings(SourceSettings):
    """`speed` is in multiples of real time; 0: as fast as can be."""

    kind: Literal["replay"]
    files: tuple[Existing, ...] = Field(min_length=1)
    speed: float = Field(0.0, ge=0)


def from_settings(settings: Settings) -> Replay:
    """Return the source of these settings."""
    return Replay(settings)


class Replay:
    """Captures one after another."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def run(self, door: Door) -> None:
        """Play each file once. Raises TransportError or CaptureError if one cannot be read."""
        for file in self._settings.files:
            transport = from_url(f"replay:{quote(str(file))}?speed={self._settings.speed:g}")
            await pump(door, str(file), transport, timed=False)
