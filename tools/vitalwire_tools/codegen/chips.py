"""What each chip's pins can do and what it takes, from `boards/chips.toml`: data sheets' facts, of no board."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache

from ..folders import BOARDS


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip; pins are GPIO numbers, `bootloader` is its offset in flash, `arch` is mpy-cross's word.

    `radio_ua` is (listening, sending) by link, where the data sheet gives it; currents are in uA.
    """

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
    idle_ua: int
    busy_ua: int
    light_sleep_ua: int
    radio_ua: dict[str, tuple[int, int]]


@cache
def chips() -> dict[str, Chip]:
    """Return the chips a board may name, by name."""
    found = {}
    for name, facts in tomllib.loads((BOARDS / "chips.toml").read_text()).items():
        spans = facts.pop("gpio")
        arch, bootloader = facts.pop("arch"), facts.pop("bootloader")
        power = {key: facts.pop(key) for key in ("idle_ua", "busy_ua", "light_sleep_ua")}
        power["radio_ua"] = {link: (listening, sending) for link, (listening, sending) in facts.pop("radio_ua").items()}
        gpio = frozenset(pin for first, last in spans for pin in range(first, last + 1))
        found[name] = Chip(
            name,
            gpio,
            arch=arch,
            bootloader=bootloader,
            **power,
            **{key: frozenset(pins) for key, pins in facts.items()},
        )
    return found
