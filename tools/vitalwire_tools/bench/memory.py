"""Measures the heap that the whole firmware needs for the standard profile, code and tables included, 64-bit port."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from vitalwire_protocol.spec import Counter

from .running import last_status

BUDGET = 128 * 1024
STEP = 8 * 1024
SECONDS = 60


def run(seconds: int = SECONDS) -> dict[str, Any]:
    """Return `heap_bytes`, the smallest heap from 128 KiB up, in steps of 8 KiB, in which the board runs.

    `heap_low` are the bytes free there when a frame is begun, at the least; `overruns` how often a FIFO ran over.
    RuntimeError if twice the budget does not suffice.
    """
    for heap in range(BUDGET, 2 * BUDGET + 1, STEP):
        counters = last_status(heap, seconds)
        if counters is not None:
            return {
                "heap_bytes": heap,
                "budget_bytes": BUDGET,
                "heap_low": counters[Counter.HEAP_LOW],
                "overruns": counters[Counter.OVERRUNS],
            }
    raise RuntimeError(f"the board does not run in {2 * BUDGET} bytes")


def render(result: dict[str, Any]) -> Table:
    """Return the figures of `run` as a table for a person."""
    table = Table("device memory, 64-bit port", "measured", "target", title="memory")
    table.add_row("smallest heap that runs the profile", f"{result['heap_bytes'] // 1024} KiB", "128 KiB, 10 % free")
    table.add_row("free in it before a frame, at the least", f"{result['heap_low']} bytes", "")
    table.add_row("FIFO overruns", str(result["overruns"]), "0")
    return table
