"""A port: one peer of a source as the intake sees it. What comes in waits here, bounded, until the intake has time.

Sources call it from the event loop or from a thread of their own, the intake from its thread: what they share lies on
the intake's desk, under its lock.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from vitalwire.client import Line
from vitalwire.session import May

from .timing import Clock

MOST_WAITING = 64 << 10  # bytes of one port, beyond which its source is to read no more
MOST_ASKED = 65_536  # frames that somebody waits for an answer to
MOST_NEEDED = 16  # descriptors that frames of one port wait for


class Given(NamedTuple):
    """What a source gave: bytes of a stream, or one frame; and when it arrived (UTC microseconds)."""

    data: bytes
    is_frame: bool
    arrived_us: int
    timed: bool  # whether it came straight from its device


class Answer(NamedTuple):
    """What became of a frame: it is durable, or why it is not."""

    durable: bool
    why: str = ""


class Desk:
    """What ports and intake share: who gave something, in turns, and who waits for which frame's answer."""

    def __init__(self, utc_us: Clock) -> None:
        self.utc_us = utc_us
        self.changed = threading.Condition()
        self.busy: deque[Port] = deque()  # ports that gave something
        self._asked: dict[bytes, list[Callable[[Answer], None]]] = {}

    def ask(self, digest: bytes, tell: Callable[[Answer], None]) -> bool:
        """Note that somebody waits for a frame; False: too many do."""
        with self.changed:
            if len(self._asked) >= MOST_ASKED:
                return False
            self._asked.setdefault(digest, []).append(tell)
            return True

    def leave(self, digest: bytes, tell: Callable[[Answer], None]) -> None:
        """Note that somebody waits no more."""
        with self.changed:
            waiting = self._asked.get(digest, [])
            if tell in waiting:
                waiting.remove(tell)
            if not waiting:
                self._asked.pop(digest, None)

    def answer(self, digest: bytes, answer: Answer) -> None:
        """Tell those who wait for a frame what became of it."""
        if self._asked:
            with self.changed:
                waiting = self._asked.pop(digest, ())
            for tell in waiting:
                tell(answer)


class Port:
    """Made by `Intake.port`. `line` is there if packets travel here, and `send` then takes the bytes of the answers."""

    def __init__(
        self, source: str, peer: str, may: May | None, send: Callable[[bytes], None] | None, desk: Desk
    ) -> None:
        self.source = source
        self.peer = peer
        self.may = may
        self.send = send
        self.line: Line | None = None
        self.devices: set[bytes] = set()  # the intake's: which sent frames through here
        self.needs: deque[bytes] = deque(maxlen=MOST_NEEDED)  # the intake's: descriptors that are waited for
        self.left_out = False  # the intake's: whether frames were, for want of room
        self.closed = False
        self._desk = desk
        self._given: deque[Given] = deque()
        self._bytes = 0
        self._room: list[Callable[[], object]] = []

    # ------------------------------------------------------------ the source's side

    def give(self, data: bytes, *, timed: bool = True) -> None:
        """Give bytes of the stream; look at `is_full` before reading more."""
        self._put(Given(data, False, self._desk.utc_us(), timed))

    def give_frame(self, raw: bytes) -> None:
        """Give one frame."""
        self._put(Given(raw, True, self._desk.utc_us(), False))

    async def ask_frames(self, raws: Sequence[bytes], patience: float) -> list[Answer]:
        """Give frames in this order and wait until each is durable or refused, at most so many seconds."""
        loop = asyncio.get_running_loop()
        asked = [(hashlib.sha256(raw).digest(), loop.create_future()) for raw in raws]

        def teller(answered: asyncio.Future[Answer]) -> Callable[[Answer], None]:
            def tell(found: Answer) -> None:
                loop.call_soon_threadsafe(lambda: None if answered.done() else answered.set_result(found))

            return tell

        telling = [(digest, teller(answered)) for digest, answered in asked]
        try:
            async with asyncio.timeout(patience):
                for raw, (digest, tell), (_, answered) in zip(raws, telling, asked, strict=True):
                    if self._desk.ask(digest, tell):
                        await self.room()
                        self.give_frame(raw)
                    else:
                        answered.set_result(Answer(False, "busy"))
                await asyncio.gather(*(answered for _, answered in asked))
        except TimeoutError:
            pass
        finally:
            for digest, tell in telling:
                self._desk.leave(digest, tell)
        return [
            answered.result() if answered.done() and not answered.cancelled() else Answer(False, "waiting")
            for _, answered in asked
        ]

    @property
    def is_full(self) -> bool:
        """Whether the source should wait."""
        return self._bytes > MOST_WAITING

    async def room(self) -> None:
        """Wait until there is room."""
        loop, free = asyncio.get_running_loop(), asyncio.Event()
        while self.is_full and not self.closed:
            free.clear()
            self._when_free(lambda: loop.call_soon_threadsafe(free.set))
            await free.wait()

    def wait_room(self, seconds: float) -> bool:
        """Wait in a thread for room, at most so long; return whether there is some."""
        if not self.is_full:
            return True
        free = threading.Event()
        self._when_free(free.set)
        return free.wait(seconds)

    def close(self) -> None:
        """Say that the peer is gone; what it gave is still dealt with."""
        with self._desk.changed:
            self.closed = True
            room, self._room = self._room, []
        for call in room:
            call()

    def _when_free(self, call: Callable[[], object]) -> None:
        with self._desk.changed:
            if self.is_full and not self.closed:
                self._room.append(call)
                return
        call()

    def _put(self, given: Given) -> None:
        with self._desk.changed:
            if not self._given:
                self._desk.busy.append(self)
            self._given.append(given)
            self._bytes += len(given.data)
            self._desk.changed.notify()

    # ------------------------------------------------------------ the intake's side, under the desk's lock

    def take(self, most: int) -> list[Given]:
        """Return what was given first, about so many bytes of it; what is left comes up again behind the others."""
        taken: list[Given] = []
        while self._given and most > 0:
            taken.append(self._given.popleft())
            most -= len(taken[-1].data)
            self._bytes -= len(taken[-1].data)
        if self._given:
            self._desk.busy.append(self)
        if self._room and self._bytes <= MOST_WAITING // 2:
            room, self._room = self._room, []
            for call in room:
                call()
        return taken
