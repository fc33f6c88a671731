"""Memory does not grow with a capture: what the whole process took at its most, for a small and for a large one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vitalwire.capture import Writer
from vitalwire.frame import parse
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Key, Kind

CHILD = """
import resource, sys
from vitalwire.cli import main
code = main(sys.argv[1:])
most = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(code, *(1024 * each for each in most))
"""
MB = 1_000_000
SHARE = 0.1  # of what a capture is longer, that memory may be more


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


def most(*arguments: str) -> tuple[int, int]:
    """Run a command that ends well; return the most bytes of it and of the largest of its workers."""
    command = [sys.executable, "-c", CHILD, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    code, own, workers = done.stdout.split()[-3:]
    assert code == "0", done.stdout + done.stderr
    return int(own), int(workers)


@pytest.mark.parametrize("command", ["verify", "verify --every-signature", "export"])
def test_memory_is_bounded(tmp_path: Path, long: bool, results: Callable[..., None], command: str) -> None:
    """A long capture takes hardly more memory than a short one, here and in the workers."""
    small, large = (4, 60) if command == "export" else (16, 400)
    if not long:
        small, large = (1, 4) if command == "export" else (8, 48)
    taken: list[tuple[int, int]] = []
    for size in (small, large):
        path = tmp_path / f"{size}.vwc"
        device = write(path, size * MB)
        more = [str(tmp_path / f"{size}"), "--format", "csv"] if command == "export" else []
        name, *options = command.split()
        taken.append(most(name, str(path), *more, *options, "--workers", "2", "--fingerprint", device.thumbprint.hex()))
    own, workers = (after - before for before, after in zip(*taken, strict=True))
    figures = {f"{what}_mb": round(each / MB, 1) for what, each in zip(("own", "workers"), taken[1], strict=True)}
    results(f"memory of `vitalwire {command}`, {large} MB", **figures)
    allowed = SHARE * (large - small) * MB + 24 * MB  # what allocators keep
    assert max(own, workers) < allowed, (taken, allowed)
