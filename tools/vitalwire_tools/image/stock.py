"""Reads a MicroPython .bin as downloaded from micropython.org: what chip, what version, and whether it is whole."""

from __future__ import annotations

import re
from dataclasses import dataclass

from esptool.bin_image import LoadFirmwareImage
from esptool.targets import ROM_LIST

from vitalwire.errors import InputError

from ..codegen.chips import Chip, chips
from . import table

LEAST = (1, 24)
_BANNER = re.compile(rb"MicroPython v(\d+)\.(\d+)(?:\.(\d+))?[^\x00\n]{0,40}? on \d{4}-\d\d-\d\d")
_ADVICE = "take a .bin for this chip from micropython.org/download, MicroPython {}.{} or newer".format(*LEAST)


@dataclass(frozen=True, slots=True)
class Stock:
    """A MicroPython image taken apart; offsets are those in flash."""

    chip: Chip
    version: tuple[int, int, int]
    bootloader: bytes
    app: bytes
    app_at: int
    partitions: tuple[table.Partition, ...]


def _refuse(what: str) -> InputError:
    return InputError(f"not a usable MicroPython image: {what}", advice=_ADVICE)


def _checked(name: str, data: bytes, what: str) -> int:
    """Return how long the ESP image at the head of `data` is; InputError when checksum or digest is wrong."""
    try:
        image = LoadFirmwareImage(name, data)
    except Exception as error:  # esptool's reader ends with whatever a cut file makes it stumble over
        raise _refuse(f"its {what} does not parse ({error})") from None
    if image.checksum != image.calculate_checksum():
        raise _refuse(f"the checksum of its {what} is wrong")
    if not image.append_digest:
        raise _refuse(f"its {what} carries no SHA-256")
    if image.stored_digest != image.calc_digest:
        raise _refuse(f"the SHA-256 of its {what} is wrong")
    return int(image.data_length) + len(image.stored_digest)


def chip_id(head: bytes) -> str | None:
    """Return the name of the chip that an ESP image's first bytes say it is for; None if they are of no image."""
    if len(head) < 24 or head[0] != 0xE9:
        return None
    number = int.from_bytes(head[12:14], "little")
    names = [rom.CHIP_NAME for rom in ROM_LIST if getattr(rom, "IMAGE_CHIP_ID", None) == number]
    return names[0].lower().replace("-", "") if names else f"chip {number}"


def _chip(data: bytes) -> Chip:
    name = chip_id(data[:24])
    if name is None:
        raise _refuse("it does not begin with a bootloader")
    if name not in chips():
        raise _refuse(f"it is for {name}, which is none of {', '.join(chips())}")
    return chips()[name]


def _version(app: bytes) -> tuple[int, int, int]:
    found = _BANNER.search(app)
    if not found:
        raise _refuse("its application is not MicroPython")
    version = (int(found[1]), int(found[2]), int(found[3] or 0))
    if version[:2] < LEAST:
        raise _refuse("it is MicroPython {}.{}.{}".format(*version))
    return version


def check_app(data: bytes, chip: Chip) -> None:
    """Raise InputError unless `data` is the application of a MicroPython for OTA partitions of this chip (.app-bin)."""
    name = chip_id(data[:24])
    if name != chip.name:
        raise _refuse(f"it is for {name or 'no chip'}, not for {chip.name}")
    if _checked(chip.name, data, "application") != len(data):
        raise _refuse("more than an application is in it; OTA builds come as .app-bin")
    _version(data)


def read_stock(data: bytes) -> Stock:
    """Take a downloaded .bin apart; raises InputError, saying what is wrong with it."""
    chip = _chip(data)
    head = table.OFFSET - chip.bootloader
    bootloader = data[:head]
    _checked(chip.name, bootloader, "bootloader")
    try:
        rows = table.parse(data[head : head + table.SIZE])
    except ValueError as error:
        raise _refuse(str(error)) from None
    apps = [row for row in rows if row.kind == table.APP]
    if not apps:
        raise _refuse("its partition table names no application")
    start = apps[0].offset - chip.bootloader
    app = data[start : start + apps[0].size]
    if len(app) < 24 or app[0] != 0xE9:
        raise _refuse("there is no application where its partition table says")
    app = app[: _checked(chip.name, app, "application")]
    version = _version(app)
    return Stock(chip, version, bootloader.rstrip(b"\xff"), app, apps[0].offset, tuple(rows))
