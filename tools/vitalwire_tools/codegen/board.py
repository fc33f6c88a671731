"""What a board.toml says, once it is checked: no file is read here, and nothing is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .pins import Wire

# Buses by kind, with what drives each line; a sensor's keys by its kind, with the role of each pin ("" for a number)
LINES = {
    "i2c": (("scl", "drives"), ("sda", "drives")),
    "spi": (("sck", "drives"), ("mosi", "drives"), ("miso", "hears")),
}
KEYS = {
    "spi": (("spi", ""), ("select", "drives"), ("interrupt", "listens")),
    "i2c": (("i2c", ""), ("address", ""), ("interrupt", "listens")),
    "adc": (("adc", "measures"), ("plus", "hears"), ("minus", "hears")),
}


class BoardError(ValueError):
    """A board.toml says something outside the vocabulary; the message names the key and what is allowed."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor chip: `select` is its I2C address or its chip-select pin; `interrupt` is -1 when not wired.

    Those three are what KEYS names for its kind: of an analogue part, the pins of its output and its two levels.
    """

    part: str
    kind: str
    bus: int
    select: int
    interrupt: int

    def pins(self) -> Iterator[tuple[str, str, int]]:
        """Yield its own pins: key, role, GPIO."""
        for (key, role), pin in zip(KEYS[self.kind], (self.bus, self.select, self.interrupt), strict=True):
            if role and pin >= 0:
                yield key, role, pin

    @property
    def place(self) -> str:
        """Where on the board it is, in a person's words."""
        if self.kind == "adc":
            return f"GPIO {self.bus}"
        return f"{f'0x{self.select:02X} on ' * (self.kind == 'i2c')}{self.kind}.{self.bus}"


@dataclass(frozen=True, slots=True)
class Battery:
    """The cell's ADC pin, the divider (cell = pin * numerator / denominator), and its voltages in millivolts."""

    adc: int
    numerator: int
    denominator: int
    empty: int
    full: int


@dataclass(frozen=True, slots=True)
class Power:
    """Cell in mAh; the regulator's name and own current, the board's deep sleep, in uA; 0 or "" if unknown."""

    cell_mah: int = 0
    regulator: str = ""
    regulator_ua: int = 0
    sleep_ua: int = 0


@dataclass(frozen=True, slots=True)
class Board:
    """What a board.toml says, checked. A header's entries are (label, GPIO), the GPIO -1 for a supply."""

    name: str
    title: str
    chip: str
    flash: int
    features: tuple[str, ...]
    partitions: dict[str, tuple[int, int]]
    headers: dict[str, tuple[tuple[str, int], ...]]  # left, right
    onboard: dict[str, tuple[int, ...]]
    buses: dict[tuple[str, int], tuple[int, ...]]  # (kind, number): (baud, pins...)
    sensors: tuple[Sensor, ...]
    battery: Battery | None
    power: Power
    cpu: dict[str, dict[str, int]] = field(default_factory=dict)

    def wires(self) -> Iterator[Wire]:
        """Yield every use of a GPIO."""
        for (kind, number), row in self.buses.items():
            for (line, role), pin in zip(LINES[kind], row[1:], strict=True):
                yield Wire(f"{kind}.{number}: {line}", role, pin)
        for number, sensor in enumerate(self.sensors):
            for key, role, pin in sensor.pins():
                yield Wire(f"sensor {number} ({sensor.part}): {key}", role, pin)
        for pin in self.onboard.get("hold", ()):
            yield Wire("hold", "drives", pin)
        if self.battery:
            yield Wire("battery: adc", "measures", self.battery.adc)
