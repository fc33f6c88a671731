"""Reads a board.toml, refuses what is not in its vocabulary, and renders the device's `board.py` from it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitalwire_protocol import spec

from . import descriptor

CHIPS = {"esp32"}
PINS = 40
SECTOR = spec.SECTOR_SIZE
COSTS = {"modmul", "bytecode", "viper", "sha", "flash_program", "flash_erase", "flash_read", "gc", "bus"}
PARTS = {"max30003": "spi", "max30102": "i2c", "lsm6dso": "i2c", "max30205": "i2c"}  # each has a driver and a model
SELECTS = {"spi": ("select", PINS - 1), "i2c": ("address", 0x77)}  # what picks a chip on its bus, and its highest


class BoardError(ValueError):
    """A board.toml says something outside the vocabulary; the message names the key."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor chip: `select` is its I2C address or its chip-select pin; `interrupt` is -1 when not wired."""

    part: str
    kind: str
    bus: int
    select: int
    interrupt: int


@dataclass(frozen=True, slots=True)
class Battery:
    """The cell's ADC pin, the divider (cell = pin * numerator / denominator), and its voltages in millivolts."""

    adc: int
    numerator: int
    denominator: int
    empty: int
    full: int


@dataclass(frozen=True, slots=True)
class Board:
    """What a board.toml says, checked."""

    name: str
    chip: str
    flash: int
    partitions: dict[str, tuple[int, int]]
    buses: dict[tuple[str, int], tuple[int, ...]]  # (kind, number): (baud, pins...)
    sensors: tuple[Sensor, ...]
    battery: Battery | None
    cpu: dict[str, dict[str, int]] = field(default_factory=dict)


def _take(table: dict[str, Any], where: str, **kinds: type) -> dict[str, Any]:
    """Return the table's values, every key known and of its kind; keys of kinds ending in `_` may be missing."""
    wanted = {name.removesuffix("_"): (kind, name.endswith("_")) for name, kind in kinds.items()}
    for key in table:
        if key not in wanted:
            raise BoardError(f"{where}: unknown key {key!r}")
    for key, (kind, optional) in wanted.items():
        if key not in table and not optional:
            raise BoardError(f"{where}: {key!r} is missing")
        if key in table and type(table[key]) is not kind:
            raise BoardError(f"{where}: {key!r} must be {kind.__name__}")
    return table


def _number(value: object, where: str, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise BoardError(f"{where} must be an integer from {low} to {high}")
    return value


def _buses(table: dict[str, Any], kind: str, *pins: str) -> dict[tuple[str, int], tuple[int, ...]]:
    found = {}
    for number, row in table.items():
        where = f"{kind}.{number}"
        if not number.isdigit() or type(row) is not dict:
            raise BoardError(f"{where}: a bus is a table named by its number")
        row = _take(row, where, baud=int, **dict.fromkeys(pins, int))
        baud = _number(row["baud"], f"{where}: baud", 10_000, 20_000_000)
        lines = tuple(_number(row[p], f"{where}: {p}", 0, PINS - 1) for p in pins)
        found[kind, _number(int(number), where, 0, 3)] = (baud, *lines)
    return found


def _sensor(row: dict[str, Any], number: int, buses: dict[tuple[str, int], tuple[int, ...]]) -> Sensor:
    where = f"sensor {number}"
    if type(row) is not dict:
        raise BoardError(f"{where}: a sensor is a table")
    part = row.get("part")
    if not isinstance(part, str) or part not in PARTS:
        raise BoardError(f"{where}: unknown part {part!r}")
    kind = PARTS[part]
    select, high = SELECTS[kind]
    _take(row, where, part=str, interrupt_=int, **{kind: int, select: int})
    if (kind, row[kind]) not in buses:
        raise BoardError(f"{where}: there is no bus {kind}.{row[kind]}")
    pin = _number(row.get("interrupt", -1), f"{where}: interrupt", -1, PINS - 1)
    return Sensor(part, kind, row[kind], _number(row[select], f"{where}: {select}", 0, high), pin)


def _battery(row: dict[str, Any]) -> Battery:
    _take(row, "battery", adc=int, divider=list, empty=int, full=int)
    if len(row["divider"]) != 2:
        raise BoardError("battery: divider must be two integers")
    up, down = (_number(n, "battery: divider", 1, 1000) for n in row["divider"])
    empty = _number(row["empty"], "battery: empty", 1, 20_000)
    full = _number(row["full"], "battery: full", empty + 1, 20_000)
    return Battery(_number(row["adc"], "battery: adc", 0, PINS - 1), up, down, empty, full)


def parse(text: str) -> Board:
    """Return the board a TOML text describes; raises BoardError naming what is wrong."""
    try:
        top = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BoardError(str(error)) from error
    kinds: dict[str, type] = {"i2c_": dict, "spi_": dict, "sensor_": list, "battery_": dict, "cpu_": dict}
    _take(top, "board", name=str, chip=str, flash=int, partitions=dict, **kinds)
    if top["chip"] not in CHIPS:
        raise BoardError(f"board: unknown chip {top['chip']!r}")
    flash = _number(top["flash"], "board: flash", SECTOR, 1 << 28)
    partitions: dict[str, tuple[int, int]] = {}
    end = 0
    for name, area in sorted(top["partitions"].items(), key=lambda item: str(item[1])):
        if name not in {"fs", "journal"} or type(area) is not list or len(area) != 2:
            raise BoardError(f"partitions: {name!r} must be fs or journal, [offset, size]")
        offset, size = (_number(n, f"partitions: {name}", 0, flash) for n in area)
        if offset % SECTOR or size % SECTOR or not size or offset < end or offset + size > flash:
            raise BoardError(f"partitions: {name!r} must be whole sectors within the flash, apart from the others")
        end = offset + size
        partitions[name] = (offset, size)
    buses = _buses(top.get("i2c", {}), "i2c", "scl", "sda") | _buses(top.get("spi", {}), "spi", "sck", "mosi", "miso")
    sensors = tuple(_sensor(row, n, buses) for n, row in enumerate(top.get("sensor", [])))
    battery = _battery(top["battery"]) if "battery" in top else None
    if len(sensors) > spec.Limit.MAX_STREAMS:
        raise BoardError(f"board: {len(sensors)} sensors, of at most {spec.Limit.MAX_STREAMS}")
    size = descriptor.largest(top["name"], [s.part for s in sensors] + ["battery"] * (battery is not None))
    if size > descriptor.limit():
        raise BoardError(f"board: a descriptor of {size} bytes; name fewer sensors for one of {descriptor.limit()}")
    for name, costs in top.get("cpu", {}).items():
        if name not in CHIPS or type(costs) is not dict:
            raise BoardError(f"cpu: unknown chip {name!r}")
        _take(costs, f"cpu.{name}", **dict.fromkeys(COSTS, int))
    return Board(top["name"], top["chip"], flash, partitions, buses, sensors, battery, top.get("cpu", {}))


def load(path: Path) -> Board:
    """Read a board.toml; raises BoardError, or OSError when there is none."""
    return parse(path.read_text())


def render(board: Board) -> str:
    """Return the source of the device's `board.py`: literals only, rows as `firmware/sensors` and `hal` take them."""
    battery = board.battery
    cell = (battery.adc, battery.numerator, battery.denominator, battery.empty, battery.full) if battery else None
    values = {
        "NAME": board.name,
        "CHIP": board.chip,
        "PARTITIONS": tuple((name, *area) for name, area in board.partitions.items()),
        "BUSES": tuple((*key, *row) for key, row in board.buses.items()),
        "SENSORS": tuple((s.part, s.kind, s.bus, s.select, s.interrupt) for s in board.sensors),
        "BATTERY": cell,
    }
    head = f"# Made from boards/{board.name}/board.toml by vitalwire_tools.codegen.board; do not edit.\n"
    return head + "".join(f"{name} = {value!r}\n" for name, value in values.items())
