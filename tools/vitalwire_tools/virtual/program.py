"""The lines between a virtual radio and the board's program: calls and their answers, events and what handlers return.

One JSON object a line, over a socket; knows no radio. The other end is virtual/modules/bluetooth.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

ANSWER_SECONDS = 10.0

Spawn = Callable[[Coroutine[Any, Any, None]], None]  # runs what nobody waits for


class Program:
    """A board's program. What it may call is in `calls`, by the names in MicroPython; an OSError is its answer too."""

    def __init__(self, writer: asyncio.StreamWriter, spawn: Spawn, calls: Mapping[str, Callable[..., Any]]) -> None:
        self._writer, self._spawn, self._calls = writer, spawn, calls
        self._waiting: asyncio.Future[Any] | None = None
        self._turn = asyncio.Lock()

    def receive(self, line: bytes) -> None:
        """Take a line from the board."""
        message = json.loads(line)
        if "done" in message:
            if self._waiting and not self._waiting.done():
                self._waiting.set_result(message["done"])
            return
        try:
            answer = self._calls[message["call"]](*message["args"])
        except OSError as error:
            self._answer(message, None, error.errno or errno.EIO)
            return
        if inspect.isawaitable(answer):
            self._spawn(self._finish(message, answer))
        else:
            self._answer(message, answer)

    async def _finish(self, message: dict[str, Any], work: Awaitable[Any]) -> None:
        try:
            self._answer(message, await work)
        except OSError as error:
            self._answer(message, None, error.errno or errno.EIO)

    def _answer(self, message: dict[str, Any], answer: Any, code: int = 0) -> None:
        self._send({"answer": answer, "errno": code, "id": message["id"]})

    def _send(self, message: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def tell(self, event: int, *data: int | bytes | None) -> Any:
        """Call the board's handler and wait for what it returns, as NimBLE does."""
        async with self._turn:
            self._waiting = asyncio.get_running_loop().create_future()
            self._send({"event": event, "data": [v.hex() if isinstance(v, bytes) else v for v in data]})
            return await asyncio.wait_for(self._waiting, ANSWER_SECONDS)

    def tell_later(self, event: int, *data: int | bytes) -> None:
        """Call the board's handler, whatever it returns and whether or not it does."""

        async def tell() -> None:
            with contextlib.suppress(TimeoutError):
                await self.tell(event, *data)

        self._spawn(tell())

    def gone(self) -> None:
        """Nobody answers any more."""
        if self._waiting and not self._waiting.done():
            self._waiting.cancel()

    def close(self) -> None:
        """Hang up on the board."""
        self._writer.close()
