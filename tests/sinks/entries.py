"""Entries as a spool would hand them out, made from a device of Python's."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from vitalwire.errors import SinkError
from vitalwire.frame import parse
from vitalwire.registry import Registry
from vitalwire.session import Session, Verified
from vitalwire.sinks import Rejected, Sink
from vitalwire.spool import Entry, Trust
from vitalwire.testing import FakeDevice

UTC_US = 1_767_225_600_000_000  # 2026-01-01


def entry_of(device: FakeDevice, raw: bytes, position: int = 1) -> Entry:
    """Return the entry of one frame, whose ticks were UTC_US + ticks."""
    frame = parse(raw)
    return Entry(
        position=position,
        device=device.name,
        thumbprint=device.thumbprint,
        kind=frame.kind,
        boot=frame.boot,
        seq=frame.seq,
        digest=hashlib.sha256(raw).digest(),
        raw=raw,
        arrived_us=UTC_US + frame.ticks + 40_000,
        time_us=UTC_US + frame.ticks,
        accuracy_us=20_000,
        trust=Trust.SIGNED,
    )


def entries_of(devices: Sequence[FakeDevice], each: int, first: int = 1) -> list[Entry]:
    """Return so many frames of each device, a descriptor first, in turns."""
    rows = [[device.descriptor(), *(device.sampled(0.1) for _ in range(each - 1))] for device in devices]
    raws = [(device, raws[turn]) for turn in range(each) for device, raws in zip(devices, rows, strict=True)]
    return [entry_of(device, raw, first + place) for place, (device, raw) in enumerate(raws)]


def more_of(devices: Sequence[FakeDevice], each: int, first: int) -> list[Entry]:
    """Return the next frames of each device, small ones, for series of many thousands."""
    return [
        entry_of(device, device.status() if device.seq else device.descriptor(), first + turn * len(devices) + place)
        for turn in range(each)
        for place, device in enumerate(devices)
    ]


def without_time(entry: Entry) -> Entry:
    """Return the entry of a device whose clock nobody knows yet."""
    return replace(entry, time_us=None, accuracy_us=None)


def through_sdk(devices: Sequence[FakeDevice], raws: Iterable[bytes]) -> dict[str, list[int]]:
    """Return what a receiver's session makes of messages: the numbers of each device's frames, in its order."""
    numbers: dict[str, list[int]] = {device.name: [] for device in devices}
    names = {device.thumbprint: device.name for device in devices}
    with Registry() as registry:
        for device in devices:
            registry.enrol(device.thumbprint, device.name)
        session = Session(registry)
        for raw in (*raws, None):
            outcomes = session.flush() if raw is None else session.receive(raw, UTC_US + 86_400_000_000)
            session.durable(outcomes)
            for outcome in outcomes:
                if isinstance(outcome, Verified):
                    numbers[names[outcome.device]].append(outcome.frame.seq)
    return numbers


async def drive(sink: Sink, entries: Sequence[Entry], *, size: int = 64, patience: int = 200) -> Delivery:
    """Deliver as the gateway does: in batches, after an error with a new connection and the same batch."""
    delivery = Delivery()
    ready = False
    for start in range(0, len(entries), size):
        batch = entries[start : start + size]
        while True:
            try:
                if not ready:
                    await sink.open()
                    ready = True
                delivery.rejected += await sink.deliver(batch)
                break
            except SinkError as error:
                ready = False
                await sink.close()
                delivery.errors.append(error)
                if len(delivery.errors) > patience:
                    return delivery
                await asyncio.sleep(min(0.2, max(error.retry_after, 0.05)))
    await sink.close()
    return delivery


@dataclass
class Delivery:
    """What became of entries besides being delivered."""

    rejected: list[Rejected] = field(default_factory=list)
    errors: list[SinkError] = field(default_factory=list)


def unknown(_: bytes) -> None:
    """Find no descriptor."""
