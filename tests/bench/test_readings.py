"""The judges of the readings, and how signals are disturbed: a judge that is wrong would judge wrongly."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console

from vitalwire_tools.bench import disturbed, judges, readings
from vitalwire_tools.recordings import Recording

pytest.importorskip("scipy", reason="needs SciPy (vitalwire[readings])")

RATE = 100.0
TIME = np.arange(int(60 * RATE)) / RATE
PULSE = np.exp(2 * np.cos(2 * np.pi * 1.2 * TIME))  # 72 a minute


def test_judges_find_what_is_there() -> None:
    """A known pulse, breath and ratio of two colours are what the judges say, each by its own way."""
    assert judges.spectral_rate(PULSE, RATE) == pytest.approx(72, abs=0.5)
    assert judges.belt_rate(np.sin(2 * np.pi * 0.25 * TIME), RATE) == pytest.approx(15, abs=0.2)
    red, infrared = (1e5 * (1 + swing * (PULSE - PULSE.mean())) for swing in (0.01, 0.02))
    assert judges.deviation([np.array([3.0, 5.0]), np.array([4.0, 12.0])]) == 4.0  # of 5 and 13
    assert judges.spectral_spo2(red, infrared, RATE) == pytest.approx(110 - 25 * 0.5, abs=0.2)


def test_a_disturbance_is_as_strong_as_it_says() -> None:
    """What is added stands in the signal's band by so many decibels below it."""
    walk = Recording("walk", np.round(1000 * np.sin(np.arange(6400) / 64 * 12)).astype(np.int32), 16, 64.0)
    found = list(disturbed.disturbed("pleth", PULSE, RATE, walk, np.random.default_rng(0)))
    assert [(name, strength) for name, strength, _ in found] == [
        (name, strength) for name in ("noise", "walking") for strength in disturbed.STRENGTHS
    ]
    for _, strength, values in found:
        swings = [np.std(judges.bandpass(each, RATE, 0.5, 8.0)) for each in (PULSE, values - PULSE)]
        assert 20 * np.log10(swings[0] / swings[1]) == pytest.approx(strength, abs=0.5)


def test_results_are_counted() -> None:
    """Readings that agree, differ, are absent, and that disturbance made right, wrong or absent, are counted so."""
    rows = [
        {"kind": "breath", "name": "a", "value": 14.0, "reason": None, "judge": 15.0, "off": -1.0},
        {"kind": "breath", "name": "b", "value": 14.0, "reason": None, "judge": 17.0, "off": -3.0},
        {"kind": "breath", "name": "c", "value": None, "reason": "noise", "judge": 17.0, "off": None},
    ]
    counted = [{"kind": "ecg", "by": "noise", "db": 0, "right": 3, "wrong": 1, "noise": 2}]
    result = {"minutes": rows, "noise": {"minutes": 2, **dict.fromkeys(readings.KINDS, 0)}, "disturbed": counted}
    result["activity"] = {"stretches": 3, "rank": 0.75}
    assert readings.summary(result, "breath") == {"minutes": 3, "given": 2, "close": 1, "median": 2.0}
    assert readings.spoiled(result) == (6, 3, 1)
    console = Console(width=200, record=True)
    for table in readings.render(result):
        console.print(table)
    said = console.export_text()
    assert "respiration rate against a belt" in said
    assert "2 noise" in said


def test_disturbed_readings_are_told_apart() -> None:
    """A pulse that is drowned is absent with its reason, one that is not stays right."""
    walk = Recording("walk", np.zeros(6400, np.int32), 16, 64.0)
    walk.samples[::60] = 1000
    rows = disturbed.run([("pleth", PULSE, RATE, 72.0)], {"pleth": readings.pulse_rate}, walk)
    became = {(row["by"], row["db"]): row for row in rows}
    assert became["noise", 20].get("right") == 1
    drowned = became["noise", -10]
    assert [drowned.get(each, 0) for each in ("right", "wrong", "noise")] == [0, 0, 1]
