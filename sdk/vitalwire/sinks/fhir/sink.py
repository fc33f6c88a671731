"""The `fhir` sink: keeps what comes, has it cut into windows and closed ones written, forgets what no window needs.

The guarantee: `deliver` returns when each frame is on the sink's own disk and all windows that are closed by now are
acknowledged. A frame leaves that disk when no window is open, held, refused since the last delivery or still to be
amended that has it. After a restart all windows are made anew from the disk; what the server has already is not written
again. What takes long is done aside, a slice at a time, so that the gateway goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from vitalwire import jws
from vitalwire.assignments import Assignments
from vitalwire.errors import InputError, SinkError, VitalwireError
from vitalwire.fhir import Gateway, Plan, Source, WindowKey
from vitalwire.frame import parse
from vitalwire.signals import Signals, decode
from vitalwire.sinks.descriptors import Descriptors, FindDescriptor
from vitalwire.sinks.sink import Rejected
from vitalwire.spool import Entry
from vitalwire_protocol.spec import Kind

from .aside import aside
from .server import Server
from .settings import Settings
from .store import Store
from .windows import Held, Windows, window_of
from .writer import Job, State, Writer

LOOK = 1.0  # seconds between looks at windows that wait: for frames, or for somebody to wear the device
SLICE = 64  # frames that are decoded and cut at a time
TOGETHER = 16  # windows that are written at a time
UNKNOWN = "its descriptor is not known, or its payload is private"


@dataclass(slots=True)
class _Device:
    """One device: its windows, and its frames in the store by digest."""

    windows: Windows
    frames: set[bytes] = field(default_factory=set)
    has_news: bool = False


class Fhir:
    """One FHIR server."""

    keeps: Literal[True] = True

    def __init__(self, settings: Settings, find: FindDescriptor) -> None:
        self._settings = settings
        self._descriptors = Descriptors(find)
        self._plan = Plan(settings.wave, settings.readings, settings.phd)
        self._open = contextlib.AsyncExitStack()
        self._busy = asyncio.Lock()
        self._devices: dict[bytes, _Device] = {}
        self._at = 0  # the number of the last frame in the store that is in the windows, too
        self._rejected: dict[bytes, str] = {}  # why, by digest
        self._told: set[bytes] = set()  # those that the last delivery returned
        self._store: Store
        self._assignments: Assignments
        self._writer: Writer
        self._watching: asyncio.Task[None]

    async def open(self) -> None:
        """Open the files and look after the windows that wait."""
        await self.close()
        self._told = set()  # whether the gateway keeps them is not known: they are told again
        try:
            self._store = self._open.enter_context(Store(self._settings.store))
            self._assignments = self._open.enter_context(Assignments(self._settings.assignments, _unchanged))
            gateway = Gateway(jws.load_key(self._settings.key))
        except SinkError:
            raise
        except VitalwireError as error:
            raise SinkError(str(error), reason="configuration") from None
        server = Server(self._settings)
        self._open.push_async_callback(server.close)
        self._writer = Writer(server, gateway, self._assignments.wearer)
        self._watching = asyncio.create_task(self._watch())
        self._open.push_async_callback(_ended, self._watching)

    async def deliver(self, batch: Sequence[Entry]) -> Sequence[Rejected]:
        """Keep the frames, then write the windows that they close."""
        if self._watching.done():
            raise SinkError("looking after waiting windows has failed", reason="watch") from self._watching.exception()
        async with self._busy:
            self._forget_told()
            try:
                await self._keep(batch)
                await self._settle()
            except sqlite3.Error as error:
                self._devices, self._rejected, self._at = {}, {}, 0  # all is made anew from what is on the disk
                raise SinkError(f"cannot keep frames: {error}", reason="store") from None
            self._told = set(self._rejected)
            return [Rejected(each.position, self._rejected[each.digest], each) for each in self._store.some(self._told)]

    async def close(self) -> None:
        """Close files and connection; what is in memory stays as it is on the disk."""
        await self._open.aclose()

    # ------------------------------------------------------------ frames

    async def _keep(self, batch: Sequence[Entry]) -> None:
        """Put frames on the disk and into the windows."""
        for entry in await aside(self._store.add, batch, self._settings.hold):  # somebody wants these tried again
            await aside(self._again, entry)
        await self._catch_up()

    async def _catch_up(self) -> None:
        """Put those frames into the windows that are on the disk only."""
        while entries := await aside(self._store.after, self._at, SLICE):
            await aside(self._add, entries)

    def _device(self, thumbprint: bytes) -> _Device:
        if thumbprint not in self._devices:
            self._devices[thumbprint] = _Device(Windows(self._plan, self._settings.wait))
        return self._devices[thumbprint]

    def _add(self, entries: Sequence[tuple[int, Entry]]) -> None:
        for number, entry in entries:
            device = self._device(entry.thumbprint)
            device.frames.add(entry.digest)
            self._put(device, entry)
            self._at = number

    def _again(self, entry: Entry) -> None:
        device = self._device(entry.thumbprint)
        if entry.digest in device.frames:
            for key, frames in device.windows.refused(entry.digest):
                self._remake(device, key, frames)
            self._put(device, entry)

    def _put(self, device: _Device, entry: Entry) -> None:
        device.has_news = True
        try:
            source = self._source(entry)
        except InputError as error:
            self._rejected[entry.digest] = str(error)
            return
        if source is not None:
            device.windows.add(source, time.monotonic())
        elif entry.kind == Kind.DATA:
            self._rejected[entry.digest] = UNKNOWN

    def _source(self, entry: Entry) -> Source | None:
        frame = parse(entry.raw)
        descriptor = self._descriptors.of(frame)
        if descriptor is None or frame.opaque is not None:
            return None
        signals = decode(frame, descriptor) if frame.kind == Kind.DATA else Signals()
        accuracy = entry.accuracy_us
        if accuracy is None and self._settings.within is not None:
            accuracy = round(self._settings.within * 1e6)
        known = entry.time_us is not None and accuracy is not None
        times = (entry.time_us, accuracy) if known else (None, None)
        return Source(entry.thumbprint, frame, descriptor, signals, entry.arrived_us, *times)

    def _forget_told(self) -> None:
        """Forget what the last delivery returned as rejected: the gateway keeps it by now."""
        for digest in self._told:
            del self._rejected[digest]
        for device in self._devices.values():
            device.has_news |= not self._told.isdisjoint(device.frames)
        self._told = set()

    # ------------------------------------------------------------ windows

    async def _settle(self) -> None:
        """Write what is closed, then forget the frames that nothing needs."""
        while closed := list(islice(self._closed(), TOGETHER)):
            outcomes = await self._writer.write([job for _, job in closed])
            for device, job in closed:
                device.has_news = True
                outcome = device.windows.settle(job, outcomes[job.window.key])
                if outcome.state is State.REFUSED:
                    self._rejected |= {source.frame.digest: outcome.why for source in job.window.sources}
        for device in self._devices.values():
            if device.has_news:
                needed = device.windows.needed() | self._rejected.keys()
                await aside(self._store.remove, device.frames - needed)
                device.frames &= needed
                device.has_news = False

    def _closed(self) -> Iterator[tuple[_Device, Job]]:
        for device in self._devices.values():
            for job in device.windows.jobs():
                yield device, job

    def _try_held(self, device: _Device) -> None:
        """Have those windows written that can be by now, and those that never will be refused."""
        for key, held in list(device.windows.held.items()):
            if self._is_ready(device, key, held):
                self._remake(device, key, held.frames)

    def _is_ready(self, device: _Device, key: WindowKey, held: Held) -> bool:
        if held.fit is None:
            return device.windows.fit(key) is not None or device.windows.is_over(key)
        start = held.fit.at(key.start)
        return self._assignments.wearer(key.device, start, start + key.length) is not None

    def _remake(self, device: _Device, key: WindowKey, frames: frozenset[bytes]) -> None:
        """Make a window anew from the disk and have it written."""
        sources = [source for entry in self._store.some(frames) if (source := self._source(entry)) is not None]
        device.windows.close(window_of(key, sources))

    async def _watch(self) -> None:
        """Close windows that waited long enough, and write what can be written by now."""
        while True:
            await asyncio.sleep(LOOK)
            pause = 0.0
            async with self._busy:
                try:
                    await self._catch_up()
                    for device in self._devices.values():
                        device.windows.due(time.monotonic())
                        await aside(self._try_held, device)
                    await self._settle()
                except SinkError as error:
                    pause = error.retry_after
            await asyncio.sleep(pause)


def _unchanged(what: str, /, **details: str | int) -> None:
    """Stand for the audit log where nothing is changed."""
    raise NotImplementedError


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
