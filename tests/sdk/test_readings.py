"""Readings from real waveforms, and above all what must not give one."""

# ruff: noqa: D103

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.walk import RATES, recorded

from vitalwire.readings import ALGORITHMS, Reading, Reason, Samples, derive
from vitalwire_protocol.spec import SIGNALS

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")

MINUTE = 60
SCALE = {"ecg": 25 / 65536, "ppg": 1.0, "accel": 0.00119641}


def minute(seconds: int = MINUTE) -> dict[str, Samples]:
    """Return the beginning of what the virtual board plays, in physical units."""
    made = {}
    for name, counts in recorded().items():
        values = counts[: seconds * RATES[name]] * SCALE[name.split("_")[0]]
        made[name] = Samples(values, np.ones(len(values), bool), float(RATES[name]))
    return made


def by_name(channels: dict[str, Samples]) -> dict[str, Reading]:
    return {reading.name: reading for reading in derive(channels)}


def replaced(samples: Samples, values: NDArray[np.float64]) -> Samples:
    return Samples(values, samples.valid, samples.rate)


def test_what_a_minute_says() -> None:
    """A clean minute of real signals gives every reading at the value its beats have, with its algorithm named."""
    found = by_name(minute())
    # 70 R waves from 0.02 s to 59.29 s, 83 systoles from 0.07 s to 59.55 s.
    assert found["heart_rate"].value == pytest.approx(Decimal("69.8"), abs=Decimal(1))
    assert found["pulse_rate"].value == pytest.approx(Decimal("82.7"), abs=Decimal("1.5"))
    assert found["activity"].value is not None
    assert found["activity"].unit == "m/s2"
    spo2 = found["spo2"]
    assert spo2.value is not None
    assert not spo2.calibrated
    assert (spo2.algorithm, spo2.version) == ("ratio-of-ratios", 2)
    assert all((reading.value is None) != (reading.reason is None) for reading in found.values())


def test_numbers_are_as_fine_as_they_are_good() -> None:
    """A value has the decimal places of its algorithm, whatever the floats said."""
    assert by_name(minute())["heart_rate"].value.as_tuple().exponent == -1  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["white", "wandering", "mains", "flat"])
@pytest.mark.parametrize("seed", range(8))
def test_noise_is_no_sign_of_life(kind: str, seed: int) -> None:
    """Noise, drift, mains hum and a flat line give no rate and no saturation, only reasons."""
    random = np.random.default_rng(seed)
    channels = {}
    for name, clean in minute().items():
        count = len(clean.values)
        noise = random.normal(size=count)
        values = {
            "white": noise,
            "wandering": np.cumsum(noise),
            "mains": np.sin(2 * np.pi * 49.7 * np.arange(count) / clean.rate) + 0.1 * noise,
            "flat": np.zeros(count),
        }[kind]
        channels[name] = replaced(clean, 1e5 + 100 * values if name.startswith("ppg") else values)
    found = by_name(channels)
    for name in ("heart_rate", "pulse_rate", "spo2", "respiration_rate"):
        assert found[name].value is None, name
        assert found[name].reason in {Reason.NOISE, Reason.NO_SIGNAL, Reason.IMPLAUSIBLE}


@pytest.mark.parametrize(("share", "heart"), [(0.2, True), (0.6, False), (1.0, False)])
def test_lead_off_takes_the_reading_with_it(share: float, heart: bool) -> None:
    """A window that is mostly lead-off has no heart rate but that reason; a shorter loss costs nothing."""
    channels = minute()
    ecg = channels["ecg_lead_i"]
    off = int(share * len(ecg.values))
    values, valid = ecg.values.copy(), ecg.valid.copy()
    values[:off] = np.random.default_rng(1).normal(size=off)
    valid[:off] = False
    channels["ecg_lead_i"] = Samples(values, valid, ecg.rate, lead_off=off)
    found = by_name(channels)["heart_rate"]
    assert (found.value is not None) == heart
    assert found.reason is (None if heart else Reason.LEAD_OFF)


def test_saturation_is_told_apart_from_lead_off() -> None:
    """What blinds the sensor is named as what it is, for both wavelengths and what they give together."""
    channels = minute()
    for name in ("ppg_red", "ppg_ir"):
        clean = channels[name]
        channels[name] = Samples(clean.values, ~clean.valid, clean.rate, saturated=len(clean.values))
    found = by_name(channels)
    assert found["pulse_rate"].reason is Reason.SATURATED
    assert found["spo2"].reason is Reason.SATURATED


def test_a_gap_adds_no_beats() -> None:
    """A third of the minute missing in the middle leaves the rate what it was: no interval spans the gap."""
    channels = minute()
    ecg = channels["ecg_lead_i"]
    before = by_name(channels)["heart_rate"].value
    valid = ecg.valid.copy()
    valid[20 * 256 : 40 * 256] = False
    values = np.where(valid, ecg.values, 0.0)
    channels["ecg_lead_i"] = Samples(values, valid, ecg.rate)
    after = by_name(channels)["heart_rate"].value
    assert before is not None
    assert after == pytest.approx(before, abs=Decimal(2))


def test_an_artefact_does_not_rule_the_minute() -> None:
    """Ten seconds of wild movement in a minute leave the rate of the rest."""
    channels = minute()
    ecg = channels["ecg_lead_i"]
    values = ecg.values.copy()
    values[: 10 * 256] += 20 * np.cumsum(np.random.default_rng(0).normal(size=10 * 256))
    before, after = (by_name(channels | {"ecg_lead_i": e})["heart_rate"] for e in (ecg, replaced(ecg, values)))
    assert before.value is not None
    assert after.value == pytest.approx(before.value, abs=Decimal(2))
    assert after.quality < before.quality


def test_too_short_says_so() -> None:
    """Four seconds are no minute: there is no rate."""
    assert by_name(minute(4))["heart_rate"].reason is Reason.TOO_SHORT


def test_either_way_up() -> None:
    """A pleth that is upside down has the same pulse rate."""
    channels = minute()
    turned = {name: replaced(each, 2e5 - each.values) for name, each in channels.items() if name.startswith("ppg")}
    found, before = by_name(turned)["pulse_rate"].value, by_name(channels)["pulse_rate"].value
    assert before is not None
    assert found == pytest.approx(before, abs=Decimal(1))


@pytest.mark.parametrize("breaths", [9, 15, 24])
def test_breath_is_read_from_the_pulse(breaths: int) -> None:
    """Pulses that breathing spaces, heightens and lifts give its rate, to one a minute."""
    rate, beat = 100.0, 1.2  # a beat each 1/1.2 s
    time = np.arange(60 * int(rate)) / rate
    breath = np.sin(2 * np.pi * breaths / 60 * time)
    phase = 2 * np.pi * beat * time + 0.9 * breath
    wave = np.exp(3 * np.cos(phase)) * (1 + 0.2 * breath) + 2 * breath
    wave += np.random.default_rng(0).normal(size=len(wave), scale=0.05)
    found = by_name({"ppg_ir": Samples(1e5 + 100 * wave, np.ones(len(wave), bool), rate)})
    value = found["respiration_rate"].value
    assert value == pytest.approx(Decimal(breaths), abs=Decimal(1))


@pytest.mark.parametrize(("truth", "ratio"), [(97.5, 0.5), (85, 1.0)])
def test_ratio_of_ratios(truth: float, ratio: float) -> None:
    """Two wavelengths whose pulses stand in a known ratio give 110 - 25 R; light that never was gives none."""
    base = minute()["ppg_ir"]
    pulse = (base.values - base.values.mean()) / (20 * base.values.std())
    infrared, red = replaced(base, 8e4 * (1 + pulse)), replaced(base, 1.2e5 * (1 + ratio * pulse))
    assert by_name({"ppg_red": red, "ppg_ir": infrared})["spo2"].value == pytest.approx(Decimal(truth), abs=Decimal(1))
    dark = replaced(base, red.values - 1.2e5)
    assert by_name({"ppg_red": dark, "ppg_ir": infrared})["spo2"].reason is Reason.NO_SIGNAL


def test_a_calibrated_sensor_has_its_own_curve() -> None:
    """With a curve SpO2 is that polynomial of R, and calibrated; a curve of another reading changes nothing."""
    channels = minute()
    plain, other, own = (
        next(reading for reading in derive(channels, curves) if reading.name == "spo2")
        for curves in (None, {"heart_rate": (90.0,)}, {"spo2": (94.845, 30.354, -45.06)})
    )
    assert plain == other
    assert (plain.calibrated, own.calibrated) == (False, True)
    assert plain.value is not None
    ratio = (110 - float(plain.value)) / 25
    assert own.value == pytest.approx(Decimal(94.845 + 30.354 * ratio - 45.06 * ratio**2), abs=Decimal("0.3"))


@pytest.mark.parametrize(
    ("steps", "strength", "spoilt"),
    [(84, 3.0, True), (42, 3.0, True), (168, 3.0, True), (110, 3.0, False), (84, 0.5, False)],
)
def test_a_pulse_that_keeps_step_is_none(steps: float, strength: float, spoilt: bool) -> None:
    """What is read of a pulse at the rhythm of somebody's steps, its half or double, is absent: it may be the steps."""
    channels = {name: each for name, each in minute().items() if not name.startswith("accel")}
    alone = by_name(channels)
    time = np.arange(60 * 52) / 52
    walk = 9.81 + strength * np.sin(2 * np.pi * steps / 60 * time)
    still = Samples(np.zeros(len(walk)), np.ones(len(walk), bool), 52.0)
    found = by_name({**channels, "accel_x": still, "accel_y": still, "accel_z": replaced(still, walk)})
    for name in ("pulse_rate", "spo2"):
        assert (found[name].reason is Reason.MOTION) == spoilt, name
        assert found[name].value == (None if spoilt else alone[name].value)
        assert set(found[name].channels) >= ({"accel_x"} if strength > 1 else set())
    assert found["heart_rate"] == alone["heart_rate"]


def test_another_way_where_the_first_fails() -> None:
    """Without a usable lead, breath is read from the pulse; where no way gives it, the first one's reason stands."""
    rate = 100.0
    time = np.arange(60 * int(rate)) / rate
    breath = np.sin(2 * np.pi * 15 / 60 * time)
    wave = np.exp(3 * np.cos(2 * np.pi * 1.2 * time + 0.9 * breath)) * (1 + 0.2 * breath) + 2 * breath
    ppg = Samples(1e5 + 100 * wave, np.ones(len(wave), bool), rate)
    off = np.zeros(60 * 256)
    lead = Samples(off, np.zeros(len(off), bool), 256.0, lead_off=len(off))
    found = by_name({"ecg_lead_i": lead, "ppg_ir": ppg})["respiration_rate"]
    assert found.algorithm == "ppg-modulation"
    assert found.value == pytest.approx(Decimal(15), abs=Decimal(1))
    none = by_name({"ecg_lead_i": lead, "ppg_ir": replaced(ppg, np.full(len(wave), 1e5))})["respiration_rate"]
    assert (none.algorithm, none.reason) == ("ecg-modulation", Reason.LEAD_OFF)


def test_skin_and_room() -> None:
    """A steady skin has its median temperature; one that jumps and one that burns have none."""

    def of(values: NDArray[np.float64]) -> Reading:
        return by_name({"temperature_skin": Samples(values, np.ones(len(values), bool), 1.0)})["temperature_skin"]

    steady = np.full(60, 33.25)
    assert of(steady).value == Decimal("33.25")
    assert of(np.concatenate([steady[:30], steady[30:] - 9])).reason is Reason.NOISE
    assert of(steady + 40).reason is Reason.IMPLAUSIBLE


def test_slow_channels_have_no_beats() -> None:
    """A channel too slow to place beats gives no rate and no error."""
    slow = {name: Samples(np.ones(60), np.ones(60, bool), 1.0) for name in ("ecg_lead_i", "ppg_red", "ppg_ir")}
    assert derive(slow) == []


def test_algorithms_name_what_there_is() -> None:
    """Every channel and reading in the table is one of the contract's signals, but for activity, which has no code."""
    for algorithm in ALGORITHMS:
        assert set(algorithm.channels) <= set(SIGNALS)
        assert algorithm.reading in SIGNALS or algorithm.reading == "activity"
