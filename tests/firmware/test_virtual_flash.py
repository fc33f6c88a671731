"""The virtual board's flash: NOR semantics, both block protocols, and a power cut that is a killed process."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
SECTOR = 4096

PRELUDE = """
import sys
from hal.virtual_flash import Cut, FlashFile
work = {}
def charge(kind, n):
    work[kind] = work.get(kind, 0) + n
"""


@pytest.fixture
def chip(tmp_path: Path) -> Path:
    """Return a file of 40 erased sectors between two that are not the flash's."""
    path = tmp_path / "flash"
    path.write_bytes(b"a" * SECTOR + b"\xff" * 40 * SECTOR + b"z" * SECTOR)
    return path


def test_programming_clears_bits_and_erasing_sets_them(micropython: Callable, chip: Path) -> None:
    """Bits go from 1 to 0 only, a sector is erased whole, work is charged, and bytes outside the region stay."""
    script = """
flash = FlashFile(sys.argv[1], 4096, 40 * 4096, charge)
print(flash.ioctl(4, 0), flash.ioctl(5, 0))
flash.writeblocks(3, b"\\xf0" * 600, 100)
flash.writeblocks(3, b"\\x30" * 600, 100)
buf = bytearray(4096)
flash.readblocks(3, buf)
print(buf == b"\\xff" * 100 + b"\\x30" * 600 + b"\\xff" * 3396)
for data, at in ((b"\\x31", 100), (b"\\x30\\xff", 698), (b"\\x00" * 300 + b"\\x01", 399)):
    try:
        flash.writeblocks(3, data, at)
        print("set a bit")
    except ValueError as e:
        pass
for block, at in ((39, 4090), (40, 0), (-1, 0)):
    try:
        flash.readblocks(block, bytearray(10), at)
        print("outside")
    except OSError:
        pass
flash.ioctl(6, 3)
flash.readblocks(3, buf)
print(buf == b"\\xff" * 4096, work["flash_erase"], work["flash_program"] >= 1200, work["flash_read"])
"""
    assert micropython(PRELUDE + script, str(chip)).stdout == "40 4096\nTrue\nTrue 1 True 8192\n"
    data = chip.read_bytes()
    assert (data[:SECTOR], data[-SECTOR:], len(data)) == (b"a" * SECTOR, b"z" * SECTOR, 42 * SECTOR)


def test_littlefs_lives_on_it(micropython: Callable, chip: Path) -> None:
    """VfsLfs2 formats, writes and reads back through the simple and the extended protocol, over a remount."""
    script = """
import os, vfs
flash = FlashFile(sys.argv[1], 4096, 40 * 4096, charge)
vfs.VfsLfs2.mkfs(flash)
for turn in range(2):
    vfs.mount(vfs.VfsLfs2(flash), "/flash")
    for n in range(30):
        name = "/flash/%d" % (n % 7)
        if turn == 0:
            with open(name, "wb") as file:
                file.write(bytes([n]) * 3000)
        else:
            with open(name, "rb") as file:
                assert file.read() == bytes([28 + n % 7 if n % 7 < 2 else 21 + n % 7]) * 3000
    vfs.umount("/flash")
print("kept")
"""
    assert micropython(PRELUDE + script, str(chip)).stdout == "kept\n"


@pytest.mark.parametrize("operation", ["program", "erase"])
def test_a_cut_kills_the_process_in_the_middle(chip: Path, operation: str) -> None:
    """At the scripted operation the process dies by SIGKILL, nothing runs after it, and a part is done."""
    script = """
flash = FlashFile(sys.argv[1], 4096, 40 * 4096, charge, Cut(3, int(sys.argv[3])))
flash.ioctl(6, 0)
flash.writeblocks(0, bytes(4096), 0)
try:
    if sys.argv[2] == "program":
        flash.writeblocks(1, bytes(1000), 0)
    else:
        flash.ioctl(6, 0)
finally:
    flash.writeblocks(2, b"x", 0)
    print("alive")
"""
    parts = set()
    for seed in range(8):
        command = ["micropython", "-c", PRELUDE + script, str(chip), operation, str(seed)]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "MICROPYPATH": str(FIRMWARE)}, timeout=60
        )
        assert done.returncode == -signal.SIGKILL
        assert done.stdout == ""
        data = chip.read_bytes()
        assert data[3 * SECTOR] == 0xFF
        parts.add(
            data[2 * SECTOR : 2 * SECTOR + 1000].count(0) if operation == "program" else sum(data[SECTOR:][:SECTOR])
        )
        chip.write_bytes(b"\xff" * 42 * SECTOR)
    assert len(parts) > 3
