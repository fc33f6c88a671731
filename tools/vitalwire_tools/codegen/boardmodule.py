"""Writes the device's `board.py`: what of a board's description its firmware reads."""

from __future__ import annotations

from .board import Board


def render(board: Board) -> str:
    """Return the source of the device's `board.py`: literals for `hal`, rows for `firmware/sensors`."""
    battery = board.battery
    cell = (battery.adc, battery.numerator, battery.denominator, battery.empty, battery.full) if battery else None
    values = {
        "NAME": board.name,
        "CHIP": board.chip,
        "HOLD": board.onboard.get("hold", (-1,))[0],
        "PARTITIONS": tuple((name, *area) for name, area in board.partitions.items()),
        "BUSES": tuple((*key, *row) for key, row in board.buses.items()),
        "BATTERY": cell,
    }
    head = f"# Made from boards/{board.name}/board.toml by vitalwire_tools.codegen.boardmodule; do not edit."
    lines = [head, *(f"{name} = {value!r}" for name, value in values.items())]
    # The loader reads this file before it knows which application's drivers there will be.
    lines += ["", "", "def sensors():"]
    lines += sorted({f"    from sensors.{s.part} import {s.part.upper()}" for s in board.sensors})
    rows = "".join(f"({s.part.upper()}, {s.kind!r}, {s.bus}, {s.select}, {s.interrupt}), " for s in board.sensors)
    return "\n".join([*lines, "", f"    return ({rows})", ""])
