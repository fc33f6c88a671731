"""The client for asyncio: the same one, at work in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Self, TypeVar, Unpack

from vitalwire.clock import DeviceClock
from vitalwire.control.command import Argument
from vitalwire.errors import UsageError
from vitalwire.transports import Transport
from vitalwire_protocol.spec import Command

from .client import Client, Options
from .conversation import ClientEvent
from .frame import VerifiedFrame

PATIENCE = 0.25  # seconds the thread is away for at a time, and closing may have to wait

T = TypeVar("T")


class AsyncClient:
    """Reads one stream. Made by `aconnect`; an asynchronous context manager and iterator over verified frames.

    Cancelling a wait loses no frame: the next one returns it. `on_event` is called in the event loop.
    """

    def __init__(self, url: str | Transport, **options: Unpack[Options]) -> None:
        self._url = url
        self._options = options
        self._worker = ThreadPoolExecutor(1, "vitalwire")
        self._client: Client | None = None
        self._coming: asyncio.Future[VerifiedFrame | None] | None = None

    async def __aenter__(self) -> Self:
        loop, told = asyncio.get_running_loop(), self._options.get("on_event")

        def tell(event: ClientEvent) -> None:
            if told is not None:
                loop.call_soon_threadsafe(told, event)

        options = self._options.copy()
        options["on_event"] = tell
        self._client = Client(self._url, **options)
        try:
            await self._run(self._client.open)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def receive(self, timeout: float | None = None) -> VerifiedFrame | None:
        """Do what `Client.receive` does."""
        loop = asyncio.get_running_loop()
        until = None if timeout is None else loop.time() + timeout
        while True:
            left = PATIENCE if until is None else until - loop.time()
            if self._coming is None:
                wait = max(0.0, min(PATIENCE, left))
                self._coming = asyncio.ensure_future(self._run(partial(self._opened.receive, wait)))
            coming = self._coming
            try:
                frame = await asyncio.shield(coming)
            except asyncio.CancelledError:
                raise  # what is still coming is for the next call
            except BaseException:
                self._coming = None
                raise
            self._coming = None
            if frame is not None or self._opened.ended or left <= 0:
                return frame

    def __aiter__(self) -> AsyncIterator[VerifiedFrame]:
        """Yield verified frames until the source ends, which a live one never does."""
        return self

    async def __anext__(self) -> VerifiedFrame:
        frame = await self.receive()
        if frame is None:
            raise StopAsyncIteration
        return frame

    async def durable(self, frames: Iterable[VerifiedFrame]) -> None:
        """Do what `Client.durable` does."""
        await self._run(partial(self._opened.durable, list(frames)))

    async def command(self, command: Command, argument: Argument = None) -> None:
        """Do what `Client.command` does."""
        await self._run(partial(self._opened.command, command, argument))

    def clock(self, device: bytes) -> DeviceClock:
        """Return the clocks of a device; only to look at while no `receive` is under way."""
        return self._opened.clock(device)

    async def close(self) -> None:
        """Do what `Client.close` does; again does nothing."""
        client, self._client = self._client, None
        if client is not None:
            try:
                if self._coming is not None:
                    await asyncio.gather(self._coming, return_exceptions=True)
                await self._run(client.close)
            finally:
                self._worker.shutdown(wait=False)

    @property
    def _opened(self) -> Client:
        if self._client is None:
            raise UsageError("the client is not open", advice="Use it inside `async with`.")
        return self._client

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, call)
