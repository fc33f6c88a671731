"""Parquet files on a real disk and in a real blob store (Azurite)."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from aiohttp import web
from azure.storage.blob import ContainerClient
from tests.sinks.entries import drive, entries_of, unknown, without_time
from tests.sinks.servers import Server, free_port

from vitalwire.errors import SinkError
from vitalwire.sinks.forms import Form
from vitalwire.sinks.parquet import Parquet, Settings, from_settings
from vitalwire.spool import Entry
from vitalwire.testing import FakeDevice

AZURITE = Path(__file__).parents[1] / "node_modules/azurite/dist/src/blob/main.js"
# The account and key that every Azurite has.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
ROOM = 14 * 4096  # bytes left on a disk that is nearly full; what is delivered takes some 75 kB


def to_disk(folder: Path, **more: object) -> Parquet:
    """Return the sink for a folder."""
    return from_settings(Settings.model_validate({"kind": "parquet", "folder": str(folder)} | more), unknown)


@pytest.fixture
def entries() -> list[Entry]:
    """Return frames of two devices, one with a name that is no folder's, and of one with no known time."""
    found = entries_of([FakeDevice("bed-1"), FakeDevice("ward 2/../ä")], 40)
    found[-1] = without_time(found[-1])
    return found


def frames(table: pa.Table) -> list[tuple[str, int, bytes]]:
    """Return device, number and frame of each row, in order."""
    columns = (table[name].to_pylist() for name in ("device", "seq", "frame"))
    return sorted(zip(*columns, strict=True))


def expected(entries: Sequence[Entry]) -> list[tuple[str, int, bytes]]:
    """Return the same of entries."""
    return sorted((entry.device, entry.seq, entry.raw) for entry in entries)


def test_files_lie_by_date_and_device(tmp_path: Path, entries: list[Entry]) -> None:
    """Any reader of hive's layout finds every frame, its device and its day; frames come in order within a file."""
    delivery = asyncio.run(drive(to_disk(tmp_path, frames=16), entries))
    assert (delivery.errors, delivery.rejected) == ([], [])
    table = ds.dataset(tmp_path, format="parquet", partitioning="hive").to_table()
    assert frames(table) == expected(entries)
    assert set(table["date"].to_pylist()) == {"2026-01-01"}
    files = sorted(tmp_path.rglob("*.parquet"))
    assert len(files) == 2 * 3
    for path in files:
        numbers = pq.read_table(path, partitioning=None)["seq"].to_pylist()
        assert numbers == sorted(numbers)
        assert numbers[-1] // 16 == numbers[0] // 16
    first = pq.read_table(files[0], partitioning=None).to_pylist()[0]
    assert first["digest"] == entries[0].digest
    assert int(first["time"].timestamp() * 1e6) == entries[0].time_us
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix not in {".parquet", ""}] == []


def test_repeats_change_nothing(tmp_path: Path, entries: list[Entry]) -> None:
    """Delivered again, in other batches, whatever was cut before: each frame is there once, the files are the same."""
    asyncio.run(drive(to_disk(tmp_path), entries, size=64))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    asyncio.run(drive(to_disk(tmp_path), entries[7:60], size=5))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == before
    other = tmp_path / "other"
    asyncio.run(drive(to_disk(other), [*entries[:30], *entries[20:], *entries[:10]], size=7))
    assert frames(ds.dataset(other, partitioning="hive").to_table()) == expected(entries)


def test_json_is_a_column(tmp_path: Path, entries: list[Entry]) -> None:
    """With the form json the words stand beside the frame."""
    asyncio.run(drive(to_disk(tmp_path, form=Form.JSON), entries[:6]))
    table = ds.dataset(tmp_path, partitioning="hive").to_table()
    assert sum('"ecg_lead_i"' in (event or "") for event in table["event"].to_pylist()) == 6
    assert frames(table) == expected(entries[:6])


def test_one_gateway_writes_to_a_folder(tmp_path: Path, entries: list[Entry]) -> None:
    """A second one is told so and writes nothing, until the first is gone."""

    async def run() -> None:
        first, second = to_disk(tmp_path), to_disk(tmp_path)
        await first.open()
        with pytest.raises(SinkError, match="another gateway"):
            await second.open()
        await second.close()
        await first.close()
        assert (await drive(second, entries[:3])).errors == []

    asyncio.run(run())


def test_what_is_not_ours_is_left_alone(tmp_path: Path, entries: list[Entry]) -> None:
    """A damaged or strange file where ours would be is a SinkError, and stays as it is."""
    asyncio.run(drive(to_disk(tmp_path), entries[:1]))
    (path,) = tmp_path.rglob("*.parquet")
    for strange in (b"PAR1 torn", _parquet_of_another_kind()):
        path.write_bytes(strange)
        assert asyncio.run(drive(to_disk(tmp_path), entries[2:3], patience=0)).errors
        assert path.read_bytes() == strange


def _parquet_of_another_kind() -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(pa.table({"mine": [1]}), out)
    data: bytes = out.getvalue().to_pybytes()
    return data


def _filled(ballast: Path) -> bool:
    """Fill a disk but for `ROOM`, with bytes that no disk packs; false if it takes far more than it has."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.tell() < 1 << 20:
                file.write(os.urandom(4096))
        except OSError:
            file.truncate(file.tell() - ROOM)
            return True
    return False


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("mount") is None, reason="needs root, to mount a small tmpfs")
def test_a_full_disk_keeps_what_is_there(tmp_path: Path) -> None:
    """On a disk that fills up the sink waits: files that were whole stay whole, and all comes once there is room."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        ballast = folder / "ballast"
        if not _filled(ballast):
            pytest.skip("needs a tmpfs that keeps to its size")
        entries = entries_of([FakeDevice("bed-1")], 200)
        delivery = asyncio.run(drive(to_disk(folder, frames=50), entries, size=20, patience=3))
        assert "No space left" in str(delivery.errors[-1])
        kept = frames(ds.dataset(folder, partitioning="hive", exclude_invalid_files=True).to_table())
        assert kept
        assert set(kept) <= set(expected(entries))
        assert not list(folder.rglob("*.part"))
        ballast.unlink()
        assert asyncio.run(drive(to_disk(folder, frames=50), entries, size=20)).errors == []
        assert frames(ds.dataset(folder, partitioning="hive").to_table()) == expected(entries)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_write_that_was_given_up_comes_no_more(
    tmp_path: Path, entries: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk that hangs a delivery is given up; when the disk goes on, that write does not undo newer ones."""
    going_on, real, left = threading.Event(), os.fsync, iter([True])

    def hanging(handle: int) -> None:
        if next(left, False):
            going_on.wait(30)
        real(handle)

    monkeypatch.setattr(os, "fsync", hanging)

    async def run() -> None:
        sink = to_disk(tmp_path)
        await sink.open()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await sink.deliver(entries[:10])
        await sink.close()
        assert (await drive(sink, entries, size=10)).errors == []
        going_on.set()

    asyncio.run(run())  # its end waits for the thread that hung
    assert frames(ds.dataset(tmp_path, partitioning="hive").to_table()) == expected(entries)
    assert not list(tmp_path.rglob("*.part"))


WRITER = """
import asyncio, sys
from pathlib import Path
from tests.sinks.entries import drive, entries_of
from tests.sinks.test_parquet import to_disk
from vitalwire.testing import FakeDevice
from cryptography.hazmat.primitives.asymmetric import ec
device = FakeDevice("bed-1", private_key=ec.derive_private_key(7, ec.SECP256R1()))
entries = entries_of([device], 100)
print("ready", flush=True)
async def run():
    sink = to_disk(Path(sys.argv[1]), frames=64)
    await sink.open()
    for start in range(0, len(entries), 4):
        await sink.deliver(entries[start:start + 4])
        print(entries[start + 3].seq, flush=True)
asyncio.run(run())
"""


def test_a_killed_writer_leaves_whole_files(tmp_path: Path, long: bool, results: Callable[..., None]) -> None:
    """Killed with -9 at random moments: every file can be read, and has every frame that was said to be durable."""
    chance = random.Random(3)
    said, kills = 0, 40 if long else 2
    root = str(Path(__file__).parents[2])
    for _ in range(kills):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])}
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
            assert writer.stdout is not None
            for _ in range(chance.randrange(2, 25)):
                line = writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
            for late in writer.stdout.read().split():
                line = late
            said = max(said, int(line) if line.strip().isdecimal() else 0)
        table = ds.dataset(tmp_path, partitioning="hive").to_table()
        assert len(table) >= said
        assert sorted(table["seq"].to_pylist()) == list(range(1, len(table) + 1))
    results("Parquet, kill -9 while writing", kills=kills, frames=len(table), lost=0)


# ------------------------------------------------------------ blob storage


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run Azurite, which takes its time to start."""
    if not (shutil.which("node") and AZURITE.exists()):
        pytest.skip("needs node and, in tests/, the npm package azurite (npm ci)")
    port = free_port()
    folder = tmp_path_factory.mktemp("azurite")
    command = ["node", AZURITE, "--blobPort", port, "--location", folder, "--skipApiVersionCheck", "--silent"]
    with Server([*map(str, command), "--disableTelemetry"], port, folder.with_suffix(".log")) as server:
        yield server


def connection_string(port: int, key: str = KEY) -> str:
    """Return how Azurite is reached."""
    url = f"http://127.0.0.1:{port}/{ACCOUNT}"
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};BlobEndpoint={url};"


def to_blob(secret: Path, container: str = "vitals", **more: object) -> Parquet:
    """Return the sink for a container."""
    blob = {"connection": {"file": str(secret)}, "container": container, "prefix": "raw/", "seconds": 5}
    return from_settings(Settings.model_validate({"kind": "parquet", "blob": blob} | more), unknown)


def blobs(server: Server, container: str) -> dict[str, bytes]:
    """Return what is in the container."""
    with ContainerClient.from_connection_string(connection_string(server.port), container) as client:
        return {name: client.download_blob(name).readall() for name in client.list_blob_names()}


def test_blobs_are_whole_and_repeats_change_nothing(azurite: Server, tmp_path: Path, entries: list[Entry]) -> None:
    """The container holds what the folder would; delivered again, no blob is touched; the store away is waited for."""
    secret = tmp_path / "connection"
    secret.write_text(connection_string(azurite.port))

    async def run() -> None:
        sink = to_blob(secret, "whole", frames=16)
        assert (await drive(sink, entries[:50], size=20)).errors == []
        assert (await drive(sink, entries, size=33)).errors == []
        before = blobs(azurite, "whole")
        assert (await drive(sink, entries[11:], size=9)).errors == []
        assert blobs(azurite, "whole") == before

    asyncio.run(run())
    found = blobs(azurite, "whole")
    assert all(name.startswith("raw/date=2026-01-01/device=") for name in found)
    tables = [pq.read_table(pa.BufferReader(data)) for data in found.values()]
    rows = [
        (seq, frame)
        for table in tables
        for seq, frame in zip(*(table[n].to_pylist() for n in ("seq", "frame")), strict=True)
    ]
    assert sorted(rows) == sorted((entry.seq, entry.raw) for entry in entries)


def test_two_gateways_share_a_container(azurite: Server, tmp_path: Path, entries: list[Entry]) -> None:
    """Both write to the same files at once: who is late is told, reads again, and no frame is overwritten."""
    secret = tmp_path / "connection"
    secret.write_text(connection_string(azurite.port))

    async def run() -> int:
        one, two = to_blob(secret, "shared"), to_blob(secret, "shared")
        mine, theirs = entries[::3], [entry for place, entry in enumerate(entries) if place % 3]
        deliveries = await asyncio.gather(drive(one, mine, size=4), drive(two, theirs, size=4))
        return sum(len(delivery.errors) for delivery in deliveries)

    assert asyncio.run(run()) > 0
    tables = [pq.read_table(pa.BufferReader(data)) for data in blobs(azurite, "shared").values()]
    assert sorted(raw for table in tables for raw in table["frame"].to_pylist()) == sorted(each.raw for each in entries)


def test_a_busy_store_is_waited_for(tmp_path: Path, entries: list[Entry]) -> None:
    """A store that is busy says for how long, and the error hands that on."""

    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": "7"})

    async def run() -> SinkError:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", busy)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        secret = tmp_path / "connection"
        secret.write_text(connection_string(runner.addresses[0][1]))
        sink = to_blob(secret)
        with pytest.raises(SinkError) as caught:
            await sink.open()
        await sink.close()
        await runner.cleanup()
        return caught.value

    error = asyncio.run(run())
    assert (error.reason, error.retry_after) == ("503", 7.0)


def test_a_store_that_refuses_is_told_without_secrets(azurite: Server, tmp_path: Path, entries: list[Entry]) -> None:
    """A wrong key, a string that is none and a store that is away are SinkErrors that hold no key."""
    secret = tmp_path / "connection"
    wrong = "d3Jvbmcga2V5IHdyb25nIGtleSB3cm9uZyBrZXk="
    plain = f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey={wrong};EndpointSuffix=core.windows.net"
    texts = ((connection_string(azurite.port, wrong), "403"), ("nothing", "connection string"), (plain, "read along"))
    for text, said in texts:
        secret.write_text(text)
        error = asyncio.run(drive(to_blob(secret), entries[:1], patience=0)).errors[0]
        assert said in str(error)
        assert wrong not in str(error)
    secret.write_text(connection_string(azurite.port))
    azurite.kill()
    assert "away" in str(asyncio.run(drive(to_blob(secret), entries[:1], patience=0)).errors[0])
    azurite.start()
    assert asyncio.run(drive(to_blob(secret), entries[:1])).errors == []
