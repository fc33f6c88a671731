"""A board's settings as provisioning writes them: a board that is unplugged meanwhile can be provisioned again."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"

BOARD = """
import sys, json, vfs, birth
from hal.virtual_flash import Cut, FlashFile

class Hal:
    def files(self):
        return "/board"

def flash(at):
    return FlashFile(PATH, 0, 16 * 4096, lambda kind, n: None, Cut(at, at) if at else None)

if AT < 0:
    with open(PATH, "wb") as f:
        f.write(b"\\xff" * (16 * 4096))
    vfs.VfsLfs2.mkfs(flash(0))
vfs.mount(vfs.VfsLfs2(flash(max(AT, 0))), "/board")
for given in GIVEN:
    birth.configure(Hal(), given)
try:
    with open("/board/config.json") as f:
        print(json.load(f))
except OSError:
    print(None)
"""
FIRST, SECOND = {"device": "strap 7"}, {"links": ["ble"]}


def run(path: Path, at: int, *given: dict[str, object]) -> str:
    """Write settings, with the power cut at an operation (0: never, below: on fresh flash); what is there then."""
    done = subprocess.run(
        ["micropython", "-c", f"PATH, AT, GIVEN = {str(path)!r}, {at}, {list(given)!r}\n{BOARD}"],
        env={**os.environ, "MICROPYPATH": f"{FIRMWARE}:.frozen"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        start_new_session=True,
    )
    assert "Error" not in done.stderr, done.stderr
    return done.stdout.strip()


def test_a_power_cut_leaves_old_settings_or_new_ones(tmp_path: Path) -> None:
    """Wherever the power goes the first or second time, the file is whole, and settings can be given again."""
    path = tmp_path / "flash"
    run(path, -1)
    empty, cuts = path.read_bytes(), 0
    while True:
        path.write_bytes(empty)
        if run(path, cuts + 1, FIRST, SECOND):
            break
        cuts += 1
        assert ast.literal_eval(run(path, 0)) in (None, FIRST, FIRST | SECOND)
        assert ast.literal_eval(run(path, 0, FIRST, SECOND)) == FIRST | SECOND
    assert cuts > 5
