"""Estimates the share of an ESP32's time that everything the board does takes, by the cost table of board.toml."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from vitalwire_protocol.spec import Counter

from .running import last_status

HEAP = 1 << 20  # the device's memory has a benchmark of its own
SECONDS = 120


def run(seconds: int = SECONDS) -> dict[str, Any]:
    """Return `share`, the part of its time that a board with a reader is busy; RuntimeError if it does not run."""
    counters = last_status(HEAP, seconds)
    if counters is None:
        raise RuntimeError("the virtual board delivered no status")
    return {"share": counters[Counter.BUSY_PERMILLE] / 1000, "overruns": counters[Counter.OVERRUNS]}


def render(result: dict[str, Any]) -> Table:
    """Return the figures of `run` as a table for a person."""
    table = Table("a stock ESP32, estimated to a factor of 2", "measured", "target", title="device")
    table.add_row("sampling, coding, framing, signing, journal and link", f"{100 * result['share']:.1f} %", "15 %")
    table.add_row("FIFO overruns", str(result["overruns"]), "0")
    return table
