"""A gateway with everything around it, in one folder: a registry, boards, a configuration, and what its receiver makes
of the messages that came out.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.fakeboard import Board
from tests.waiting import FAR

from vitalwire import cbor, crypto
from vitalwire.gateway import Gateway, GatewayEvent, load
from vitalwire.registry import Registry
from vitalwire.session import Session, Verified
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Key, Kind

SECRET = bytes(range(32))


class Site:
    """One folder; `tables` is the rest of gateway.toml behind [gateway] and [spool]."""

    def __init__(self, folder: Path, *devices: FakeDevice, spool: str = "", settle: float = 0.0) -> None:
        self.folder = folder
        self.file = folder / "gateway.toml"
        self.registry = folder / "registry.db"
        self.devices = devices
        self.events: list[GatewayEvent] = []
        self.ahead_us = 0  # how far the clock of the gateway's computer is ahead
        self._head = f'[gateway]\nregistry = "registry.db"\nstate = "state.db"\nsettle = {settle}\nstop = 5\n'
        self._head += f'[spool]\npath = "spool.db"\n{spool}\n'
        self._process: subprocess.Popen[bytes] | None = None
        with Registry(self.registry) as registry:
            for device in devices:
                registry.enrol(device.thumbprint, device.name, secret=SECRET)

    def configure(self, *tables: str) -> None:
        """Write gateway.toml; the status page is off and the audit log here, unless the tables say otherwise."""
        text = self._head + "\n".join(tables)
        for table in ('[status]\nlisten = "off"\n', '[audit]\nfile = "audit.jsonl"\n'):
            if table.split("\n", 1)[0] not in text:
                text += f"\n{table}"
        self.file.write_text(text)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Site]:
        """Run the gateway in this process; what it tells is in `events`."""
        stop = asyncio.Event()
        task = asyncio.create_task(Gateway(load(self.file), self.events.append, utc_us=self.utc_us).run(stop))
        try:
            yield self
        finally:
            stop.set()
            await asyncio.wait_for(task, FAR)

    def utc_us(self) -> int:
        """Return the UTC that the gateway's computer has."""
        return time.time_ns() // 1000 + self.ahead_us

    async def until(self, true: Callable[[], Any]) -> None:
        """Wait for something to become true, or for the gateway to fail."""
        end = time.monotonic() + FAR
        while not true():
            assert time.monotonic() < end, self.events[-5:]
            await asyncio.sleep(0.01)

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    # ------------------------------------------------------------ as a process

    def start(self) -> None:
        """Run the command, as a service manager would."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "vitalwire.cli", "gateway", "run", str(self.file)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; return its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(FAR)


def connect_to(*boards: Board, name: str = "boards") -> str:
    """Return the table of a source that connects to boards."""
    return f'[source.{name}]\nkind = "tcp"\nconnect = {[f"127.0.0.1:{board.port}" for board in boards]}\n'


def mqtt_to(port: int, name: str = "broker", more: str = "") -> str:
    """Return the table of a sink that publishes to a broker on loopback."""
    return f'[sink.{name}]\nkind = "mqtt"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n{more}\n'


def received(site: Site, raws: Iterable[bytes]) -> dict[str, list[int]]:
    """Return what the SDK makes of frames that came: the numbers of each device, once and in order, or fail."""
    numbers: dict[str, list[int]] = {device.name: [] for device in site.devices}
    with Registry(site.registry) as registry:
        session = Session(registry)
        for raw in (*raws, None):
            outcomes = session.flush() if raw is None else session.receive(raw, time.time_ns() // 1000)
            session.durable(outcomes)
            for outcome in outcomes:
                if isinstance(outcome, Verified):
                    device = registry.get(outcome.device)
                    assert device is not None
                    numbers[device.name].append(outcome.frame.seq)
    return numbers


def bulk(device: FakeDevice, count: int, seconds: float = 2.0) -> Iterator[bytes]:
    """Yield the next data frames of a device, all with the same samples: much cheaper to make."""
    first = device.sampled(seconds)
    yield first
    fields = cbor.decode(crypto.frame_payload(first))
    assert isinstance(fields, dict)
    for _ in range(count - 1):
        device.ticks += int(seconds * 1e6)
        yield device.make(Kind.DATA, {key: fields[key] for key in (Key.BLOCKS, Key.SCALARS)})


def journal(device: FakeDevice, count: int) -> Sequence[bytes]:
    """Return the next frames of a device, its descriptor first if it had none."""
    return [device.descriptor() if device.seq == 0 else device.sampled(0.2) for _ in range(count)]
