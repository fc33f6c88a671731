"""Each rate of each part, under real MicroPython, against the model of its chip, which samples as its registers say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitalwire_protocol.spec import SETTINGS, Setting
from vitalwire_tools.codegen.parts import constants, driver, parts

from .test_sampled import read as read_sampled  # noqa: F401
from .test_sensors import ECG, HALF, MOTION, PARTS, PPG, Reading, exact_times, read  # noqa: F401

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
NAMES = {"ecg_hz": ECG, "ppg_hz": PPG, "accel_hz": MOTION}
LOW = {"ecg_hz": 128, "ppg_hz": 50, "accel_hz": 26, "frame_ms": 2000}
HIGH = {"ecg_hz": 512, "ppg_hz": 200, "accel_hz": 208, "frame_ms": 2000}
MIDDLE = {"ecg_hz": 256, "ppg_hz": 0, "accel_hz": 104, "frame_ms": 2000}  # 0: its own, 100


def complete(reading: Reading, rates: dict[str, int], seconds: float) -> None:
    """Every sample of these seconds has arrived as it was played, at these rates, and no FIFO went past half."""
    assert [event[2] for event in reading.events] == ["start"] * 5
    assert reading.marks == []
    for name, sensor in NAMES.items():
        reading.check(sensor)
        chip = reading.hardware.chips[PARTS[sensor]]
        assert chip.hertz == (rates[name] or 100)
        assert len(reading.counts[sensor][0]) >= seconds * chip.hertz
        assert 0 < chip.deepest <= HALF[PARTS[sensor]]


@pytest.mark.parametrize("rates", [LOW, MIDDLE, HIGH], ids=["low", "middle", "high"])
def test_every_sample_at_each_rate(rates: dict[str, int], read: Callable[..., Reading]) -> None:  # noqa: F811
    """Bit for bit, each readout dated exactly, without an allocation."""
    reading = read(10, lock=True, rates=rates, sizes="512,256,256,16,16")
    complete(reading, rates, 8)
    for sensor in NAMES.values():
        exact_times(reading, sensor)


@pytest.mark.parametrize("rates", [LOW, HIGH], ids=["low", "high"])
def test_a_busy_board_reads_at_any_moment(rates: dict[str, int], read: Callable[..., Reading]) -> None:  # noqa: F811
    """Readings early or late by up to 14 ms lose nothing, and half of a FIFO suffices."""
    complete(read(15, cpu="esp32", busy=850, rates=rates, sizes="512,256,256,16,16"), rates, 13)


@pytest.mark.parametrize("ppm", [-10_000, 10_000])
def test_drift_is_followed(ppm: int, read: Callable[..., Reading]) -> None:  # noqa: F811
    """Oscillators 1 % off with jitter lose nothing at the highest rates either."""
    faults = [{"chip": part, "fault": "drift", "ppm": ppm} for part in PARTS[:3]]
    faults += [{"chip": part, "fault": "jitter", "us": 500} for part in PARTS[:3]]
    complete(read(10, *faults, lock=True, rates=HIGH, sizes="512,256,256,16,16"), HIGH, 8)


@pytest.mark.parametrize("rates", [LOW, HIGH], ids=["low", "high"])
def test_stuck_lines_mean_polling(rates: dict[str, int], read: Callable[..., Reading]) -> None:  # noqa: F811
    """Without interrupts nothing is lost at another rate, and half of a FIFO suffices."""
    stuck = [{"chip": part, "fault": "stuck_line", "at_s": 1} for part in PARTS[:3]]
    reading = read(15, *stuck, rates=rates, sizes="512,256,256,16,16")
    for sensor in NAMES.values():
        assert not reading.of(sensor, "lost")
        assert reading.hardware.chips[PARTS[sensor]].deepest <= HALF[PARTS[sensor]]
        reading.check(sensor, slack=60)


@pytest.mark.parametrize(
    ("part", "hertz"), [("ads1292r", 125), ("ads1292r", 500), ("ad8232", 128), ("ad8232", 512), ("ad8232", 256)]
)
def test_parts_without_a_fifo(part: str, hertz: int, read_sampled: Callable[..., Any]) -> None:  # noqa: F811
    """What is read sample by sample is read at each of its rates, none twice and none left out."""
    said, played = read_sampled(part, 6, rates={"ecg_hz": hertz, "ppg_hz": 0, "accel_hz": 0, "frame_ms": 2000})
    for got, counts in zip(said["got"], played.counts, strict=True):
        assert len(got) > 5.4 * hertz
        assert got == list(counts)[: len(got)]
    assert np.median(np.diff(played.times)) == pytest.approx(1e6 / hertz, abs=2)
    assert (said["lost"], said["marks"], said["events"]) == ([], [], [])


def rows() -> dict[str, list[int]]:
    """Return the rates of each part that has more than one, its own first."""
    table: dict[str, list[int]] = {}
    for row in str(constants((FIRMWARE / "rates.py").read_text())["_ROWS"]).splitlines():
        part, hertz, *_ = row.split()
        table.setdefault(part, []).append(int(hertz))
    return table


def test_the_rates_that_are_documented_are_those_there_are() -> None:
    """The table of firmware/README.md names each part's rates and no other."""
    text = (FIRMWARE / "README.md").read_text().partition("### Sampling rates")[2].partition("\n\nAnother")[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.strip().splitlines()[2:]]
    assert {part: [int(own), *map(int, also.split(","))] for part, _, own, also in cells} == {
        part: [own, *sorted(others)] for part, (own, *others) in rows().items()
    }


def test_what_may_be_configured_is_what_the_parts_have() -> None:
    """The contract names each rate that a part of its kind has and no other; a part's own rate is its driver's."""
    table = rows()
    had: dict[Setting, set[int]] = {}
    kinds = {"ecg": Setting.ECG_HZ, "ppg": Setting.PPG_HZ, "accel": Setting.ACCEL_HZ}
    for found in map(driver, parts()):
        channels: Any = found["CHANNELS"]
        setting = kinds.get(channels[0].partition("_")[0])
        if setting and found["PART"] in table:
            own, *others = table[found["PART"]]
            assert (own, 1) == found["RATE"]
            had.setdefault(setting, {0}).update({own, *others})
    assert had == {setting: set(SETTINGS[setting].only) for setting in kinds.values()}
