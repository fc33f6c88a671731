"""Reads a board.toml and refuses what is not in its vocabulary, which stands here: keys, types and bounds."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from vitalwire_protocol import spec

from ..folders import BOARDS
from . import descriptor
from .board import KEYS, LINES, Battery, Board, BoardError, Power, Sensor
from .chips import chips
from .parts import driver, parts, sampled
from .pins import PinError, check

SECTOR = spec.SECTOR_SIZE
COSTS = ("modmul", "bytecode", "viper", "sha", "flash_program", "flash_erase", "flash_read", "gc", "bus")
FEATURES = (
    *("wifi", "ble", "usb", "uart_bridge", "psram", "battery", "charger", "button", "led", "display", "infrared"),
    *("buzzer", "microphone", "imu", "clock"),
)
ONBOARD = ("button", "led", "display", "buzzer", "microphone", "hold", "i2c", "memory")
SUPPLIES = ("3V3", "5V", "GND", "EN", "RST", "BAT")  # what a header has beside GPIOs
LOWEST, HIGHEST = 0x08, 0x77  # I2C addresses a chip may have


def _take(table: dict[str, Any], where: str, **kinds: type) -> dict[str, Any]:
    """Return the table's values, every key known and of its kind; keys of kinds ending in `_` may be missing."""
    wanted = {name.removesuffix("_"): (kind, name.endswith("_")) for name, kind in kinds.items()}
    for key in table:
        if key not in wanted:
            raise BoardError(f"{where}: unknown key {key!r}; allowed: {', '.join(wanted)}")
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


def _one_of(value: object, where: str, allowed: Any) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise BoardError(f"{where}: unknown {value!r}; allowed: {', '.join(allowed)}")
    return value


def _text(value: str, where: str) -> str:
    if not (value.isprintable() and 0 < len(value.encode()) <= spec.Limit.MAX_TEXT):
        raise BoardError(f"{where} must be 1 to {spec.Limit.MAX_TEXT} bytes of printable text")
    return value


def _partitions(table: dict[str, Any], flash: int) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    end = 0
    for name, area in sorted(table.items(), key=lambda item: str(item[1])):
        if name not in {"vfs", "journal"} or type(area) is not list or len(area) != 2:
            raise BoardError(f"partitions: {name!r} must be vfs or journal, [offset, size]")
        offset, size = (_number(n, f"partitions: {name}", 0, flash) for n in area)
        if offset % SECTOR or size % SECTOR or not size or offset < end or offset + size > flash:
            raise BoardError(f"partitions: {name!r} must be whole sectors within the flash, apart from the others")
        end = offset + size
        found[name] = (offset, size)
    for name in ("vfs", "journal"):
        if name not in found:
            raise BoardError(f"partitions: {name!r} is missing")
    return found


def _headers(table: dict[str, Any]) -> dict[str, tuple[tuple[str, int], ...]]:
    _take(table, "header", left=list, right=list)
    found = {}
    for side, entries in table.items():
        rows: list[tuple[str, int]] = []
        for entry in entries:
            label, _, digits = entry.rpartition(":") if isinstance(entry, str) else ("", "", str(entry))
            if entry in SUPPLIES:
                rows.append((entry, -1))
            elif digits.isdecimal():
                rows.append((label or digits, int(digits)))
            else:
                raise BoardError(
                    f"header: {side}: {entry!r} must be a GPIO, 'LABEL:GPIO' or one of {', '.join(SUPPLIES)}"
                )
        found[side] = tuple(rows)
    return found


def _onboard(table: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    found = {}
    for name, pins in table.items():
        _one_of(name, "onboard", ONBOARD)
        given = pins if isinstance(pins, list) else [pins]
        found[name] = tuple(_number(pin, f"onboard: {name}", 0, 63) for pin in given)
        if name == "hold" and len(given) != 1:
            raise BoardError("onboard: hold must be one GPIO")
    return found


def _buses(table: dict[str, Any], kind: str, numbers: frozenset[int]) -> dict[tuple[str, int], tuple[int, ...]]:
    found = {}
    lines = [line for line, _ in LINES[kind]]
    for number, row in table.items():
        where = f"{kind}.{number}"
        if not number.isdecimal() or int(number) not in numbers or type(row) is not dict:
            raise BoardError(f"{where}: a bus is a table named by its number; allowed: {sorted(numbers)}")
        row = _take(row, where, baud=int, **dict.fromkeys(lines, int))
        baud = _number(row["baud"], f"{where}: baud", 10_000, 20_000_000)
        found[kind, int(number)] = (baud, *(_number(row[line], f"{where}: {line}", 0, 63) for line in lines))
    return found


def _sensor(row: dict[str, Any], number: int, buses: dict[tuple[str, int], tuple[int, ...]]) -> Sensor:
    where = f"sensor {number}"
    if type(row) is not dict:
        raise BoardError(f"{where}: a sensor is a table")
    part = _one_of(row.get("part"), f"{where}: part", parts())
    kind = parts()[part]
    bus, select, interrupt = (key for key, _ in KEYS[kind])
    loose = not sampled(part)
    _take(row, where, part=str, **{bus: int, select: int, interrupt + "_" * loose: int})
    if kind in LINES and (kind, row[kind]) not in buses:
        there = [f"{kind}.{n}" for k, n in buses if k == kind]
        raise BoardError(f"{where}: there is no bus {kind}.{row[kind]}; allowed: {', '.join(there) or 'none'}")
    low, high = (LOWEST, HIGHEST) if kind == "i2c" else (0, 63)
    most = driver(part).get("_BAUD")
    if isinstance(most, int) and buses[kind, row[kind]][0] > most:
        raise BoardError(f"{where}: {part} takes at most {most} baud; i2c.{row[kind]} has {buses[kind, row[kind]][0]}")
    pin = _number(row.get(interrupt, -1), f"{where}: {interrupt}", -1 if loose else 0, 63)
    return Sensor(part, kind, row[kind], _number(row[select], f"{where}: {select}", low, high), pin)


def _sensors(rows: list[Any], buses: dict[tuple[str, int], tuple[int, ...]]) -> tuple[Sensor, ...]:
    found = tuple(_sensor(row, number, buses) for number, row in enumerate(rows))
    if len(found) > spec.Limit.MAX_STREAMS:
        raise BoardError(f"board: {len(found)} sensors, of at most {spec.Limit.MAX_STREAMS}")
    taken: dict[tuple[int, int], str] = {}
    for number, sensor in enumerate(found):
        place = (sensor.bus, sensor.select)
        if sensor.kind == "i2c" and place in taken:
            address = f"address 0x{sensor.select:02X} of i2c.{sensor.bus}"
            raise BoardError(f"sensor {number} ({sensor.part}): {address} is {taken[place]}'s already")
        if sensor.kind == "i2c":
            taken[place] = sensor.part
        shared = [other.part for other in found if (other.kind, other.bus) == (sensor.kind, sensor.bus)]
        if len(shared) > 1 and sampled(sensor.part):
            raise BoardError(f"sensor {number} ({sensor.part}): needs {sensor.kind}.{sensor.bus} for itself")
    return found


def _battery(row: dict[str, Any]) -> Battery:
    _take(row, "battery", adc=int, divider=list, empty=int, full=int)
    if len(row["divider"]) != 2:
        raise BoardError("battery: divider must be two integers")
    up, down = (_number(n, "battery: divider", 1, 1000) for n in row["divider"])
    empty = _number(row["empty"], "battery: empty", 1, 20_000)
    full = _number(row["full"], "battery: full", empty + 1, 20_000)
    return Battery(_number(row["adc"], "battery: adc", 0, 63), up, down, empty, full)


def _power(row: dict[str, Any]) -> Power:
    _take(row, "power", cell_mah_=int, regulator_=str, regulator_ua_=int, sleep_ua_=int)
    for key, high in (("cell_mah", 100_000), ("regulator_ua", 100_000), ("sleep_ua", 1_000_000)):
        _number(row.get(key, 1), f"power: {key}", 1, high)
    if "regulator" in row:
        _text(row["regulator"], "power: regulator")
    return Power(**row)


def parse(text: str) -> Board:
    """Return the board a TOML text describes; raises BoardError naming what is wrong."""
    try:
        top = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BoardError(str(error)) from error
    kinds: dict[str, type] = {
        "i2c_": dict,
        "spi_": dict,
        "sensor_": list,
        "battery_": dict,
        "power_": dict,
        "cpu_": dict,
    }
    kinds |= {"onboard_": dict, "header": dict, "features": list, "partitions": dict}
    _take(top, "board", name=str, title=str, chip=str, flash=int, **kinds)
    name, title = _text(top["name"], "board: name"), _text(top["title"], "board: title")
    chip = chips()[_one_of(top["chip"], "board: chip", chips())]
    flash = _number(top["flash"], "board: flash", SECTOR, 1 << 28)
    features = tuple(_one_of(word, "board: features", FEATURES) for word in top["features"])
    headers, onboard = _headers(top["header"]), _onboard(top.get("onboard", {}))
    buses = _buses(top.get("i2c", {}), "i2c", chip.i2c) | _buses(top.get("spi", {}), "spi", chip.spi)
    board = Board(
        name,
        title,
        chip.name,
        flash,
        features,
        _partitions(top["partitions"], flash),
        headers,
        onboard,
        buses,
        _sensors(top.get("sensor", []), buses),
        _battery(top["battery"]) if "battery" in top else None,
        _power(top.get("power", {})),
        top.get("cpu", {}),
    )
    for cpu, costs in board.cpu.items():
        _one_of(cpu, "cpu: chip", chips())
        if type(costs) is not dict:
            raise BoardError(f"cpu.{cpu} must be a table")
        _take(costs, f"cpu.{cpu}", **dict.fromkeys(COSTS, int))
    _check(board)
    return board


def _check(board: Board) -> None:
    """Refuse what is wrong with the board as a whole: its wiring, or more channels than a descriptor holds."""
    chip = chips()[board.chip]
    header = {pin for entries in board.headers.values() for _, pin in entries if pin >= 0}
    own = {pin: name for name, pins in board.onboard.items() for pin in pins}
    for pin in sorted(header | own.keys()):
        if pin not in chip.gpio:
            raise BoardError(f"{'onboard' if pin in own else 'header'}: {chip.name} has no GPIO {pin}")
    try:
        check(chip, board.wires(), frozenset(header), own)
    except PinError as error:
        raise BoardError(str(error)) from None
    names = [s.part for s in board.sensors] + ["battery"] * (board.battery is not None)
    size = descriptor.largest(board.name, names)
    if size > descriptor.limit():
        raise BoardError(f"board: a descriptor of {size} bytes; name fewer sensors for one of {descriptor.limit()}")


def load(path: Path) -> Board:
    """Read a board.toml; raises BoardError, which names the file, or OSError when there is none."""
    try:
        board = parse(path.read_text())
        if board.name != path.parent.name:
            raise BoardError(f"board: name must be the folder's, {path.parent.name!r}")
    except (BoardError, UnicodeDecodeError) as error:
        raise BoardError(f"{path}: {error}") from None
    return board


def boards(folder: Path = BOARDS) -> list[Board]:
    """Return every board of a folder, in order of name; raises BoardError for one that is wrong."""
    return [load(path) for path in sorted(folder.glob("*/board.toml"))]
