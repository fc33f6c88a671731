"""Messages played back at their own pace, or any other; does not know what they are or where they come from."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass

from vitalwire.errors import TransportError

MAX_CLOCKS = 64


@dataclass(frozen=True, slots=True)
class Timed:
    """One message: its bytes, and that it is due `at` seconds of some clock, or at once without one.

    `pinned` ones are spared from faults.
    """

    data: bytes
    clock: Hashable = None
    at: float = 0.0
    arrived_us: int | None = None
    pinned: bool = False


class Replay:
    """Plays messages `speed` times as fast as their clocks, from the beginning each time it is opened; 0: no waiting.

    What begins a clock not heard of yet (another device, another boot) is due at once. Writing goes nowhere.
    """

    def __init__(self, messages: Callable[[], Iterable[Timed]], speed: float = 1.0) -> None:
        self._messages = messages
        self._speed = speed
        self._playing: Iterator[Timed] | None = None
        self._next: Timed | None = None
        self._origins: OrderedDict[Hashable, float] = OrderedDict()
        self.arrived_us: int | None = None

    def open(self) -> None:
        """Begin at the beginning."""
        self._playing = iter(self._messages())
        self._next = None
        self._origins.clear()

    def read(self, timeout: float) -> bytes | None:
        """Return the next message once it is due, b"" if that is later than `timeout` seconds, None at the end."""
        if self._playing is None:
            raise TransportError("the replay is not open")
        if self._next is None:
            self._next = next(self._playing, None)
        message = self._next
        if message is None:
            return None
        wait = self._due(message) - time.monotonic()
        if wait > 0:
            time.sleep(min(wait, timeout))
            if wait > timeout:
                return b""
        self._next = None
        self.arrived_us = message.arrived_us
        return message.data

    def _due(self, message: Timed) -> float:
        if not self._speed or message.clock is None:
            return 0.0
        if message.clock not in self._origins:
            self._origins[message.clock] = time.monotonic() - message.at / self._speed
            if len(self._origins) > MAX_CLOCKS:
                self._origins.popitem(last=False)
        return self._origins[message.clock] + message.at / self._speed

    def write(self, data: bytes) -> None:
        """Drop `data`: nobody is there to read it."""

    def close(self) -> None:
        """Stop."""
        self._playing = None
