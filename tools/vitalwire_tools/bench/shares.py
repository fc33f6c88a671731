"""Measures what `vitalwire board power` reckons with, by policy and frame length, and writes it down with its date.

`../power.py` reads the file; no figure of it is written by hand.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from rich.table import Table

from vitalwire.client import VerifiedFrame
from vitalwire_protocol.spec import Policy

from ..folders import SHARES
from . import device

SECONDS = 120
# frame_ms. Longer ones of the standard profile are cut at some 2 s by what a frame may hold.
LENGTHS = (500, 1000, 2000)


def run(seconds: int = SECONDS, lengths: tuple[int, ...] = LENGTHS) -> dict[str, Any]:
    """Return `date`, `chip`, `seconds` and `rows`, one a policy and frame length.

    A row has `policy`, `frame_ms`, the `share` of an ESP32's time without the link, that of the `link` to a reader, and
    the `bytes_per_s` of all frames.
    """
    rows = [_one(seconds, policy.name.lower(), length) for policy in Policy for length in lengths]
    return {"date": datetime.date.today().isoformat(), "chip": "esp32", "seconds": seconds, "rows": rows}


def _one(seconds: int, policy: str, frame_ms: int) -> dict[str, Any]:
    frames: list[VerifiedFrame] = []
    found = device.divide(seconds, policy, take=frames.append, settings={"frame_ms": frame_ms})
    span = (frames[-1].frame.ticks - frames[0].frame.ticks) / 1e6
    return {
        "policy": policy,
        "frame_ms": frame_ms,
        "share": round(found["share"], 4),
        "link": round(found["parts"]["link"], 4),
        "bytes_per_s": round(sum(len(frame.raw) for frame in frames) / span),
    }


def write(result: dict[str, Any], path: Path = SHARES) -> None:
    """Write what `run` returned where `vitalwire board power` looks for it."""
    path.write_text(json.dumps(result, indent=1) + "\n")


def render(result: dict[str, Any]) -> Table:
    """Return the figures of `run` as a table for a person."""
    table = Table("policy", "frame", "ESP32's time", "link besides", "bytes/s", title=f"shares, {result['date']}")
    for row in result["rows"]:
        shares = (f"{100 * row[key]:.1f} %" for key in ("share", "link"))
        table.add_row(row["policy"], f"{row['frame_ms'] / 1000:g} s", *shares, str(row["bytes_per_s"]))
    return table
