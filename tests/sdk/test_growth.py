"""Memory does not grow with a capture: what all processes of a command took together at their most.

The whole series (`--long`) is a capture of 1 GB on all cores, against a tenth of it on one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from vitalwire.capture import Writer
from vitalwire.crew import cores
from vitalwire.frame import parse
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Key, Kind

MB = 1_000_000
SHARE = 0.1  # of what a capture is longer, that memory may be more
KEPT = 32 * MB  # what allocators keep, in each process
LOOK = 0.2  # seconds between two looks at the memory
SEEDED = ("verify", "verify --every-signature", "export csv", "export edf")
WHOLE = (*SEEDED, "export parquet", "export wfdb")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take every format for whole series, else one of rows and one of records."""
    if "command" in metafunc.fixturenames:
        metafunc.parametrize("command", WHOLE if metafunc.config.getoption("--long") else SEEDED)


@lru_cache(maxsize=4)
def write(path: Path, size: int) -> FakeDevice:
    """Write a capture of about so many bytes: the same blocks again and again in one chain."""
    device = FakeDevice()
    blocks = [parse(FakeDevice(seed=seed).sampled()).blocks for seed in range(8)]
    device.utc_us = 1_790_000_000_000_000
    with Writer(path) as writer:
        writer.write(device.descriptor())
        written = 0
        while written < size:
            device.ticks += 2_000_000
            device.utc_us += 2_000_000
            raw = device.make(Kind.DATA, {Key.BLOCKS: blocks[device.seq % len(blocks)]})
            writer.write(raw, device.utc_us + 20_000)
            written += len(raw)
    return device


def together(session: int) -> int:
    """Return the bytes in memory of all processes of a session, what they share counted once."""
    total = 0
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.getsid(int(entry.name)) == session:
                said = (entry / "smaps_rollup").read_text().split("Pss:")
                total += 1024 * int(said[1].split()[0]) if len(said) > 1 else 0
        except (OSError, ValueError):
            continue  # it has just ended
    return total


def most(log: Path, *arguments: str) -> tuple[int, float]:
    """Run a command that ends well; return the most bytes of all its processes together, and how long it took."""
    taken, begun = 0, time.monotonic()
    command = [sys.executable, "-m", "vitalwire.cli", *arguments]
    with log.open("wb") as said, subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True) as running:
        while running.poll() is None:
            taken = max(taken, together(running.pid))
            time.sleep(LOOK)
    assert running.returncode == 0, log.read_text()
    return taken, time.monotonic() - begun


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that is gone afterwards, whatever comes: captures and exports are large."""
    path = tmp_path_factory.mktemp("growth")
    yield path
    shutil.rmtree(path)


def test_memory_is_bounded(folder: Path, long: bool, results: Callable[..., None], command: str) -> None:
    """A long capture takes hardly more memory than a short one, all processes together."""
    name, option = (*command.split(), "")[:2]
    sizes = (100, 1000) if long else (1, 4) if name == "export" else (8, 48)
    workers = max(2, cores())
    runs: list[tuple[int, float]] = []
    for size, count in zip((sizes[0], *sizes), (1, workers, workers), strict=True):
        if count == 1 and not long:
            continue
        path = folder / f"{size}.vwc"
        known = write(path, size * MB).thumbprint.hex()
        out = folder / "out"
        out.mkdir()
        more = [str(out), "--format", option] if name == "export" else [option] if option else []
        runs.append(
            most(folder / "log", name, str(path), *more, "--workers", str(count), "--fingerprint", known, "--json")
        )
        shutil.rmtree(out)
    (short, _), (taken, seconds) = runs[-2:]
    if long:
        figures = {f"mb_on_{workers}_cores": round(taken / MB), "seconds": round(seconds)}
        times = sizes[1] / sizes[0] * runs[0][1] / seconds
        results(f"1 GB: `vitalwire {command}`", **figures, times_as_fast_as_on_one_core=f"{times:.2f}")
    allowed = SHARE * (sizes[1] - sizes[0]) * MB + (1 + workers) * KEPT
    assert taken - short < allowed, (runs, allowed)
