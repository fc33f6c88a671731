"""Holds a board's wiring to its chip and its headers: every wire ends at a pin that can do the wire's work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .chips import Chip

INSIDE = {"hold", "battery: adc"}  # wires of the board itself, which need no header


class PinError(ValueError):
    """A pin cannot do what the board wants of it; the message says why, and which pins can."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One use of a GPIO; `use` is the key that names it, `role` is drives, hears, listens or measures.

    The chip drives a clock or a select; hears data; listens on an interrupt line that a sensor pulls low; measures.
    """

    use: str
    role: str
    pin: int


def _able(chip: Chip, wire: Wire) -> frozenset[int]:
    """Return the pins of a chip that can do a wire's work."""
    free = chip.gpio - chip.flash - chip.usb - chip.console
    if wire.role == "measures":
        return free & chip.adc
    if wire.role == "drives":
        return free - chip.input_only
    if wire.role == "listens":
        return free - chip.input_only - chip.strapping
    return free - chip.strapping


def _why(chip: Chip, wire: Wire) -> str:
    pin = wire.pin
    if pin not in chip.gpio:
        return f"{chip.name} has no GPIO {pin}"
    if pin in chip.flash:
        return f"GPIO {pin} of {chip.name} belongs to its flash"
    if pin in chip.usb:
        return f"GPIO {pin} of {chip.name} belongs to its USB"
    if pin in chip.console:
        return f"GPIO {pin} of {chip.name} is the console's"
    if wire.role == "measures":
        return f"GPIO {pin} of {chip.name} is no input of ADC1"
    if pin in chip.input_only:
        return f"GPIO {pin} of {chip.name} has no " + ("output" if wire.role == "drives" else "pull-up")
    return f"GPIO {pin} of {chip.name} is read at reset (strapping), so no sensor may drive it"


def numbers(pins: Iterable[int]) -> str:
    """Return pins as a person writes them."""
    return ", ".join(str(pin) for pin in sorted(pins))


def check(chip: Chip, wires: Iterable[Wire], header: frozenset[int], onboard: dict[int, str]) -> None:
    """Raise PinError for the first wire that cannot be, naming its key and the pins that would do."""
    taken: dict[int, str] = {}
    for wire in wires:
        able = _able(chip, wire)
        left = numbers((able & header) - taken.keys() - onboard.keys()) or "none"
        if wire.pin not in able:
            raise PinError(f"{wire.use}: {_why(chip, wire)}; free and able: {left}")
        if wire.pin in onboard and onboard[wire.pin] != wire.use:
            raise PinError(f"{wire.use}: GPIO {wire.pin} is the board's own {onboard[wire.pin]}; free and able: {left}")
        if wire.pin in taken:
            raise PinError(f"{wire.use}: GPIO {wire.pin} is {taken[wire.pin]} already; free and able: {left}")
        if wire.pin not in header and wire.use not in INSIDE:
            raise PinError(f"{wire.use}: GPIO {wire.pin} is on no header of the board; free and able: {left}")
        taken[wire.pin] = wire.use
