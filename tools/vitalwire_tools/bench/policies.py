"""What each policy costs: an ESP32's time, bytes of a frame, frames that are signed; the same board, three times."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from vitalwire.client import VerifiedFrame
from vitalwire_protocol.spec import Kind, Policy

from . import device

SECONDS = 120


def run(seconds: int = SECONDS) -> dict[str, Any]:
    """Return for each policy, with the settings a board has by itself: `share` of an ESP32's time as in `device.run`,
    `signing` of it (MACs included), `frame_bytes`, the mean of a data frame, and the `signed` part of all frames.
    """
    return {policy.name.lower(): _one(policy.name.lower(), seconds) for policy in Policy}


def _one(policy: str, seconds: int) -> dict[str, Any]:
    frames: list[VerifiedFrame] = []
    found = device.divide(seconds, policy, take=frames.append)
    sizes = [len(frame.raw) for frame in frames if frame.kind == Kind.DATA]
    return {
        "share": found["share"],
        "signing": found["parts"]["signing"],
        "frame_bytes": sum(sizes) / len(sizes),
        "signed": sum(frame.frame.signed for frame in frames) / len(frames),
        "overruns": found["overruns"],
    }


def render(result: dict[str, Any]) -> Table:
    """Return the figures of `run` as a table for a person."""
    table = Table("policy", "ESP32's time", "of it signing", "bytes a data frame", "frames signed", title="policies")
    for name, one in result.items():
        shares = (f"{100 * one[key]:.1f} %" for key in ("share", "signing"))
        table.add_row(name, *shares, f"{one['frame_bytes']:.0f}", f"{100 * one['signed']:.0f} %")
    return table
