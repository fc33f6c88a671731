"""Connecting to a device, or to a recording of one, and reading what it proves."""

from __future__ import annotations

from typing import Unpack

from vitalwire.transports import Transport

from .aio import AsyncClient
from .client import Client, Options
from .conversation import ClientEvent, Connected, Conversation, Disconnected
from .frame import VerifiedFrame
from .line import Line, LineEvent

__all__ = [
    "AsyncClient",
    "Client",
    "ClientEvent",
    "Connected",
    "Conversation",
    "Disconnected",
    "Line",
    "LineEvent",
    "Options",
    "VerifiedFrame",
    "aconnect",
    "connect",
]


def connect(url: str | Transport, **options: Unpack[Options]) -> Client:
    """Open `serial:///dev/ttyUSB0`, `tcp://host:port` or `replay:FILE?speed=10` and return its client.

    The client iterates over the verified frames of enrolled devices, in their order, and is a context manager. Asking
    it for the next frame says that the ones before are durable: their device may erase them. Who stores them later
    gives `auto_acknowledge=False` and calls `Client.durable`. All options: `Options`.

    Raises UsageError for a wrong address, TransportError if it cannot be opened now.
    """
    client = Client(url, **options)
    try:
        client.open()
    except BaseException:
        client.close()
        raise
    return client


def aconnect(url: str | Transport, **options: Unpack[Options]) -> AsyncClient:
    """Return what `connect` does for asyncio: `async with aconnect(url) as client: async for frame in client: ...`."""
    return AsyncClient(url, **options)
