"""Faults a test can script: what may go wrong with a chip, when, and for how long."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

BOARD = "board"  # the name under which the board itself stalls
CELL = "adc"
SPI, I2C, TEMPERATURE = ("max30003", "ads1292r"), ("max30102", "lsm6dso"), ("max30205", "mlx90614")
ANALOG = "ad8232"
CLOCKED = (*SPI, *I2C)
ANY = (*CLOCKED, *TEMPERATURE)

# fault: (chips it can befall, name and bounds of its own number)
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, float, float] | None]] = {
    "drift": (CLOCKED, ("ppm", -50_000, 50_000)),  # the chip's oscillator, against nominal
    "jitter": (CLOCKED, ("us", 0, 1_500)),  # each sample this much early or late at most
    "lead_off": ((*SPI, ANALOG), None),
    "saturate": ((*CLOCKED, ANALOG), ("rail", -1, 1)),  # samples stand at the upper (1) or lower (-1) rail
    "nak": ((*I2C, *TEMPERATURE), None),  # nothing acknowledged; sampling goes on
    "noise": (TEMPERATURE[1:], None),  # one bit of each answer is wrong
    "missing": (ANY, None),  # not there, not powered
    "wrong_part": ((*CLOCKED, *TEMPERATURE[1:]), None),  # another part id
    "wedged": (CLOCKED, None),  # answers, but samples no more
    "stuck_line": ((SPI[0], *I2C), None),  # the interrupt line stays low
    "voltage": ((CELL,), ("mv", 0, 5_000)),  # of the cell, whatever it has given
    "stall": ((BOARD,), None),  # the board does nothing for `for_s`
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `start` and `end` in microseconds of virtual time, `end` infinite when it stays."""

    chip: str
    kind: str
    start: int
    end: float
    value: float = 0.0


class FaultError(ValueError):
    """A script of faults is not understood; the message says where."""


def parse(script: Iterable[Mapping[str, Any]]) -> list[Fault]:
    """Return the faults of a script in time order.

    Each entry: `chip`, `fault`, optional `at_s` (0) and `for_s` (for ever), the fault's own `ppm`, `us` or `rail`.
    Raises FaultError for anything else.
    """
    faults = []
    for number, entry in enumerate(script):
        where = f"fault {number}"
        rest = dict(entry)
        kind, chip = rest.pop("fault", None), rest.pop("chip", None)
        at, duration = rest.pop("at_s", 0), rest.pop("for_s", math.inf)
        if not isinstance(kind, str) or kind not in KINDS:
            raise FaultError(f"{where}: unknown fault {kind!r}")
        chips, number_of = KINDS[kind]
        if chip not in chips:
            raise FaultError(f"{where}: {kind} befalls one of {', '.join(chips)}, not {chip!r}")
        value = 0.0
        if number_of:
            name, low, high = number_of
            value = rest.pop(name, None)
            if not isinstance(value, int | float) or not low <= value <= high:
                raise FaultError(f"{where}: {name} must be a number from {low} to {high}")
        if rest:
            raise FaultError(f"{where}: unknown key {sorted(rest)[0]!r}")
        numbers = isinstance(at, int | float) and isinstance(duration, int | float)
        if not numbers or not 0 <= at < math.inf or not duration > 0:
            raise FaultError(f"{where}: at_s must be 0 or more and for_s more than 0")
        if kind == "stall" and duration == math.inf:
            raise FaultError(f"{where}: a stall needs for_s")
        faults.append(Fault(chip, kind, round(at * 1e6), at * 1e6 + duration * 1e6, float(value)))
    return sorted(faults, key=lambda fault: fault.start)
