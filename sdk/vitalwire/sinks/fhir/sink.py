"""The `fhir` sink: keeps what comes, cuts it into windows, has closed ones written, forgets what no window needs.

The guarantee: `deliver` returns when each frame is on the sink's own disk and all windows that are closed by now are
acknowledged. A frame leaves that disk when no window is open, held or still to be amended that has it. After a failure
or a restart all windows are made anew from the disk; what the server has already is not written again.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vitalwire import jws
from vitalwire.assignments import Assignments
from vitalwire.errors import InputError, SinkError, VitalwireError
from vitalwire.fhir import Gateway, Late, Plan, Source, WindowKey
from vitalwire.fhir.clockfit import Fit, fit_of
from vitalwire.fhir.gather import Gatherer
from vitalwire.fhir.mapping import gatherer_for
from vitalwire.fhir.windows import Window
from vitalwire.frame import parse
from vitalwire.messages import Descriptor
from vitalwire.signals import Signals, decode
from vitalwire.sinks.forms import FindDescriptor
from vitalwire.sinks.sink import Rejected
from vitalwire.spool import Entry
from vitalwire_protocol.spec import Kind

from .server import RefusedError, Server
from .settings import Settings
from .store import Store
from .writer import TOO_LATE, Writer

LOOK = 1.0  # seconds between looks at windows that wait: for frames, or for somebody to wear the device


@dataclass(slots=True)
class _Device:
    """One device's windows in the making, and those that are held."""

    gatherers: list[Gatherer]
    positions: dict[bytes, int] = field(default_factory=dict)  # of frames by digest
    closed: list[Window] = field(default_factory=list)  # to be written
    late: list[tuple[WindowKey, bytes]] = field(default_factory=list)  # digests of frames behind their windows
    held: dict[WindowKey, tuple[Fit, int]] = field(default_factory=dict)  # since which position
    heard: float = 0.0
    is_quiet: bool = False


class Fhir:
    """One FHIR server."""

    def __init__(self, settings: Settings, find: FindDescriptor) -> None:
        self._settings = settings
        self._find = find
        self._known: dict[bytes, Descriptor] = {}
        self._plan = Plan(settings.wave, settings.readings, settings.phd)
        self._open = contextlib.AsyncExitStack()
        self._busy = asyncio.Lock()
        self._devices: dict[bytes, _Device] = {}
        self._rejected: list[Rejected] = []  # by `_watch`, told with the next delivery
        self._store: Store
        self._assignments: Assignments
        self._writer: Writer
        self._watching: asyncio.Task[None]

    async def open(self) -> None:
        """Open the files, and make the windows anew that the server may not have."""
        await self.close()
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
        for device in self._store.devices():
            self._load(device)
        self._watching = asyncio.create_task(self._watch())
        self._open.push_async_callback(_ended, self._watching)

    async def deliver(self, batch: Sequence[Entry]) -> Sequence[Rejected]:
        """Keep the frames, then write the windows that they close."""
        if self._watching.done():
            raise SinkError("looking after waiting windows has failed", reason="watch") from self._watching.exception()
        try:
            return await self._deliver(batch)
        except sqlite3.Error as error:
            raise SinkError(f"cannot keep frames: {error}", reason="store") from None

    async def _deliver(self, batch: Sequence[Entry]) -> list[Rejected]:
        async with self._busy:
            rejected = [Rejected(entry.position, why) for entry in batch if (why := self._unusable(entry))]
            names = {each.position for each in rejected}
            usable = [entry for entry in batch if entry.position not in names]
            if len(self._store) + len(usable) > self._settings.hold:
                raise SinkError("too many frames wait for an assignment or the server", reason="full")
            new = {entry.digest for entry in self._store.add(usable)}
            for device in {entry.thumbprint for entry in usable if entry.digest not in new}:
                self._load(device)  # a repeat: somebody wants it tried again
                new -= {entry.digest for entry in usable if entry.thumbprint == device}
            for entry in usable:
                if entry.digest in new:
                    self._add(self._device(entry.thumbprint), entry)
            for device in list(self._devices):
                await self._settle(device, rejected)
            rejected += self._rejected
            self._rejected = []
            return list({each.position: each for each in rejected}.values())

    async def close(self) -> None:
        """Forget what is in memory; the disk has it."""
        await self._open.aclose()
        self._devices = {}

    # ------------------------------------------------------------ frames

    def _unusable(self, entry: Entry) -> str | None:
        """Return why nothing can be made of a frame, None if something can."""
        try:
            source = self._source(entry)
        except InputError as error:
            return str(error)
        if entry.kind == Kind.DATA and source is None:
            return "its descriptor is not known, or its payload is private"
        return None

    def _source(self, entry: Entry) -> Source | None:
        frame = parse(entry.raw)
        if frame.body is not None:
            self._known[frame.body.digest] = frame.body
        descriptor = frame.body or self._descriptor(frame.descriptor)
        if descriptor is None or frame.opaque is not None:
            return None
        signals = decode(frame, descriptor) if frame.kind == Kind.DATA else Signals()
        utc = None if entry.accuracy_us is None else entry.time_us
        return Source(
            entry.thumbprint, frame, descriptor, signals, entry.arrived_us, utc, entry.accuracy_us if utc else None
        )

    def _descriptor(self, digest: bytes | None) -> Descriptor | None:
        if digest is None:
            return None
        if digest not in self._known and (found := self._find(digest)) is not None:
            self._known[digest] = found
        return self._known.get(digest)

    def _device(self, thumbprint: bytes) -> _Device:
        if thumbprint not in self._devices:
            self._devices[thumbprint] = _Device([gatherer_for(form, length) for form, length in self._plan.forms])
            for gatherer in self._devices[thumbprint].gatherers:
                gatherer.patience = self._settings.wait
        return self._devices[thumbprint]

    def _load(self, thumbprint: bytes) -> None:
        """Make a device's windows anew from the disk."""
        self._devices.pop(thumbprint, None)
        device = self._device(thumbprint)
        for entry in self._store.of(thumbprint):
            self._add(device, entry)

    def _add(self, device: _Device, entry: Entry) -> None:
        source = self._source(entry)
        device.heard, device.is_quiet = time.monotonic(), False
        if source is None:
            return
        device.positions[entry.digest] = entry.position
        for gatherer in device.gatherers:
            for each in gatherer.add(source, device.heard):
                if isinstance(each, Late):
                    device.late.append((each.key, entry.digest))
                else:
                    device.closed.append(each)

    # ------------------------------------------------------------ windows

    async def _settle(self, thumbprint: bytes, rejected: list[Rejected]) -> None:
        """Write what is closed of a device, then forget the frames that nothing needs."""
        device = self._devices[thumbprint]
        while device.closed:
            window = device.closed[0]
            places = [device.positions[source.frame.digest] for source in window.sources]
            try:
                if await self._writer.write(window):
                    device.held.pop(window.key, None)
                elif (fit := fit_of(window.sources)) is not None:
                    device.held[window.key] = fit, min(places)
            except RefusedError as error:
                device.held.pop(window.key, None)
                rejected += [Rejected(place, str(error)) for place in places]
            del device.closed[0]
        while device.late:
            key, digest = device.late[0]
            if not await self._writer.has(key, digest):
                rejected.append(Rejected(device.positions[digest], TOO_LATE))
            del device.late[0]
        kept = [source.frame.digest for gatherer in device.gatherers for source in gatherer.kept()]
        needed = [device.positions[digest] for digest in kept] + [since for _, since in device.held.values()]
        if needed:
            self._store.forget(thumbprint, min(needed))
            device.positions = {digest: at for digest, at in device.positions.items() if at >= min(needed)}

    async def _watch(self) -> None:
        """Close windows that waited long enough, and write those of a device that somebody wears by now."""
        while True:
            await asyncio.sleep(LOOK)
            async with self._busy:
                try:
                    for thumbprint in list(self._devices):
                        if any(self._is_worn(key, fit) for key, (fit, _) in self._devices[thumbprint].held.items()):
                            self._load(thumbprint)
                        device = self._devices[thumbprint]
                        device.closed += self._due(device, time.monotonic())
                        await self._settle(thumbprint, self._rejected)
                except SinkError as error:
                    pause = error.retry_after
                else:
                    pause = 0.0
            await asyncio.sleep(pause)

    def _is_worn(self, key: WindowKey, fit: Fit) -> bool:
        start = fit.at(key.start)
        return self._assignments.wearer(key.device, start, start + key.length) is not None

    def _due(self, device: _Device, now: float) -> Iterator[Window]:
        """Yield the windows whose time is up: all, if nothing at all is heard of the device."""
        for gatherer in device.gatherers:
            yield from gatherer.due(now)
            if now - device.heard >= self._settings.wait and not device.is_quiet:
                yield from gatherer.flush()
        device.is_quiet |= now - device.heard >= self._settings.wait


def _unchanged(what: str, /, **details: str | int) -> None:
    """Stand for the audit log where nothing is changed."""
    raise NotImplementedError


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
