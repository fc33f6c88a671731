"""One sink's task: what lies behind its cursor, a batch at a time, until its peer has it; then the cursor moves.

A failed delivery comes again after a pause that grows, half of it by chance; after several in a row the sink counts as
broken and is tried rarely, one entry first. What a sink rejects, and a single entry at which it fails again and again
by a bug, becomes a dead letter, so that the rest goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Sequence

from vitalwire.errors import SinkError, SpoolError
from vitalwire.settings import Watch
from vitalwire.sinks import Keeping, Rejected, Sink, SinkSettings
from vitalwire.spool import Entry, Spool

from .events import Buried, Delivered, GatewayEvent, SinkChanged, SinkState
from .timing import Clock, utc_us

FIRST_WAIT = 0.25  # seconds after the first failure; doubles, up to
LONGEST_WAIT = 30.0
BROKEN_AFTER = 6  # failures in a row
MOST_WAIT = 3600.0  # seconds that a peer may ask us to wait
BUGS = 3  # times that a sink may fail at one entry without saying why
LOOK = 2.0  # seconds between looks at dead letters to try again, and at changed files

log = logging.getLogger("vitalwire.gateway")


class Delivery:
    """Brings entries of a spool to a sink; `tell` is called in the event loop."""

    def __init__(
        self,
        name: str,
        settings: SinkSettings,
        sink: Sink,
        spool: Spool,
        tell: Callable[[GatewayEvent], None],
        utc_us: Clock = utc_us,
    ) -> None:
        self._name = name
        self._settings = settings
        self._sink = sink
        self._spool = spool
        self._tell = tell
        self._utc_us = utc_us
        self._cursor = spool.cursor(name)
        self._more = asyncio.Event()
        self._ending = False
        self._is_open = False
        self._failures = 0
        self._bugs = 0
        self._most = settings.batch
        self._watch = Watch(settings)
        self._looked_at = float("-inf")
        self._told_up = False

    def notify(self) -> None:
        """Say that there is more."""
        self._more.set()

    def end(self) -> None:
        """Ask `run` to return once everything there is is delivered, or at the first failure."""
        self._ending = True
        self._more.set()

    async def run(self) -> None:
        """Deliver until cancelled or ended."""
        try:
            while not (await self._round() and self._ending):
                pass
        finally:
            await self._close()
            self._tell(SinkChanged(self._name, SinkState.STOPPED))

    async def _round(self) -> bool:
        """Deliver one batch, or wait for one; return whether this is a moment to end."""
        self._more.clear()
        await self._look()
        batch = await asyncio.to_thread(self._spool.read, self._cursor, self._most)
        if batch:
            if not await self._try(batch):
                return True
            self._cursor = batch[-1].position
            self._spool.advance(self._name, self._cursor)  # not awaited: unwritten, it costs a repeated delivery
            return False
        if not self._ending and (self._is_open or await self._try(())):  # what is wrong with it is told at once
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._more.wait()
        return True

    async def _look(self) -> None:
        """Try dead letters again that somebody asked for, and ask a sink that keeps things what became of them.

        Begin anew if a certificate or secret was changed.
        """
        if time.monotonic() - self._looked_at < LOOK:
            return
        self._looked_at = time.monotonic()
        if await asyncio.to_thread(self._watch.changed):
            await self._close()
        again = await asyncio.to_thread(self._spool.redriven, self._name, self._most)
        if again or (self._is_open and isinstance(self._sink, Keeping)):
            await self._try(again, again=True)

    # ------------------------------------------------------------ one batch

    async def _try(self, batch: Sequence[Entry], *, again: bool = False) -> bool:
        """Return whether the peer has a batch, but for what became dead letters."""
        sent_us = self._utc_us()
        try:
            if not self._is_open:
                self._tell(SinkChanged(self._name, SinkState.OPENING))
                async with asyncio.timeout(self._settings.patience):
                    await self._sink.open()
                self._is_open = True
            async with asyncio.timeout(self._settings.patience):
                rejected = await self._sink.deliver(batch) if batch or isinstance(self._sink, Keeping) else ()
        except SinkError as error:
            await self._failed(str(error), error.retry_after)
            return False
        except TimeoutError:
            await self._failed(f"nothing within {self._settings.patience:g} s", 0.0)
            return False
        except Exception as error:
            log.exception("the sink %s failed", self._name)
            if len(batch) != 1 or self._bugs < BUGS:
                self._bugs += len(batch) == 1
                self._most = max(1, len(batch) // 2)
                await self._failed(type(error).__name__, 0.0)
                return False
            rejected = [Rejected(batch[0].position, f"the sink failed: {type(error).__name__}")]
        try:
            await self._settle(batch, rejected, sent_us, again=again)
        except SpoolError as error:  # dead letters that nobody keeps must not be passed over
            await self._failed(str(error), 0.0)
            return False
        return True

    async def _settle(self, batch: Sequence[Entry], rejected: Sequence[Rejected], sent_us: int, *, again: bool) -> None:
        reasons = {each.position: each.why for each in rejected}
        dead = {each.position: each for each in batch if each.position in reasons}
        dead |= {each.position: each.entry for each in rejected if each.entry is not None}
        buried = [
            self._spool.bury(self._name, each, reasons[position], self._utc_us()) for position, each in dead.items()
        ]
        if again:
            buried += [
                self._spool.raise_dead(self._name, each.position) for each in batch if each.position not in reasons
            ]
        await asyncio.gather(*map(asyncio.wrap_future, buried))
        if self._failures or self._most < self._settings.batch:
            self._most = min(self._settings.batch, self._most * 2)
        if not batch and not again:
            self._tell(SinkChanged(self._name, SinkState.READY))
        elif batch and (self._failures or not self._told_up):
            self._tell(SinkChanged(self._name, SinkState.UP))
            self._told_up = True
        self._failures = self._bugs = 0
        for entry in dead.values():
            self._tell(Buried(self._name, entry, reasons[entry.position]))
        delivered = tuple(entry for entry in batch if entry.position not in reasons)
        if batch:
            self._tell(Delivered(self._name, delivered, sent_us, self._utc_us()))

    async def _failed(self, why: str, retry_after: float) -> None:
        """Close the sink and wait."""
        await self._close()
        self._failures += 1
        self._told_up = False
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self._failures - 1, 16)) * random.uniform(0.5, 1.0)  # noqa: S311
        wait = max(wait, min(retry_after, MOST_WAIT))
        state = SinkState.WAITING
        if self._failures >= BROKEN_AFTER:
            state, self._most = SinkState.BROKEN, 1
        self._tell(SinkChanged(self._name, state, why, wait))
        until = time.monotonic() + wait
        while not self._ending and (left := until - time.monotonic()) > 0:
            self._more.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._more.wait()

    async def _close(self) -> None:
        self._is_open = False
        try:
            async with asyncio.timeout(LOOK):
                await self._sink.close()
        except Exception:
            log.exception("the sink %s did not close", self._name)
