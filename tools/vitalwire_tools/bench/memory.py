"""Measures the heap that the whole firmware needs, code and tables included, 64-bit port.

What `@micropython.viper` compiles to is not in that heap on either port: a chip keeps it in its instruction memory.
"""

from __future__ import annotations

import json
import os
import select
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from rich.table import Table

from vitalwire import crypto
from vitalwire_protocol.spec import Counter

from ..virtual.board import VirtualBoard
from ..virtual.machine import Options, create
from .running import last_status

BUDGET = 128 * 1024
STEP = 8 * 1024
SECONDS = 130  # in which each part of a frame's making was once looked at, see firmware/app.py
BLOCK = 32  # bytes, the least that an allocation takes
FREE = 10  # one in so many bytes stays free
BOARDS = 3
CYCLE = {"on_s": 4, "every_s": 10}
MOST = "the same with policy `private`, an operator's key and sensors that rest now and then"

_MARK = "sampled "
_PROBE = f"""
import gc, json
gc.threshold(4096)
import hal.virtual as hal
import boot
from app import App

app = App(hal)
boot.build(app)
boot.forget()
boot = None
used = samples = 0
for _ in range(8):
    until = hal.ticks() + 1000000
    rings = [stream.ring for stream in app.streams]
    while hal.ticks() < until or app.job or rings[0].head - rings[0].tail > rings[0].size // 3:
        app.turn()  # until there is room in the rings
    gc.collect()
    gc.disable()
    samples -= sum([ring.head * len(ring.data) for ring in rings])
    until = hal.ticks() + 1000000
    while hal.ticks() < until:
        before = gc.mem_alloc()
        app.sense(hal.ticks(), False)
        used += gc.mem_alloc() - before
        hal.idle(app.due)
    samples += sum([ring.head * len(ring.data) for ring in rings])
    gc.enable()
print({_MARK!r} + json.dumps([used, samples]))
"""


def sampling(heap: int = BUDGET) -> tuple[int, int]:
    """Return the bytes that reading the sensors into their rings allocated, and the samples it read.

    RuntimeError if the board does not say so within a minute.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        create(folder)
        with VirtualBoard(Options(folder, heap=heap, speed=0, modules={"probe.py": _PROBE}, start="probe")) as board:
            port = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
            try:
                seen, until = "", time.monotonic() + 60
                while time.monotonic() < until:
                    if select.select([port], [], [], 0.2)[0]:
                        seen += os.read(port, 4096).decode(errors="replace")
                    for line in seen.splitlines(keepends=True):
                        if line.startswith(_MARK) and line.endswith("\n"):
                            used, samples = json.loads(line.removeprefix(_MARK))
                            return used, samples
            finally:
                os.close(port)
    raise RuntimeError(f"the board said {seen[-500:]!r}")


def smallest(seconds: int, **options: Any) -> tuple[int, Mapping[int, int]]:
    """Return the smallest heap from 128 KiB up, in steps of 8 KiB, with a tenth free at the peak, and the counters.

    `options` as of `last_status`. Each of several boards has to run in it, because what a start leaves where is not
    the same each time. RuntimeError if twice the budget does not suffice.
    """
    for heap in range(BUDGET, 2 * BUDGET + 1, STEP):
        worst: Mapping[int, int] | None = None
        for _ in range(BOARDS):
            counters = last_status(heap, seconds, **options)
            if counters is None or counters[Counter.HEAP_LOW] * FREE < heap:
                break
            worst = min(worst or counters, counters, key=lambda one: one[Counter.HEAP_LOW])
        else:
            assert worst is not None
            return heap, worst
    raise RuntimeError(f"the board does not run in {2 * BUDGET} bytes")


def run(seconds: int = SECONDS) -> dict[str, Any]:
    """Return `heap_bytes`, the smallest heap for the standard profile, see `smallest`, and `most_bytes`, that for MOST.

    `heap_low` are the bytes free in the former after a collection, at the least; `overruns` how often a FIFO ran over;
    `allocations_per_sample` the blocks of heap, of 32 bytes, that reading the sensors takes.
    """
    used, samples = sampling()
    operator = crypto.public_point(ec.generate_private_key(ec.SECP256R1()))
    heap, counters = smallest(seconds)
    most, _ = smallest(seconds, policy="private", settings=CYCLE, operator=operator)
    return {
        "heap_bytes": heap,
        "most_bytes": most,
        "budget_bytes": BUDGET,
        "heap_low": counters[Counter.HEAP_LOW],
        "allocations_per_sample": used / BLOCK / samples,
        "samples": samples,
        "overruns": counters[Counter.OVERRUNS],
    }


def render(result: dict[str, Any]) -> Table:
    """Return the figures of `run` as a table for a person."""
    table = Table("device memory, 64-bit port", "measured", "target", title="memory")
    free = f"{result['heap_low']} bytes, {result['heap_low'] / result['heap_bytes']:.1%}"
    table.add_row("heap that the whole firmware needs", f"{result['heap_bytes'] // 1024} KiB", "128 KiB")
    table.add_row(MOST, f"{result['most_bytes'] // 1024} KiB", "-")
    table.add_row("free in it at the peak", free, "10 %")
    table.add_row(f"allocations a sample, over {result['samples']}", f"{result['allocations_per_sample']:g}", "0")
    table.add_row("FIFO overruns", str(result["overruns"]), "0")
    return table
