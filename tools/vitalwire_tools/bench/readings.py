"""Judges the readings: on published recordings against second ways, on noise, which must give none, and disturbed.

Where XQRS differs most, in MIT-BIH 208, it passes over wide beats: PhysioNet's own annotation of that record counts
2,955 beats in 1,806 s, 98.2 a minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from vitalwire.readings import Estimate, Samples
from vitalwire.readings.ecg import heart_rate
from vitalwire.readings.oximetry import spo2
from vitalwire.readings.ppg import pulse_rate
from vitalwire.readings.respiration import from_ecg, from_ppg
from vitalwire.readings.steady import activity

from ..recordings import Recording, breathing, load
from . import disturbed
from .judges import belt_rate, deviation, spectral_rate, spectral_spo2, xqrs_rate

MINUTE, HALF_MINUTE = 60.0, 30.0
SHORTEST = 20.0  # seconds
NOISES = 100  # minutes of each kind


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of reading: who judges it, and within what the judge agrees: per cent, or `unit` itself if given."""

    reading: str
    judge: str
    close: float
    unit: str = ""

    def off(self, value: float, judged: float) -> float:
        """Return how far a reading is from the judge's, in what `close` is."""
        return value - judged if self.unit else 100 * (value / judged - 1)


KINDS = {
    "ecg": Kind("heart rate", "wfdb's XQRS", 5.0),
    "pleth": Kind("pulse rate", "the spectrum", 5.0),
    "breath": Kind("respiration rate", "a belt in the same recording", 2.0, "/min"),
    "light": Kind("SpO2", "the ratio of the spectra", 2.0, "%"),
}
OF_BEATS = {"ecg": heart_rate, "pleth": pulse_rate}
TWO_COLOURS = ("ppg finger", "ppg head")
MIDDLE = 1 << 15  # what was taken off these counts, which are light
# Names of three axes, and the metres per square second of one count.
MOVED = (
    *((tuple(f"acceleration, {place}_{axis}" for axis in ("horiz_fwd", "vert", "horiz_lateral")), 0.00980665)
      for place in ("ankle", "leg", "trunk")),
    (tuple(f"acceleration {axis}, wrist" for axis in "xyz"), 0.01),
)  # fmt: skip


def run() -> dict[str, Any]:
    """Return each stretch with our reading and the judge's, those of pure noise, and what disturbance does."""
    recordings = {recording.name: recording for recording in load()}
    rows: list[dict[str, Any]] = []
    minutes: list[tuple[str, Any, float, float]] = []
    for recording in recordings.values():
        kind = "ecg" if recording.name.startswith("ecg") else "pleth" if _is_pleth(recording) else ""
        if not kind:
            continue
        for values in _pieces(recording):
            found = OF_BEATS[kind](_clean(values, recording.rate))
            judge = xqrs_rate if kind == "ecg" else spectral_rate
            rows.append(_row(kind, recording, found, judge(values, recording.rate)))
            if found.value is not None:
                minutes.append((kind, values, recording.rate, found.value))
    rows += _breaths()
    rows += _saturations(recordings)
    walk = recordings[disturbed.WALK]
    return {
        "minutes": rows,
        "noise": _noise(),
        "disturbed": disturbed.run(minutes, OF_BEATS, walk),
        "activity": _activities(recordings),
    }


def _activities(recordings: dict[str, Recording]) -> dict[str, float]:
    """Return how alike activity and the judge's measure, which is another, order half minutes (Spearman)."""
    from scipy.stats import spearmanr

    pairs = []
    for names, unit in MOVED:
        three = [recordings[name] for name in names]
        for axes in zip(*(_pieces(each, HALF_MINUTE) for each in three), strict=True):
            scaled = [axis * unit for axis in axes]
            found = activity(*(_clean(axis, three[0].rate) for axis in scaled))
            pairs.append((found.value, deviation(scaled)))
    return {"stretches": len(pairs), "rank": float(spearmanr(*zip(*pairs, strict=True)).statistic)}


def _breaths() -> Iterator[dict[str, Any]]:
    for heart, belt in breathing():
        read = from_ecg if heart.name.startswith("ecg") else from_ppg
        for values, moved in zip(_pieces(heart), _pieces(belt), strict=True):
            yield _row("breath", heart, read(_clean(values, heart.rate)), belt_rate(moved, belt.rate))


def _saturations(recordings: dict[str, Recording]) -> Iterator[dict[str, Any]]:
    """PLUX's oximeters have red light in channel 9 and infrared in 10: the other way round no finger would live."""
    for name in TWO_COLOURS:
        pair = [recordings[f"{name}, channel {number}"] for number in (9, 10)]
        for red, infrared in zip(*(_pieces(each, HALF_MINUTE) for each in pair), strict=True):
            light = [each + MIDDLE for each in (red, infrared)]
            found = spo2(*(_clean(each, pair[0].rate) for each in light))
            yield _row("light", pair[0], found, spectral_spo2(*light, pair[0].rate))


def _row(kind: str, recording: Recording, found: Estimate, judged: float) -> dict[str, Any]:
    off = None if found.value is None or not judged else KINDS[kind].off(found.value, judged)
    reason = None if found.reason is None else str(found.reason)
    return {
        "kind": kind, "name": recording.name, "value": found.value, "reason": reason, "judge": judged, "off": off,
    }  # fmt: skip


def _is_pleth(recording: Recording) -> bool:
    return recording.name.startswith(("ppg", "pleth"))


def _pieces(recording: Recording, seconds: float = MINUTE) -> list[Any]:
    size = int(seconds * recording.rate)
    pieces = [recording.samples[at : at + size].astype(float) for at in range(0, len(recording.samples), size)]
    return [piece for piece in pieces if len(piece) >= SHORTEST * recording.rate]


def _clean(values: Any, rate: float) -> Samples:
    return Samples(values, np.ones(len(values), bool), rate)


def _noise() -> dict[str, int]:
    random = np.random.default_rng(0)
    given = dict.fromkeys(KINDS, 0)
    for _ in range(NOISES):
        white = {rate: random.normal(size=int(MINUTE * rate)) for rate in (256.0, 100.0)}
        for many in (lambda each: each, np.cumsum):
            heart = _clean(100 * many(white[256.0]), 256.0)
            pulse = _clean(100 * many(white[100.0]), 100.0)
            light = [_clean(1e5 + each.values, each.rate) for each in (_clean(pulse.values[::-1], 100.0), pulse)]
            given["ecg"] += heart_rate(heart).value is not None
            given["pleth"] += pulse_rate(pulse).value is not None
            given["breath"] += from_ecg(heart).value is not None or from_ppg(pulse).value is not None
            given["light"] += spo2(*light).value is not None
    return {"minutes": 2 * NOISES, **given}


def summary(result: dict[str, Any], kind: str) -> dict[str, float]:
    """Return of one kind: stretches, those with a reading, those where the judge agrees, the median difference."""
    rows = [row for row in result["minutes"] if row["kind"] == kind]
    off = [abs(row["off"]) for row in rows if row["off"] is not None]
    return {
        "minutes": len(rows),
        "given": sum(row["value"] is not None for row in rows),
        "close": sum(each <= KINDS[kind].close for each in off),
        "median": float(np.median(off)) if off else 0.0,
    }


def spoiled(result: dict[str, Any]) -> tuple[int, int, int]:
    """Return how many disturbed minutes there are, how many keep a right reading, how many get a wrong one."""
    rows = result["disturbed"]
    whole = sum(row[key] for row in rows for key in row if key not in ("kind", "by", "db"))
    return whole, sum(row.get("right", 0) for row in rows), sum(row.get("wrong", 0) for row in rows)


def render(result: dict[str, Any]) -> list[Table]:
    """Return the tables."""
    table = Table("", "stretches", "with a reading", "judge agrees", "median difference", "noise with one")
    for name, kind in KINDS.items():
        found = summary(result, name)
        unit = kind.unit or "%"
        table.add_row(
            f"{kind.reading} against {kind.judge}", f"{found['minutes']}", f"{found['given']}",
            f"{found['close']} (within {kind.close:g} {unit})", f"{found['median']:.1f} {unit}",
            f"{result['noise'][name]} of {result['noise']['minutes']}",
        )  # fmt: skip
    moved = result["activity"]
    table.add_row(
        "activity against the mean amplitude deviation", f"{moved['stretches']}", f"{moved['stretches']}",
        f"rank correlation {moved['rank']:.2f}", "-", "-",
    )  # fmt: skip
    return [table, disturbed.render(result["disturbed"])]
