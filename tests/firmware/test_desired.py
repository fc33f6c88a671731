"""Configurations on the device's flash: whole ones only, and never an older version, whenever the power goes."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent


def run(path: Path, at: str) -> tuple[bool, list[tuple[int, ...]]]:
    """Return whether the device came to its end, and (newest, in force, given up) at each start."""
    done = subprocess.run(
        ["micropython", str(HERE / "desired_mp.py"), str(path), at],
        env={**os.environ, "MICROPYPATH": f"{HERE.parents[1] / 'firmware'}:.frozen"},
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert "Error" not in done.stdout + done.stderr, done
    lines = done.stdout.splitlines()
    return "done" in lines, [tuple(map(int, line.split()[1:])) for line in lines if line.startswith("have")]


def test_power_cut_at_every_operation(tmp_path: Path) -> None:
    """Five configurations, two of which never run, with a cut at each of all the flash operations that this takes."""
    flash = tmp_path / "flash.bin"
    run(flash, "fresh")
    empty = flash.read_bytes()
    whole, starts = run(flash, "0")
    assert whole
    assert starts[-1] == (5, 5, 0)
    assert [version for _, _, version in starts if version] == [2, 4]
    at = cuts = 0
    while True:
        at += 1
        flash.write_bytes(empty)
        whole, before = run(flash, str(at))
        if whole:
            break
        cuts += 1
        whole, after = run(flash, "0")
        assert whole
        told = before + after
        assert after[-1] == (5, 5, 0)
        assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(told)), (at, told)
    assert cuts > 20
