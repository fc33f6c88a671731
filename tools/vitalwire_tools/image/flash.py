"""Writes a whole flash image to a chip on a serial port, by esptool, which shows its progress on stderr."""

from __future__ import annotations

import sys

import serial
from esptool.cmds import attach_flash, detect_chip, reset_chip, run_stub, write_flash
from esptool.logger import log
from esptool.util import FatalError

from vitalwire.errors import InputError, TransportError, UsageError

from ..codegen.chips import Chip, chips
from . import stock


def chip_of(image: bytes) -> Chip:
    """Return the chip an image of `build` is for; raises InputError for anything else."""
    for chip in chips().values():
        head = image[chip.bootloader : chip.bootloader + 24]
        if image[: chip.bootloader].strip(b"\xff") == b"" and stock.chip_id(head) == chip.name:
            return chip
    raise InputError("this is no flash image", advice="`vitalwire board image` makes one")


def flash(port: str, image: bytes, baud: int = 460800) -> None:
    """Write an image from offset 0, over everything; the chip then starts from it.

    Raises InputError for a file that is no image, UsageError for one of another chip, TransportError when no chip
    answers or writing fails.
    """
    chip = chip_of(image)
    log.set_info_stream(sys.stderr)
    log.set_verbosity("normal")
    try:
        with detect_chip(port) as found:
            name = found.CHIP_NAME.lower().replace("-", "")
            if name != chip.name:
                raise UsageError(f"the chip on {port} is an {name}, the image is for {chip.name}")
            loader = run_stub(found)
            loader.change_baud(baud)
            attach_flash(loader)
            write_flash(loader, [(0, image)])
            reset_chip(loader)
    except (FatalError, serial.SerialException, OSError) as error:
        raise TransportError(
            f"cannot write to the chip on {port}: {error}",
            advice="`vitalwire ports` lists ports; holding BOOT while pressing reset makes most boards listen",
        ) from None
