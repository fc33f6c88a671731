"""Writes the first board.toml of a new board: one that validates, to be changed to what the board really has."""

from __future__ import annotations

from pathlib import Path

from .board import BoardError
from .boardfile import parse
from .chips import Chip, chips
from .pins import numbers

TEXT = """\
# {name}: say here which document the pins come from. Keys and what they may hold: boards/README.md.

name = "{name}"
title = "{name}"
chip = "{chip}"
flash = 0x400000
features = ["wifi", "ble"]

[partitions] # offset, size; the application below 0x200000 is MicroPython's
vfs = [0x200000, 0x100000]
journal = [0x300000, 0x100000]

[header] # the pins led out, top to bottom: a GPIO, "LABEL:GPIO", or 3V3, 5V, GND, EN, RST, BAT
left = ["3V3", {left}]
right = ["GND", {right}]

[i2c.{bus}]
scl = {scl}
sda = {sda}
baud = 400000

[[sensor]]
part = "max30205"
i2c = {bus}
address = 0x48
"""


def text(name: str, chip: Chip) -> str:
    """Return the text for a board of this chip."""
    pins = sorted(chip.gpio - chip.flash - chip.usb - chip.console)
    quiet = [pin for pin in pins if pin not in chip.strapping | chip.input_only]
    half = len(pins) // 2
    left, right = numbers(pins[:half]), numbers(pins[half:])
    scl, sda = quiet[-1], quiet[-2]
    return TEXT.format(name=name, chip=chip.name, left=left, right=right, bus=min(chip.i2c), scl=scl, sda=sda)


def create(folder: Path, name: str, chip: str) -> Path:
    """Write `folder/name/board.toml` and return its path; BoardError for a name or chip that cannot be.

    Raises FileExistsError rather than write over a board.
    """
    if not name or not all(c.isascii() and (c.isalnum() or c == "_") for c in name):
        raise BoardError(f"{name!r} is no name of a board; one is vendor_board, of letters, digits and _")
    if chip not in chips():
        raise BoardError(f"unknown chip {chip!r}; allowed: {', '.join(chips())}")
    content = text(name, chips()[chip])
    parse(content)
    path = folder / name / "board.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x") as file:
        file.write(content)
    return path
