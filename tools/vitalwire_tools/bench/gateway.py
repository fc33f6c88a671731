"""Measures the gateway between boards and a real broker on loopback: how soon, how many a second, how much memory.

Boards are a process, the broker is one, the gateway is this one. The time of a frame runs from the arrival of its bytes
to the broker's acknowledgement; a frame counts as durable when it may be acknowledged to its board.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from vitalwire.capture import Writer
from vitalwire.errors import UsageError
from vitalwire.gateway import Delivered, Gateway, GatewayEvent, Spooled, load
from vitalwire.registry import Registry

from . import standard

DEVICES = 8
PACED = 200  # frames a second while latency is measured
PACED_FRAMES = 2_000
FAST_FRAMES = 16_000
WARM = 200  # first frames, not counted
PATIENCE = 120.0  # seconds
SWITCH = 0.001  # as `vitalwire gateway run` does

CONFIG = """
[gateway]
registry = "registry.db"
state = "state.db"
settle = 0.0
set_time = false
[spool]
path = "spool.db"
[source.boards]
kind = "listen"
listen = "127.0.0.1:{listen}"
[sink.broker]
kind = "mqtt"
host = "127.0.0.1"
port = {broker}
tls = false
"""


def run(paced: int = PACED_FRAMES, fast: int = FAST_FRAMES) -> dict[str, Any]:
    """Return `latency_median_ms`, `latency_p99_ms` at a paced load, `frames_per_second` and `delivered_per_second` at
    full speed, and by how much the process grew in the second half of that (`growth_bytes_per_frame`).

    Raises UsageError without mosquitto.
    """
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if mosquitto is None:
        raise UsageError("this needs a broker", advice="install mosquitto")
    sys.setswitchinterval(SWITCH)
    slow = asyncio.run(_measured(mosquitto, paced, PACED))
    full = asyncio.run(_measured(mosquitto, fast, 0))
    return {
        "latency_median_ms": float(np.median(slow.latencies)),
        "latency_p99_ms": float(np.percentile(slow.latencies, 99)),
        "frames_per_second": full.spooled_rate,
        "delivered_per_second": full.delivered_rate,
        "growth_bytes_per_frame": full.growth,
    }


class _Run:
    """What an observer saw."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.done = asyncio.Event()
        self._spooled: list[tuple[float, int]] = []  # when, how many by then
        self._delivered: list[tuple[float, int]] = []
        self._latencies: list[float] = []
        self._memory: dict[int, int] = {}

    def hear(self, event: GatewayEvent) -> None:
        if isinstance(event, Spooled):
            self._count(self._spooled, len(event.entries))
        elif isinstance(event, Delivered):
            self._latencies += [(event.delivered_us - entry.arrived_us) / 1000 for entry in event.entries]
            count = self._count(self._delivered, len(event.entries))
            self._memory[count] = _memory()
            if count >= self.frames:
                self.done.set()

    @staticmethod
    def _count(series: list[tuple[float, int]], more: int) -> int:
        count = (series[-1][1] if series else 0) + more
        series.append((time.monotonic(), count))
        return count

    @property
    def latencies(self) -> list[float]:
        return self._latencies[WARM:]

    @property
    def spooled_rate(self) -> float:
        return _rate(self._spooled)

    @property
    def delivered_rate(self) -> float:
        return _rate(self._delivered)

    @property
    def growth(self) -> float:
        later = {count: size for count, size in self._memory.items() if count >= self.frames // 2}
        return (later[max(later)] - later[min(later)]) / max(1, max(later) - min(later))


def _rate(series: list[tuple[float, int]]) -> float:
    warm = [each for each in series if each[1] >= WARM]
    return (warm[-1][1] - warm[0][1]) / (warm[-1][0] - warm[0][0])


def _memory() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def _measured(mosquitto: str, frames: int, rate: int) -> _Run:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        listen, broker = _free_port(), _free_port()
        (folder / "gateway.toml").write_text(CONFIG.format(listen=listen, broker=broker))
        captures = _captures(folder, frames)
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

        def start(*command: object) -> None:
            process = subprocess.Popen([str(each) for each in command], **quiet, env=os.environ)  # type: ignore[call-overload]
            stack.callback(process.wait)
            stack.callback(process.kill)

        start(mosquitto, "-p", broker)
        seen, stop = _Run(frames), asyncio.Event()
        gateway = asyncio.create_task(Gateway(load(folder / "gateway.toml"), seen.hear).run(stop))
        await _listening(listen, gateway)
        start(sys.executable, "-m", f"{__package__}.feeder", listen, rate, *captures)
        try:
            await asyncio.wait_for(seen.done.wait(), PATIENCE)
        finally:
            stop.set()
            await gateway
        return seen


def _captures(folder: Path, frames: int) -> list[Path]:
    """Write a capture of each device, and enrol them."""
    signal = standard.minute()
    paths = []
    with Registry(folder / "registry.db") as registry:
        for number in range(DEVICES):
            device, raws = standard.chained(frames // DEVICES, signal)
            registry.enrol(device.thumbprint, f"bench{number}")
            paths.append(folder / f"{number}.vwc")
            with Writer(paths[-1]) as writer:
                for raw in raws:
                    writer.write(raw)
    return paths


async def _listening(port: int, gateway: asyncio.Task[None]) -> None:
    while not gateway.done():
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return
    gateway.result()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def render(result: dict[str, Any]) -> Table:
    """Return the figures of `run` as a table for a person."""
    table = Table("gateway", "", title_justify="left")
    table.add_row(
        f"frame to broker acknowledgement at {PACED} frames a second, median", f"{result['latency_median_ms']:.1f} ms"
    )
    table.add_row("99th percentile", f"{result['latency_p99_ms']:.1f} ms")
    table.add_row("durable at full speed", f"{result['frames_per_second']:.0f} frames a second")
    table.add_row("acknowledged by the broker", f"{result['delivered_per_second']:.0f} frames a second")
    table.add_row("memory, second half", f"{result['growth_bytes_per_frame']:.0f} bytes a frame")
    return table
