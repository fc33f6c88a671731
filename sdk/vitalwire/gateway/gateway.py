"""The gateway: puts sources, intake, spool and deliveries together, and takes them apart in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from vitalwire.errors import UsageError, VitalwireError
from vitalwire.messages import Descriptor
from vitalwire.registry import Registry
from vitalwire.session import ReplayState, Session
from vitalwire.sinks import Controlling
from vitalwire.sinks import make as make_sink
from vitalwire.spool import Bound, Full, Lost, Quarantine, Spool, State

from .config import Config
from .courier import Courier
from .delivery import Delivery
from .events import GatewayEvent, Observer, RoomLost, SourceChanged, Spooled
from .intake import Intake
from .jobs import Jobs
from .quarantine import SOURCE, release
from .sources import Door
from .sources import make as make_source
from .timing import Clock, utc_us

MEGABYTE = 1_000_000
AGAIN = 5.0  # seconds until a source that failed begins anew

log = logging.getLogger("vitalwire.gateway")


class _Open(NamedTuple):
    """What a running gateway has open."""

    spool: Spool
    quarantine: Quarantine
    registry: Registry
    session: Session
    intake: Intake
    jobs: Jobs


class Gateway:
    """One gateway; `observer` is told everything that happens, `utc_us` is this computer's clock."""

    def __init__(self, config: Config, observer: Observer | None = None, *, utc_us: Clock = utc_us) -> None:
        if not config.sinks:
            raise UsageError(
                f"{config.file} has no [sink.NAME]", advice="a gateway without one would only fill its disk"
            )
        self._config = config
        self._observer = observer
        self._utc_us = utc_us
        self._deliveries: list[Delivery] = []
        self._open: _Open | None = None

    def state(self) -> State | None:
        """Return how full the spool is and how far each sink, None while the gateway does not run."""
        there = self._open
        return None if there is None else there.spool.state()._replace(suspects=there.quarantine.counts())

    def descriptor(self, digest: bytes) -> Descriptor | None:
        """Return the descriptor that frames call by this digest (8 bytes), if it is known."""
        return None if self._open is None else self._open.session.descriptor(digest)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; then take no more, and give the sinks `gateway.stop` seconds for what is there.

        Raises VitalwireError for what makes it useless to begin.
        """
        async with self._opened() as (spool, quarantine, registry, session, intake, jobs):
            for name, settings in self._config.sinks.items():
                sink = make_sink(settings, session.descriptor)
                if isinstance(sink, Controlling):
                    sink.use(intake.commands)
                self._deliveries.append(Delivery(name, settings, sink, spool, self._tell, self._utc_us))
            delivering = [asyncio.create_task(delivery.run()) for delivery in self._deliveries]
            feeding = [
                asyncio.create_task(self._feed(Door(name, settings, intake, registry, self._tell)))
                for name, settings in self._config.sources.items()
            ]
            releasing = asyncio.create_task(release(quarantine, intake.port(SOURCE, ""), self._utc_us))
            bringing = asyncio.create_task(Courier(jobs, intake.commands, self._tell).run())
            stopping = asyncio.create_task(stop.wait())
            try:
                await _first([stopping, intake.failed, releasing, bringing, *delivering])
            finally:
                stopping.cancel()
                await _cancelled([*feeding, releasing, bringing])
                await intake.close()
                for delivery in self._deliveries:
                    delivery.end()
                await asyncio.wait(delivering, timeout=self._config.gateway.stop)
                await _cancelled(delivering)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[_Open]:
        config, loop = self._config, asyncio.get_running_loop()
        settings = config.spool

        def lost(each: Lost) -> None:
            loop.call_soon_threadsafe(self._tell, RoomLost(each))

        bound = Bound(int(settings.max_mb * MEGABYTE), Full(settings.full), settings.alarm)
        with contextlib.ExitStack() as stack:
            registry = stack.enter_context(Registry(config.gateway.registry))
            state = stack.enter_context(contextlib.closing(ReplayState(config.gateway.state)))
            spool = Spool(settings.path, config.sinks.keys(), bound, on_lost=lost)
            try:
                quarantine = Quarantine(settings.path, int(settings.quarantine_mb * MEGABYTE))
                stack.callback(quarantine.close)
                jobs = stack.enter_context(Jobs(settings.path))
                session = Session(registry, state)
                intake = Intake(
                    session, registry, spool, quarantine, self._tell,
                    settle=config.gateway.settle, set_time=config.gateway.set_time, utc_us=self._utc_us,
                )  # fmt: skip
                self._open = _Open(spool, quarantine, registry, session, intake, jobs)
                yield self._open
            finally:
                self._open = None
                await asyncio.to_thread(spool.close)

    async def _feed(self, door: Door) -> None:
        """Keep a source going."""
        settings = self._config.sources[door.name]
        self._tell(SourceChanged(door.name, "", up=True))
        while True:
            try:
                await make_source(settings).run(door)
                return
            except (VitalwireError, OSError) as error:
                door.failed("", str(error))
            except Exception as error:
                log.exception("the source %s failed", door.name)
                door.failed("", type(error).__name__)
            await asyncio.sleep(AGAIN)

    def _tell(self, event: GatewayEvent) -> None:
        if isinstance(event, Spooled):
            for delivery in self._deliveries:
                delivery.notify()
        if self._observer is not None:
            try:
                self._observer(event)
            except Exception:  # somebody else's code must not cost a frame
                log.exception("the observer failed at %s", type(event).__name__)


async def _first(waiting: Iterable[asyncio.Future[Any]]) -> None:
    """Wait until the first of them is done; raises what it raises."""
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in done:
        each.result()


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
