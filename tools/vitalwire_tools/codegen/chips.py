"""What each chip's pins can do, from `boards/chips.toml`: facts of data sheets. No board is known here."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache

from ..folders import BOARDS


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip; pins are GPIO numbers, `bootloader` is its offset in flash, `arch` is mpy-cross's word."""

    name: str
    gpio: frozenset[int]
    input_only: frozenset[int]
    strapping: frozenset[int]
    flash: frozenset[int]
    usb: frozenset[int]
    console: frozenset[int]
    adc: frozenset[int]
    i2c: frozenset[int]
    spi: frozenset[int]
    arch: str
    bootloader: int


@cache
def chips() -> dict[str, Chip]:
    """Return the chips a board may name, by name."""
    found = {}
    for name, facts in tomllib.loads((BOARDS / "chips.toml").read_text()).items():
        spans = facts.pop("gpio")
        arch, bootloader = facts.pop("arch"), facts.pop("bootloader")
        gpio = frozenset(pin for first, last in spans for pin in range(first, last + 1))
        found[name] = Chip(
            name, gpio, arch=arch, bootloader=bootloader, **{key: frozenset(pins) for key, pins in facts.items()}
        )
    return found
