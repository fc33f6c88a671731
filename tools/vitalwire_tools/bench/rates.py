"""What higher sampling rates cost: an ESP32's time, and frames a minute; the same board, under policy `sign`."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from vitalwire.client import VerifiedFrame
from vitalwire_protocol.spec import SETTINGS, Kind, Setting

from . import device

SECONDS = 120
HIGHEST = {
    setting.name.lower(): SETTINGS[setting].most for setting in (Setting.ECG_HZ, Setting.PPG_HZ, Setting.ACCEL_HZ)
}
CASES: dict[str, dict[str, int]] = {
    "the drivers' own": {},
    "ECG at its highest": {"ecg_hz": HIGHEST["ecg_hz"]},
    "all at their highest": HIGHEST,
}


def run(seconds: int = SECONDS) -> dict[str, Any]:
    """Return for each of CASES `share` of an ESP32's time as in `device.run`, data frames a minute, and `overruns`."""
    return {name: _one(settings, seconds) for name, settings in CASES.items()}


def _one(settings: dict[str, int], seconds: int) -> dict[str, Any]:
    frames: list[VerifiedFrame] = []
    found = device.divide(seconds, "sign", take=frames.append, settings=settings)
    made = [frame.frame.ticks for frame in frames if frame.kind == Kind.DATA]
    minutes = (max(made) - min(made)) / 60e6
    return {"share": found["share"], "frames_per_minute": (len(made) - 1) / minutes, "overruns": found["overruns"]}


def render(result: dict[str, Any]) -> Table:
    """Return the figures of `run` as a table for a person."""
    table = Table("sampling rates", "ESP32's time", "data frames a minute", "FIFO overruns", title="rates")
    for name, one in result.items():
        table.add_row(name, f"{100 * one['share']:.1f} %", f"{one['frames_per_minute']:.0f}", str(one["overruns"]))
    return table
