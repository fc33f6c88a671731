"""Divides an ESP32's time among the kinds of work a board does, by the cost table of board.toml.

The virtual board charges each slice of work to its clock, and a board that watches itself (watch_mp.py) notes what each
charge was for. Its garbage is counted: how often a chip collects besides when the board says so follows from that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from vitalwire_protocol.spec import Counter

from ..virtual.machine import board_file
from . import coding
from .running import last_status

HEAP = (
    2 << 20
)  # so that nothing is collected but when the board says so; the device's memory has a benchmark of its own
SECONDS = 120
WATCH = Path(__file__).with_name("watch_mp.py")
FIRST = 1000  # as in watch_mp.py
KINDS = ("sampling", "coding", "framing", "signing", "journal", "loop", "link", "collector")

# A signature leaves 167,904 bytes where words have 32 bits (MicroPython 1.27 for WASI) and 216,032 where they have 64.
NARROW = 167_904 / 216_032
# A stock ESP32's heap begins with 56 KiB and doubles once (ports/esp32/mpconfigport.h; py/gc.c collects before that):
# the 162,000 bytes that gc.mem_free() tells after its own boot are all it could grow to. Put together, the board takes
# 57,000 in that build, with bytecode in place of viper's machine code; 75,000 are reckoned with.
FREE = 37_000


def divide(seconds: int, policy: str, **options: Any) -> dict[str, Any]:
    """Return what a board with a reader spends its time on under a policy; RuntimeError if it does not run.

    `options` are those of `last_status`.

    `parts` has a share for each of KINDS; `share` is their sum without the link, which the
    design's limit does not include, and `total` the sum of all.
    """
    watch = {"watch.py": WATCH.read_text().replace("FREE = 0", f"FREE = {FREE / NARROW:.0f}")}
    counters = last_status(HEAP, seconds, policy, start="watch", modules=watch, **options)
    if counters is None:
        raise RuntimeError("the virtual board delivered no status")
    uptime = 1e6 * counters[Counter.UPTIME_S]
    parts = {name: counters[FIRST + number] / uptime for number, name in enumerate(KINDS)}
    garbage, further = (counters[FIRST + len(KINDS) + n] for n in range(2))
    parts["collector"] += further * board_file().cpu["esp32"]["gc"] / 1e3 / uptime
    total = sum(parts.values())
    return {
        "share": total - parts["link"],
        "total": total,
        "parts": parts,
        "garbage_bytes_per_s": NARROW * garbage / counters[Counter.UPTIME_S],
        "overruns": counters[Counter.OVERRUNS],
    }


def run(seconds: int = SECONDS, rounds: int = 10) -> dict[str, Any]:
    """Return the shares of the standard profile, `seal`, the same under that policy, and the encoder's, `codec`."""
    return divide(seconds, "sign") | {"seal": divide(seconds, "seal"), "codec": coding.run(rounds)}


def render(result: dict[str, Any]) -> list[Table]:
    """Return the figures of `run` as tables for a person."""
    both = (result, result["seal"])
    table = Table("a stock ESP32, estimated to a factor of 2", "sign", "seal", "target", title="device")
    for name in result["parts"]:
        if name != "link":
            table.add_row(name, *(f"{100 * one['parts'][name]:.1f} %" for one in both))
    table.add_row("together", *(f"{100 * one['share']:.1f} %" for one in both), "15 %", end_section=True)
    table.add_row("link to a reader", *(f"{100 * one['parts']['link']:.1f} %" for one in both))
    table.add_row("garbage, 32-bit words", *(f"{one['garbage_bytes_per_s'] / 1000:.0f} kB/s" for one in both))
    table.add_row("FIFO overruns", *(str(one["overruns"]) for one in both), "0")
    codec = Table(
        "encoder", "samples/s here", "loop iterations a sample", "samples/s, ESP32", title="codec, MicroPython"
    )
    for how, codings in result["codec"].items():
        for name, one in codings.items():
            figures = (one["samples_per_s"], one["iterations"], one["esp32_samples_per_s"])
            codec.add_row(f"{name}, {how}", *(f"{figure:,.0f}" for figure in figures))
    return [table, codec]
