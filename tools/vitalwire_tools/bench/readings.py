"""Judges the readings: rates on published recordings against a second detector, and on noise, which must give none.

No package that carries recordings carries annotated beats, so the judges are other detectors: for an ECG the XQRS of
`wfdb`, for a pleth the strongest line of its spectrum. Where XQRS differs most, in MIT-BIH 208, it passes over wide
beats: PhysioNet's own annotation of that record counts 2,955 beats in 1,806 s, 98.2 a minute.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from rich.table import Table

from vitalwire.readings import Estimate, Samples
from vitalwire.readings.ecg import heart_rate
from vitalwire.readings.filters import bandpass
from vitalwire.readings.ppg import pulse_rate

from ..recordings import Recording, load

MINUTE = 60.0
SHORTEST = 20.0  # seconds
CLOSE = 5.0  # per cent: judges that differ by more disagree
NOISES = 100  # minutes of each kind


def xqrs_rate(values: Any, rate: float) -> float:
    """Return the heart rate by wfdb's detector."""
    from wfdb.processing import xqrs_detect

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wfdb's own affair
        beats = xqrs_detect(values, rate, verbose=False)
    return float(60 * rate / np.mean(np.diff(beats))) if len(beats) > 2 else 0.0


def spectral_rate(values: Any, rate: float) -> float:
    """Return the pulse rate as the frequency at which spectrum and first harmonic are strongest together."""
    band = bandpass(values, rate, 0.5, 8.0)
    size = 1 << 18
    power = np.abs(np.fft.rfft(band * np.hanning(len(band)), size)) ** 2
    step = rate / size
    low, high = int(0.6 / step), int(3.5 / step)
    both = power[low:high] + power[2 * low : 2 * high : 2]
    return float(60 * step * (low + int(np.argmax(both))))


def run() -> dict[str, Any]:
    """Return for each kind of recording its minutes, those with a reading, and how far from the judge they are."""
    kinds = {"ecg": (heart_rate, xqrs_rate), "pleth": (pulse_rate, spectral_rate)}
    rows: list[dict[str, Any]] = []
    for recording in load():
        kind = "ecg" if recording.name.startswith("ecg") else "pleth" if _is_pleth(recording) else ""
        if not kind:
            continue
        ours, judge = kinds[kind]
        for values in _minutes(recording):
            found = ours(_clean(values, recording.rate))
            judged = judge(values, recording.rate)
            off = None if found.value is None or not judged else 100 * (found.value / judged - 1)
            rows.append({"kind": kind, "name": recording.name, "value": found.value, "judge": judged, "off": off})
    return {"minutes": rows, "noise": _noise()}


def _is_pleth(recording: Recording) -> bool:
    return recording.name.startswith(("ppg", "pleth"))


def _minutes(recording: Recording) -> list[Any]:
    size = int(MINUTE * recording.rate)
    pieces = [recording.samples[at : at + size].astype(float) for at in range(0, len(recording.samples), size)]
    return [piece for piece in pieces if len(piece) >= SHORTEST * recording.rate]


def _clean(values: Any, rate: float) -> Samples:
    return Samples(values, np.ones(len(values), bool), rate)


def _noise() -> dict[str, int]:
    random = np.random.default_rng(0)
    given = {"ecg": 0, "pleth": 0}
    for _ in range(NOISES):
        for kind, function, rate in (("ecg", heart_rate, 256.0), ("pleth", pulse_rate, 100.0)):
            white = random.normal(size=int(MINUTE * rate))
            for values in (white, np.cumsum(white)):
                found: Estimate = function(_clean(100 * values, rate))
                given[kind] += found.value is not None
    return {"minutes": 2 * NOISES, **given}


def summary(result: dict[str, Any], kind: str) -> dict[str, float]:
    """Return of one kind: minutes, those with a reading, those where the judge agrees, the median difference in %."""
    rows = [row for row in result["minutes"] if row["kind"] == kind]
    off = [abs(row["off"]) for row in rows if row["off"] is not None]
    return {
        "minutes": len(rows),
        "given": sum(row["value"] is not None for row in rows),
        "close": sum(each <= CLOSE for each in off),
        "median": float(np.median(off)) if off else 0.0,
    }


def render(result: dict[str, Any]) -> Table:
    """Return the table."""
    table = Table("", "minutes", "with a rate", f"judge within {CLOSE:g} %", "median difference", "noise with a rate")
    for kind, judge in (("ecg", "wfdb XQRS"), ("pleth", "spectrum")):
        found = summary(result, kind)
        table.add_row(
            f"{kind} against {judge}", f"{found['minutes']}", f"{found['given']}", f"{found['close']}",
            f"{found['median']:.1f} %", f"{result['noise'][kind]} of {result['noise']['minutes']}",
        )  # fmt: skip
    return table
