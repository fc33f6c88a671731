"""A gateway for a long time, as a process of its own: days without the cloud, and many frames in constant memory."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from tests.fakeboard import Board
from tests.gateway.site import SECRET, Site, bulk, connect_to, mqtt_to
from tests.gateway.test_kills import Load
from tests.mosquitto import Mosquitto
from tests.sinks.servers import free_port

from vitalwire.capture.scan import frame_end
from vitalwire.testing import FakeDevice

THREE_DAYS = 129_600  # frames of 2 s
MEGABYTE = 1e6


@contextmanager
def started(site: Site) -> Iterator[Callable[[], float]]:
    """Run the gateway as a process; yield what tells its resident memory in megabytes."""
    site.start()
    status = Path(f"/proc/{site.pid}/status")

    def resident() -> float:
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024 / MEGABYTE

    try:
        yield resident
    finally:
        assert site.end() == 0, (site.folder / "log").read_text()[-2000:]


def batched(frames: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    """Yield frames by so many at a time."""
    while batch := list(islice(frames, size)):
        yield batch


class Archive:
    """The sink's peer: takes batches of frames, and notes whether each came once and in order; a context manager."""

    def __init__(self, port: int) -> None:
        self.expected: deque[bytes] = deque()  # digests
        self.taken = 0
        self.wrong = 0
        self._port = port

    async def __aenter__(self) -> Archive:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/", self._post)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _post(self, request: web.Request) -> web.Response:
        body, at = await request.read(), 0
        while at < len(body):
            end = frame_end(body, at)
            self.wrong += not self.expected or hashlib.sha256(body[at:end]).digest() != self.expected.popleft()
            self.taken += 1
            at = end
        return web.Response()


@pytest.mark.asyncio
async def test_days_without_the_cloud(tmp_path: Path, long: bool, results: Callable[..., None]) -> None:
    """What a device makes in three days without a sink is on the disk; then all of it goes out, once, in order."""
    count = THREE_DAYS if long else 2_000
    device, port, away = FakeDevice("walk"), free_port(), free_port()
    site = Site(tmp_path, device)
    source = f'[source.in]\nkind = "http"\nlisten = "127.0.0.1:{port}"\npatience = 30\n'
    site.configure(source, f'[sink.cloud]\nkind = "http"\nurl = "http://127.0.0.1:{away}/"\n')
    archive, spool = Archive(away), tmp_path / "spool.db"
    with started(site) as resident:
        memory = [await _listening(port, resident)]
        began = time.monotonic()
        async with aiohttp.ClientSession() as session:

            async def post(raws: list[bytes]) -> None:
                archive.expected += (hashlib.sha256(raw).digest() for raw in raws)
                async with session.post(f"http://127.0.0.1:{port}/frames", data=b"".join(raws)) as answer:
                    assert answer.status == 204, await answer.text()

            await post([device.descriptor(), *bulk(device, 1)])
            for raws in batched(bulk(device, count), 200):
                await post(raws)
                memory.append(resident())
            filled, size = time.monotonic() - began, spool.stat().st_size
            began = time.monotonic()
            async with archive:
                made = device.seq
                while archive.taken < made:
                    assert time.monotonic() - began < 60 + count / 100, archive.taken
                    memory.append(resident())
                    await asyncio.sleep(0.2)
                drained = time.monotonic() - began
                for raws in batched(bulk(device, 1000), 5):  # what is free is given back as it goes on
                    await post(raws)
                    if spool.stat().st_size < max(4 << 20, size // 10):
                        break
                left = spool.stat().st_size
                while archive.taken < device.seq:
                    await asyncio.sleep(0.05)
    assert (archive.wrong, archive.taken, len(archive.expected)) == (0, device.seq, 0)
    assert left < max(4 << 20, size // 10)
    assert max(memory) < memory[0] + 100
    results(
        "gateway, three days without the cloud",
        frames=made, spool_mb=round(size / MEGABYTE), spool_mb_afterwards=round(left / MEGABYTE, 1),
        seconds_to_fill=round(filled), seconds_to_drain=round(drained), memory_mb_idle=round(memory[0]),
        memory_mb_at_most=round(max(memory)),
    )  # fmt: skip


async def _listening(port: int, resident: Callable[[], float]) -> float:
    """Return the memory of a gateway that has just begun to listen."""
    for _ in range(600):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return resident()
    raise AssertionError("nobody listens")


def test_memory_stays_flat(tmp_path: Path, long: bool, results: Callable[..., None]) -> None:
    """Boards send, are acknowledged and delivered for long; after the beginning the gateway's memory grows no more."""
    count, parts = (200_000, 10) if long else (1_000, 5)
    devices = [FakeDevice(f"device{number}") for number in range(4)]
    boards = [Board(device, SECRET) for device in devices]
    site = Site(tmp_path, *devices)
    memory: list[int] = []
    with Mosquitto(tmp_path / "broker", ["max_queued_messages 10"]) as broker:
        site.configure(connect_to(*boards), mqtt_to(broker.port))
        with started(site) as resident:
            load = Load(boards, most=400)
            began = time.monotonic()
            for part in range(1, parts + 1):
                while sum(len(board.acknowledged) for board in boards) < count * part // parts:
                    assert time.monotonic() - began < 120 + count / 50
                    time.sleep(0.05)
                memory.append(round(resident()))
            seconds = time.monotonic() - began
            load.end()
    for board in boards:
        board.__exit__()
    assert memory[-1] <= memory[parts // 5] * 1.1 + 5, memory
    results(
        "gateway, memory over a long time", frames=count, seconds=round(seconds), mb=" ".join(map(str, memory)),
        every=f"{count // parts} frames",
    )  # fmt: skip
