"""The device's estimates of heart rate, pulse rate and SpO2 under MicroPython, held against the host's readings."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.walk import RATES, recorded

from vitalwire.readings import Samples
from vitalwire.readings.ecg import heart_rate
from vitalwire.readings.oximetry import spo2
from vitalwire.readings.ppg import pulse_rate

SCRIPT = (Path(__file__).parent / "vitals_mp.py").read_text()
BITS = {"ecg_lead_i": 18, "ppg_red": 18, "ppg_ir": 18}
Run = Callable[..., list[tuple[int | None, int | None, int | None]]]
Signals = dict[str, NDArray[np.int64]]


@pytest.fixture
def estimate(micropython: Callable[..., CompletedProcess[str]], tmp_path: Path) -> Run:
    """Have a device estimate: a row for each second, in tenths."""

    def run(signals: Signals, seconds: int, **bits: int) -> list[Any]:
        arguments = [str(seconds)]
        for name, values in signals.items():
            file = tmp_path / f"{name}.bin"
            values.astype(np.int32).tofile(file)
            arguments += [name, str(RATES[name]), str((BITS | bits)[name]), str(file)]
        done = micropython(SCRIPT, *arguments, heap="16m")
        return [ast.literal_eval(line) for line in done.stdout.splitlines()]

    return run


def chosen(*names: str) -> Signals:
    """Return what the virtual board plays on these channels."""
    return {name: values for name, values in recorded().items() if name in names}


def host(signals: Signals, second: int, span: int = 10) -> dict[str, Samples]:
    """Return the seconds before a moment as the host's readings take them."""
    windows = {}
    for name, values in signals.items():
        part = values[(second - span) * RATES[name] : second * RATES[name]].astype(float)
        windows[name] = Samples(part, np.ones(len(part), bool), float(RATES[name]))
    return windows


def test_rates_agree_with_the_host(estimate: Run) -> None:
    """On real signals the device's rates are the host's within 5 %, wherever both have one; mostly it has one."""
    signals = chosen("ecg_lead_i", "ppg_red", "ppg_ir")
    rows = estimate(signals, 78)
    both = {"heart": 0, "pulse": 0}
    for second in range(12, 78, 3):
        windows = host(signals, second)
        heart, pulse, _ = rows[second - 1]
        for name, ours, theirs in (
            ("heart", heart, heart_rate(windows["ecg_lead_i"]).value),
            ("pulse", pulse, pulse_rate(windows["ppg_ir"]).value),
        ):
            if ours is not None and theirs is not None:
                assert ours / 10 == pytest.approx(theirs, rel=0.05), (name, second)
                both[name] += 1
    assert both["heart"] >= 20
    assert both["pulse"] >= 14


def test_saturation_agrees_with_the_host(estimate: Run) -> None:
    """SpO2 of both colours is the host's, by the same uncalibrated line, within 3 of 100 and mostly within 1.5."""
    signals = chosen("ppg_red", "ppg_ir")
    rows = estimate(signals, 40)
    off = []
    for second in range(18, 38):
        ours, theirs = rows[second - 1][2], spo2(*host(signals, second, 12).values()).value
        if ours is not None and theirs is not None:
            off.append(abs(ours / 10 - theirs))
    assert len(off) >= 15
    assert max(off) <= 3.0
    assert np.median(off) <= 1.5


@pytest.mark.parametrize("size", [1, 4, 300])
@pytest.mark.parametrize("kind", ["white", "wandering", "mains", "flat"])
def test_noise_is_unknown(estimate: Run, kind: str, size: int) -> None:
    """Noise, drift, mains hum and a flat line give nothing at all, be they of a count or of hundreds."""
    random = np.random.default_rng(3)
    signals = {}
    for name in ("ecg_lead_i", "ppg_red", "ppg_ir"):
        count = 60 * RATES[name]
        noise = random.normal(size=count)
        shape = {
            "white": noise,
            "wandering": np.cumsum(noise),
            "mains": np.sin(2 * np.pi * 49.7 * np.arange(count) / RATES[name]) + 0.1 * noise,
            "flat": np.zeros(count),
        }[kind]
        signals[name] = np.clip(80_000 * name.startswith("ppg") + size * shape, -131_000, 262_143).astype(np.int64)
    assert set(estimate(signals, 60)) == {(None, None, None)}


def test_what_stops_is_unknown_soon(estimate: Run) -> None:
    """Three seconds after the last beat there is no rate any more."""
    ecg = recorded()["ecg_lead_i"][: 20 * 256]
    still = np.concatenate([ecg, np.full(20 * 256, ecg[-1])])
    rows = [row[0] for row in estimate({"ecg_lead_i": still}, 40)]
    assert rows[18] is not None
    assert set(rows[23:]) == {None}


def test_samples_of_two_bytes(estimate: Run) -> None:
    """A sensor whose samples have 16 bits, which its ring keeps in two bytes, gives the same rates."""
    signals = {"ecg_lead_i": recorded()["ecg_lead_i"][: 30 * 256]}
    assert estimate(signals, 30, ecg_lead_i=16) == estimate(signals, 30)
