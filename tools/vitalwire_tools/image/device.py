"""What a board's file system holds: the firmware as .mpy for its chip, and the few lines that start it."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from ..codegen.board import Board
from ..codegen.boardmodule import render
from ..compile import compile_firmware
from ..prompt import FIRMWARE

STARTER = f"""\
# Starts vitalwire out of /{FIRMWARE}. Ctrl-C twice gives MicroPython's prompt, unless this board's settings forbid it.
import sys

sys.path.insert(0, "/{FIRMWARE}")
import main
"""
ELSEWHERE = {
    "esp32": ("hal/virtual", "hal/virtual_flash"),
    "virtual": ("hal/esp32", "links/radio"),
}  # not on that hardware


def board_module(board: Board, called: str | None = None) -> str:
    """Return the source of the device's `board.py`, with the version of this firmware or what it is to be called."""
    return render(board) + f"VERSION = {called or version('vitalwire')!r}\n"


def firmware(board: Board, architecture: str, hardware: str, called: str | None = None) -> dict[str, bytes]:
    """Return the modules a board needs, by path in its firmware folder; `hardware` is esp32 or virtual."""
    with TemporaryDirectory() as folder:
        made = compile_firmware(Path(folder) / "made", architecture, {"board.py": board_module(board, called)})
        files = {path.relative_to(made).as_posix(): path.read_bytes() for path in sorted(made.rglob("*.mpy"))}
    parts = {f"sensors/{sensor.part}.mpy" for sensor in board.sensors} | {"sensors/battery.mpy", "sensors/__init__.mpy"}
    return {
        path: content
        for path, content in files.items()
        if not path.removesuffix(".mpy").startswith(ELSEWHERE[hardware])
        and (path in parts or not path.startswith("sensors/"))
    }


def device_files(board: Board, architecture: str) -> dict[str, bytes]:
    """Return all files of a chip's file system but its settings."""
    files = {f"{FIRMWARE}/{path}": content for path, content in firmware(board, architecture, "esp32").items()}
    return files | {"main.py": STARTER.encode()}
