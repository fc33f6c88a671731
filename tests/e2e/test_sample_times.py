"""When a sample was taken: chips whose oscillators are wrong, each in its own way, on one line of time."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vitalwire.capture import Writer
from vitalwire.client import VerifiedFrame, connect

from .board_log import gather, until
from .reader import Recorder

Log = Mapping[str, NDArray[Any]]
BASE_US = 1_790_000_000_000_000
NOW = {"max30003": "ecg_lead_i", "max30102": "ppg_red", "lsm6dso": "accel_x"}


@pytest.mark.parametrize(
    ("ecg", "ppg", "acceleration"), [(10_000, -10_000, 5_000), (-10_000, 10_000, -7_000)], ids=["apart", "reversed"]
)
def test_times_under_drift_and_jitter(
    bench: Callable[..., Any], tmp_path: Path, ecg: int, ppg: int, acceleration: int
) -> None:
    """With chips up to 1 % off and 1 ms of jitter, sample times are within 5 ms of the truth and never go backwards."""
    drifts = dict(zip(NOW, (ecg, ppg, acceleration), strict=True))
    script = [{"chip": chip, "fault": "drift", "ppm": ppm} for chip, ppm in drifts.items()]
    script += [{"chip": chip, "fault": "jitter", "us": 1000} for chip in NOW]
    running = bench(speed=50.0, faults=script)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(60.0))
    played = running.board.played()
    steady = errors_of(arrive(running, recorder, tmp_path / "steady.vwc", 4_000), played)
    everything = np.concatenate([error for _, error in steady.values()])
    common = (everything.max() + everything.min()) / 2  # what no clock can know: how long the quickest frame took
    worst = {name: float(np.abs(error - common).max() * 1000) for name, (_, error) in steady.items()}
    assert max(worst.values()) < 5.0, worst
    assert 0 <= common < 0.005
    # However unsteady the link, the chips' samples stand right beside each other.
    unsteady = errors_of(arrive(running, recorder, tmp_path / "unsteady.vwc", 80_000), played)
    at, reference = unsteady["ecg_lead_i"]
    for name, (when, error) in unsteady.items():
        assert np.abs(error - np.interp(when, at, reference)).max() < 0.005, name


def arrive(running: Any, recorder: Recorder, capture: Path, slowest_us: int) -> list[VerifiedFrame]:
    """Return the frames as a client times them whose link takes 2 ms to `slowest_us` for each.

    The board's time ran faster than ours, so the arrivals are made up.
    """
    chance = random.Random(1)
    with Writer(capture) as writer:
        for frame in recorder.in_order():
            writer.write(frame.raw, BASE_US + frame.frame.ticks + round(chance.uniform(2_000, slowest_us)))
    with connect(f"replay:{capture}?speed=0", registry=running.registry, settle=60.0) as client:
        frames = list(client)
    assert len(frames) == len(recorder.frames)
    return frames


def errors_of(
    frames: list[VerifiedFrame], played: Mapping[str, NDArray[Any]]
) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Return by channel when each sample was taken and how late its time is, in seconds; times only go forward."""
    errors = {}
    for chip, name in NOW.items():
        times = gather(frames, name, "time")
        assert (np.diff(times) > 0).all(), name
        log, starts = played[name], played[f"{chip}_starts"].tolist()
        counts = gather(frames, name)
        (start,) = {at for at in starts if (log[at : at + len(counts)] == counts).all()}
        truth = played[f"{chip}_us"][start : start + len(counts)] / 1e6
        errors[name] = (truth, times - BASE_US / 1e6 - truth)
    return errors
