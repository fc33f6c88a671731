"""Frames to FHIR: exact samples, windows of ticks, ids, absence; and back."""

# ruff: noqa: D103

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from tests.walk import RATES, recorded, walk

from vitalwire.charts import Charted, chart
from vitalwire.errors import InputError, UsageError
from vitalwire.fhir import Entry, Gateway, Held, Hold, Late, Mapper, Plan, Source, counts_of, dumps, loads, values_of
from vitalwire.fhir.gather import Gatherer
from vitalwire.fhir.ids import WindowKey, observation_id, patient, provenance_id
from vitalwire.fhir.sampled import MAX_TOKENS, MISSING, sampled_data
from vitalwire.fhir.windows import SECOND, Window, track
from vitalwire.frame import parse
from vitalwire.messages import Calibration, Channel, Decimal10, Descriptor
from vitalwire.offline import Reader
from vitalwire.signals import decode
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import SIGNALS, Kind, Mark

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")

KEY = ec.generate_private_key(ec.SECP256R1())
GATEWAY = Gateway(KEY)
BEGAN = 1_760_000_000_000_000
decimals = st.builds(Decimal10, st.integers(-(10**15), 10**15), st.integers(-20, 6))


class Board:
    """A device whose frames come out as sources."""

    def __init__(self, **options: Any) -> None:
        self.device = FakeDevice("board", **options)
        self.device.utc_us = BEGAN
        body = parse(self.device.descriptor()).body
        assert body is not None
        self.descriptor: Descriptor = body

    def source(self, raw: bytes, utc: bool = True) -> Source:
        frame = parse(raw)
        signals = decode(frame, self.descriptor) if frame.kind == Kind.DATA else {}
        known = frame.utc_us if utc else None
        arrived = BEGAN + frame.seq
        return Source(self.device.thumbprint, frame, self.descriptor, signals, arrived, known, 1000 if utc else None)

    def played(self, frames: int, marks: dict[int, Any] | None = None, utc: bool = True) -> list[Source]:
        """Return frames of 2 s of what the virtual board plays."""
        signals = recorded()
        made = []
        for place in range(frames):
            samples = {name: signals[name][place * 2 * rate :][: 2 * rate] for name, rate in RATES.items()}
            made.append(self.source(self.device.data(samples, marks=(marks or {}).get(place, ())), utc))
        return made


def mapped(
    sources: Sequence[Source], plan: Plan | None = None, wearer: Any = None, patience: float = math.inf
) -> list[Entry | Held | Late]:
    mapper = Mapper(GATEWAY, wearer or (lambda *_: "Patient/p"), plan, patience)
    return [each for source in sources for each in mapper.add(source)] + list(mapper.flush())


def waves(results: Sequence[Entry | Held | Late], name: str) -> list[dict[str, Any]]:
    """Return the SampledData Observations of a channel, in order of time."""
    entries = [each for each in results if isinstance(each, Entry) and each.window.key.form != "readings"]
    resources = [made.resource for each in entries for made in each.observations]
    found = [each for each in resources if each["code"]["coding"][-1]["code"] == name]
    return sorted(found, key=lambda each: each["effectivePeriod"]["start"])


# ---------------------------------------------------------------- SampledData


@given(
    st.integers(2, 24).flatmap(
        lambda bits: st.tuples(
            st.just(bits),
            st.lists(st.tuples(st.integers(-(1 << bits - 1), (1 << bits - 1) - 1), st.sampled_from([0, 1, 2, 3, 255]))),
        )
    ),
    decimals,
    decimals,
)
def test_sampled_data_inverts_exactly(
    made: tuple[int, list[tuple[int, int]]], scale: Decimal10, offset: Decimal10
) -> None:
    """Counts come back from the JSON text of SampledData as they were, invalid ones as what they are, values exact."""
    bits, samples = made
    channel = Channel(0, "x", None, "mV", "X", 0, Fraction(256), bits, scale, offset)
    counts, marks = (np.array([each[place] for each in samples], np.int32) for place in (0, 1))
    data = sampled_data(channel, counts, marks.astype(np.uint8), Decimal("3.90625"))
    text = dumps(data)
    again, words = counts_of(loads(text)) if len(samples) else (counts, np.array([], str))
    valid = marks == 0
    assert np.array_equal(again[valid], counts[valid])
    assert not words[valid].astype(bool).any()
    ends = ("L", "U") if scale.mantissa >= 0 else ("U", "L")
    expected = ["E" if mark != Mark.SATURATED else ends[count > 0] for count, mark in samples if mark]
    assert words[~valid].tolist() == expected
    if samples:
        exact = [offset.fraction + int(count) * scale.fraction for count in counts[valid]]
        assert [Fraction(value) for value in values_of(loads(text)) if value is not None] == exact
    low, high = (offset.fraction + end * scale.fraction for end in (-(1 << bits - 1), (1 << bits - 1) - 1))
    assert min(low, high) <= Fraction(data["lowerLimit"]) <= Fraction(data["upperLimit"]) <= max(low, high)
    if samples:
        assert all(Fraction(data["lowerLimit"]) <= value <= Fraction(data["upperLimit"]) for value in exact)
    if Mark.SATURATED not in marks:
        assert {Fraction(data["lowerLimit"]), Fraction(data["upperLimit"])} == {low, high}


@pytest.mark.parametrize(
    "data",
    ["1 2 x", "1  2", "99999999999999", "1.5", "", "1_0", "+1", "\u0663", " ".join(["1"] * (MAX_TOKENS + 1))],
    ids=["word", "two spaces", "32 bits", "fraction", "empty", "underscore", "plus", "other digits", "too many"],
)
def test_what_is_no_sampled_data(data: str) -> None:
    """Text that is no series of integers is refused, and so is one that is longer than any we write."""
    with pytest.raises(InputError):
        counts_of({"dimensions": 1, "data": data})


def test_no_observation_is_longer_than_the_bound() -> None:
    """A device that claims more samples in a window than an Observation may hold gets none."""
    channel = Channel(0, "x", None, "mV", "X", 0, Fraction(256), 8, Decimal10(1, 0), Decimal10(0, 0))
    with pytest.raises(InputError):
        sampled_data(channel, np.zeros(MAX_TOKENS + 1, np.int32), np.zeros(MAX_TOKENS + 1, np.uint8), Decimal(1))


def test_a_long_window_is_cut_into_observations_of_bounded_length() -> None:
    """Five minutes of 256 Hz are two Observations, one after the other, in either mode; readings are made of all."""
    board = Board(channels=[each for each in FakeDevice().channels if each.stream == 0])
    shape = np.arange(512) % 300
    sources = [board.source(board.device.data({"ecg_lead_i": shape})) for _ in range(150)]
    for phd in (False, True):
        results = mapped(sources, Plan(wave=300, readings=300, phd=phd))
        first, second = waves(results, "ecg_lead_i")[:2]
        counts = [counts_of(each["valueSampledData"])[0] for each in (first, second)]
        assert len(counts[0]) == MAX_TOKENS
        assert np.array_equal(np.concatenate(counts), np.tile(shape, 150)[: sum(map(len, counts))])
        gap = datetime.fromisoformat(second["effectivePeriod"]["start"]) - datetime.fromisoformat(
            first["effectivePeriod"]["end"]
        )
        assert gap.total_seconds() == pytest.approx(1 / 256, abs=1e-4)
        assert first["id"] != second["id"]
        assert not any(isinstance(each, Held) for each in results)


def test_nothing_is_made_of_a_window_in_which_nothing_was_measured() -> None:
    """All lead-off or all saturated is no waveform; one valid sample among them is one, with its tokens around it."""
    whole = 512
    for mark in (Mark.LEAD_OFF, Mark.SATURATED, Mark.LOST, Mark.ESTIMATED):
        marked = {place: [(0, mark, 0, whole)] for place in range(5)}
        assert waves(mapped(Board().played(5, marked)), "ecg_lead_i") == []
        assert waves(mapped(Board().played(5, marked), Plan(phd=True)), "ecg_lead_i") == []
    alone = {place: [(0, Mark.LEAD_OFF, 0, whole)] for place in range(4)} | {
        4: [(0, Mark.LEAD_OFF, 0, 7), (0, Mark.LEAD_OFF, 8, whole - 8)]
    }
    (found,) = waves(mapped(Board().played(5, alone)), "ecg_lead_i")
    words = counts_of(found["valueSampledData"])[1]
    assert np.flatnonzero(words == "").tolist() == [4 * whole + 7]
    assert waves(mapped(Board().played(5, alone), Plan(phd=True)), "ecg_lead_i") == []


def test_one_sample_is_a_waveform_of_one() -> None:
    """A window that has a single sample is an Observation of it, that begins where it ends."""
    board = Board()
    source = board.source(board.device.data({"ecg_lead_i": np.array([-7])}))
    (found,) = waves(mapped([source]), "ecg_lead_i")
    assert found["valueSampledData"]["data"] == "-7"
    assert found["effectivePeriod"]["start"] == found["effectivePeriod"]["end"]
    assert counts_of(loads(dumps(found))["valueSampledData"])[0].tolist() == [-7]


def test_the_ends_of_a_falling_scale() -> None:
    """Where higher counts are lower values, the upper end of the counts is L; limits are sorted by value."""
    channel = Channel(0, "x", None, "mV", "X", 0, Fraction(256), 8, Decimal10(-2, 0), Decimal10(1, 0))
    data = sampled_data(channel, np.array([127, -128, 5]), np.array([2, 2, 0], np.uint8), Decimal(1))
    assert data["data"] == "L U 5"
    assert (data["lowerLimit"], data["upperLimit"]) == (Decimal(-253), Decimal(257))
    assert values_of(data) == [None, None, Decimal(-9)]


@pytest.mark.parametrize(
    ("counts", "marks", "limits"),
    [
        ([0, 5, 9], [2, 0, 0], (0, 127)),  # light cannot be negative
        ([100, 5, 100], [2, 0, 2], (-128, 100)),  # an amplifier in front clips earlier
        ([3, 90], [2, 0], (-128, 127)),  # the sensor says so of samples below others: no end is known
        ([-2, -90], [2, 0], (-128, 127)),
        ([0, 50], [2, 2], (0, 50)),
        ([3, 90], [1, 0], (-128, 127)),
    ],
)
def test_limits_are_where_the_sensor_saturates(counts: list[int], marks: list[int], limits: tuple[int, int]) -> None:
    """Where samples saturated, their counts are the limit, unless valid ones are beyond; else the converter's."""
    channel = Channel(0, "x", None, "1", "X", 0, Fraction(100), 8, Decimal10(1, 0), Decimal10(0, 0))
    data = sampled_data(channel, np.array(counts), np.array(marks, np.uint8), Decimal(1))
    assert (data["lowerLimit"], data["upperLimit"]) == limits


def test_every_sample_is_in_one_window() -> None:
    """The SampledData of all windows, joined, are the counts that the chip delivered, each once and in order."""
    sources = Board().played(16)
    found = waves(mapped(sources), "ecg_lead_i")
    assert len(found) == 4
    joined = np.concatenate([counts_of(each["valueSampledData"])[0] for each in found])
    assert np.array_equal(joined, np.concatenate([source.signals["ecg_lead_i"].counts for source in sources]))


def test_origin_factor_and_period_are_the_chips_own() -> None:
    """Factor and origin are the descriptor's decimals, the period the sample period in milliseconds."""
    data = waves(mapped(Board().played(6)), "ecg_lead_i")[0]["valueSampledData"]
    assert data["factor"] == Decimal("0.0003814697265625")
    assert data["origin"]["value"] == 0
    assert (data["origin"]["code"], data["origin"]["system"]) == ("mV", "http://unitsofmeasure.org")
    assert data["period"] == Decimal("3.90625")
    assert (data["lowerLimit"], data["upperLimit"]) == (Decimal(-50), Decimal("49.9996185302734375"))


def test_a_chip_with_another_rate_says_its_own_period() -> None:
    """The period is what the chip's readouts show by the device's clock, not what the data sheet says."""
    board = Board()
    sources = []
    for source in board.played(6):
        signals = {name: replace(each, ticks=each.ticks + each.ticks // 100) for name, each in source.signals.items()}
        sources.append(replace(source, signals=signals))
    data = waves(mapped(sources), "ecg_lead_i")[0]["valueSampledData"]
    assert data["period"] == pytest.approx(Decimal("3.9453"), abs=Decimal("0.001"))


MARKS = {
    1: [(0, Mark.LEAD_OFF, 100, 412)],
    2: [(0, Mark.LEAD_OFF, 0, 50), (1, Mark.SATURATED, 10, 5), (3, Mark.LOST, 0, 2)],
}


def test_what_was_not_measured_is_a_token() -> None:
    """Lead-off and lost samples are E, saturated ones U; the rest are numbers."""
    results = mapped(Board().played(6, MARKS))
    words = {
        name: counts_of(waves(results, name)[0]["valueSampledData"])[1] for name in ("ecg_lead_i", "ppg_red", "accel_x")
    }
    assert np.flatnonzero(words["ecg_lead_i"] == "E").tolist() == list(range(612, 1074))
    assert np.flatnonzero(words["ppg_red"] == "U").tolist() == list(range(410, 415))
    assert np.flatnonzero(words["accel_x"] == "E").tolist() == [208, 209]


def test_frames_that_are_missing_leave_their_place() -> None:
    """Two frames lost in the middle of a window are as many E as samples were lost, and nothing is filled in after."""
    sources = Board().played(6)
    found = waves(mapped([*sources[:1], *sources[3:]]), "ecg_lead_i")
    words = counts_of(found[0]["valueSampledData"])[1]
    assert np.flatnonzero(words == "E").tolist() == list(range(512, 512 + 1024))


def test_only_the_window_that_has_data() -> None:
    """Ten seconds of an hour's window are ten seconds of tokens, not an hour of E."""
    (found,) = waves(mapped(Board().played(5), Plan(wave=3600)), "ecg_lead_i")
    assert len(found["valueSampledData"]["data"].split(" ")) == 5 * 512
    assert found["effectivePeriod"]["end"] == "2025-10-09T08:53:30.000000Z"


def test_the_personal_health_device_guide_knows_no_tokens() -> None:
    """In its mode each run of valid samples is an Observation of its own, with only numbers: the very counts.

    Only what has an MDC code claims the guide's profile, which wants one.
    """
    sources = Board().played(6, MARKS)
    plain, split = (waves(mapped(sources, Plan(phd=phd)), "ecg_lead_i") for phd in (False, True))
    assert len(plain) == 2
    assert [len(each["valueSampledData"]["data"].split(" ")) for each in split] == [612, 1229, 769]
    assert not re.search("[EUL]", " ".join(each["valueSampledData"]["data"] for each in split))
    assert all(each["meta"]["profile"] == [PHD] for each in split)
    assert all("lowerLimit" not in each["valueSampledData"] for each in split)
    assert len({each["id"] for each in [*plain, *split]}) == 5
    counts, words = (np.concatenate(parts) for parts in zip(*(_sampled(each) for each in plain), strict=True))
    assert np.array_equal(np.concatenate([_sampled(each)[0] for each in split]), counts[words == ""])
    local = waves(mapped(sources, Plan(phd=True)), "accel_x")
    assert local
    assert not any("meta" in each for each in local)


def _sampled(each: dict[str, Any]) -> tuple[Any, Any]:
    return counts_of(each["valueSampledData"])


PHD = "http://hl7.org/fhir/uv/phd/StructureDefinition/PhdRtsaObservation"


# ---------------------------------------------------------------- readings and codes


def test_rates_are_vital_signs() -> None:
    """A heart rate is MDC, LOINC, UCUM and the profile of vital signs, with its algorithm, version and quality."""
    entries = [each for each in mapped(Board().played(29)) if isinstance(each, Entry)]
    resources = [made.resource for each in entries for made in each.observations]
    (heart,) = (each for each in resources if each["code"]["text"] == "Heart rate")
    codes = [(each["system"], each["code"]) for each in heart["code"]["coding"]]
    assert codes[:2] == [("urn:iso:std:iso:11073:10101", "147842"), ("http://loinc.org", "8867-4")]
    assert heart["category"][0]["coding"][0]["code"] == "vital-signs"
    assert heart["meta"]["profile"] == ["http://hl7.org/fhir/StructureDefinition/heartrate"]
    assert heart["valueQuantity"]["code"] == "/min"
    assert heart["method"]["coding"][0] == {
        "system": "urn:vitalwire:fhir:algorithm",
        "version": "2",
        "code": "ecg-beats",
    }
    (spo2,) = (each for each in resources if "saturation" in each["code"]["text"])
    assert {"url": "urn:vitalwire:fhir:calibrated", "valueBoolean": False} in spo2["extension"]


def test_a_calibration_in_the_descriptor_is_used() -> None:
    """SpO2 of a device whose descriptor carries a calibration follows it, and is not marked as uncalibrated."""
    curve = (Decimal10(1000, -1), Decimal10(-15, 0))
    unknown = Calibration(150344, (Decimal10(1, 0),))
    saturations = []
    for calibrations in ((), (Calibration(SIGNALS["spo2"].mdc or 0, curve), unknown)):
        results = mapped(Board(calibrations=calibrations).played(31))
        (found, *_) = (made.resource for each in results for made in each.observations if made.name == "spo2")  # type: ignore[union-attr]
        marked = any(each["url"].endswith(":calibrated") for each in found["extension"])
        assert (marked, "note" in found) == (not calibrations, not calibrations)
        saturations.append(found["valueQuantity"]["value"])
    ratio = (110 - saturations[0]) / 25
    assert saturations[1] == pytest.approx(100 - 15 * ratio, abs=Decimal("0.2"))


def test_single_readings_of_temperature() -> None:
    """A temperature that comes as single readings, not as a stream, is a skin temperature by its median."""
    board = Board()
    sources = []
    for place in range(30):
        raw = board.device.data({"ecg_lead_i": np.zeros(512)}, scalars=[(6, -500_000, 8192 + place), (6, 0, 8192)])
        sources.append(board.source(raw))
    entries = [each for each in mapped(sources) if isinstance(each, Entry)]
    skin = [
        made.resource
        for each in entries
        for made in each.observations
        if made.resource["code"]["text"] == "Skin temperature"
    ]
    assert skin[0]["valueQuantity"] | {"unit": ""} == {
        "value": Decimal("32.00"), "unit": "", "system": "http://unitsofmeasure.org", "code": "Cel",
    }  # fmt: skip
    assert ("http://loinc.org", "39106-0") in [(each["system"], each["code"]) for each in skin[0]["code"]["coding"]]


def test_a_reading_that_failed_is_absent_with_its_reason() -> None:
    """A minute of lead-off has no heart rate but dataAbsentReason, and no number anywhere."""
    off = {place: [(0, Mark.LEAD_OFF, 0, 512)] for place in range(29)}
    entries = [each for each in mapped(Board().played(29, off)) if isinstance(each, Entry)]
    resources = [made.resource for each in entries for made in each.observations]
    (heart,) = (each for each in resources if each["code"]["text"] == "Heart rate")
    assert "valueQuantity" not in heart
    assert [each["code"] for each in heart["dataAbsentReason"]["coding"]] == ["error", "lead-off"]
    assert not [each for each in resources if each["code"]["text"] == "ECG lead I"]


# ---------------------------------------------------------------- ids, windows, time


def test_ids_know_nothing_of_utc() -> None:
    """The same frames under another clock fit have the same ids and other times; under another window, other ids."""
    sources = Board().played(6)
    moved = [replace(each, utc_us=(each.utc_us or 0) + 5_000_000, accuracy_us=1) for each in sources]
    first, second, other = (
        waves(mapped(*given), "ppg_ir") for given in ((sources,), (moved,), (sources, Plan(wave=5)))
    )
    assert [each["id"] for each in first] == [each["id"] for each in second]
    assert [each["effectivePeriod"] for each in first] != [each["effectivePeriod"] for each in second]
    assert not {each["id"] for each in first} & {each["id"] for each in other}


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**32), st.integers(0, 2**63), st.text(max_size=64))
def test_ids_are_ids(device: bytes, boot: int, start: int, name: str) -> None:
    """Whatever a device calls itself and its channels, an id is 1 to 64 of FHIR's characters."""
    key = WindowKey(device, boot, start, SECOND, "wave", bytes(8))
    for made in (observation_id(key, name, 3), provenance_id(key)):
        assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", made)


def test_without_utc_a_window_is_held() -> None:
    """Frames whose UTC nobody knows make no Observation: the window is held, with the reason."""
    held = mapped(Board().played(6, utc=False))
    assert {each.why for each in held if isinstance(each, Held)} == {Hold.NO_TIME}
    assert not [each for each in held if isinstance(each, Entry)]


def test_without_a_wearer_a_window_is_held() -> None:
    """Where nobody is said to wear the device for the whole window, nobody gets an Observation."""
    asked = []

    def wearer(device: bytes, start: int, stop: int) -> str | None:
        asked.append((start, stop))
        return None

    assert {each.why for each in mapped(Board().played(6), wearer=wearer) if isinstance(each, Held)} == {Hold.NOBODY}
    assert all(stop - start in (10 * SECOND, 60 * SECOND) for start, stop in asked)


def gathered(gatherer: Gatherer, sources: Sequence[Source], now: float = 0.0) -> list[Window | Late]:
    return [each for source in sources for each in gatherer.add(source, now)]


def test_a_window_waits_for_missing_frames_until_its_time_is_up() -> None:
    """With patience, a window with a hole closes when the hole is filled or the time is up, and not before."""
    sources = Board().played(8)
    held_back = sources[2]
    gatherer = Gatherer("wave", 10 * SECOND, patience=30.0)
    assert gathered(gatherer, [*sources[:2], *sources[3:]]) == []
    assert list(gatherer.due(29.0)) == []
    (window,) = gatherer.due(31.0)
    assert isinstance(window, Window)
    assert [each.frame.seq for each in window.sources] == [2, 3, 5, 6]
    assert not window.amended
    (again,) = gathered(gatherer, [held_back], 32.0)
    assert isinstance(again, Window)
    assert again.amended
    assert again.key == window.key
    assert len(again.sources) == 5


def test_a_complete_chain_waits_for_nothing() -> None:
    """With every number there, a window closes as soon as all streams have passed its end."""
    sources = Board().played(8)
    gatherer = Gatherer("wave", 10 * SECOND, patience=1e9)
    assert len(gathered(gatherer, sources)) == 1


def test_slow_streams_are_waited_for() -> None:
    """A stream whose readouts come every 8 s is waited for, so that no window is written twice; a dead one is not."""
    board = Board()
    signals = recorded()
    sources = []
    for place in range(48):
        samples = {name: signals[name][place * 256 :][:256] for name in ("ecg_lead_i",)}
        if place % 8 == 7:
            for name in ("accel_x", "accel_y", "accel_z"):
                samples[name] = np.zeros(52, np.int64)
        sources.append(board.source(board.device.data(samples)))
    gatherer = Gatherer("wave", 5 * SECOND)
    windows = [each for each in gathered(gatherer, sources) if isinstance(each, Window)]
    assert windows == []  # the oximeter's stream never delivered, and might
    windows += gatherer.flush()
    assert not any(each.amended for each in windows)
    assert sum(len(each.sources) > 0 for each in windows) == len({each.key for each in windows})
    later = [board.source(board.device.data({"ecg_lead_i": np.zeros(256)})) for _ in range(40)]
    gatherer = Gatherer("wave", 5 * SECOND)
    assert len(gathered(gatherer, [*sources, *later])) > 2  # after a minute without a word it is not waited for


def test_an_amended_observation_says_so() -> None:
    """A late frame gives the same Observation again, amended, with more frames behind it."""
    sources = Board().played(9)
    results = mapped([*sources[:2], *sources[3:], sources[2]], patience=0.0)
    found = [each for each in waves(results, "ecg_lead_i") if "08:53:20" in each["effectivePeriod"]["start"]]
    assert [each["status"] for each in found] == ["final", "amended"]
    assert found[0]["id"] == found[1]["id"]
    assert " E " in found[0]["valueSampledData"]["data"]
    assert " E " not in found[1]["valueSampledData"]["data"]
    proofs = [each.provenance for each in results if isinstance(each, Entry) and each.window.amended]
    assert {each["activity"]["coding"][0]["code"] for each in proofs} == {"UPDATE"}


def test_runs_that_become_one_are_taken_back() -> None:
    """After a late frame has joined two runs of the PHD guide, the second one's Observation is entered in error."""
    sources = Board().played(9)
    results = mapped([*sources[:2], *sources[3:], sources[2]], Plan(phd=True), patience=0.0)
    entries = [each for each in results if isinstance(each, Entry) and each.window.key.form == "phd"]
    first, again = (each for each in entries if each.window.key.start == 0)
    assert not first.withdrawn
    old = {made.resource["id"] for made in first.observations}
    new = {made.resource["id"] for made in again.observations}
    gone = {each["id"] for each in again.withdrawn}
    assert new < old
    assert old - new == gone
    assert {each["status"] for each in again.withdrawn} == {"entered-in-error"}
    assert not [key for each in again.withdrawn for key in each if key.startswith("value")]


def test_what_came_too_late_is_named() -> None:
    """A frame for a window that is no longer kept is not made into half an Observation: its window is named."""
    board = Board()
    signals = {"ecg_lead_i": np.zeros(512)}
    sources = [board.source(board.device.data(signals)) for _ in range(200)]
    gatherer = Gatherer("wave", 10 * SECOND, patience=0.0)
    assert all(isinstance(each, Window) for each in gathered(gatherer, [*sources[:3], *sources[4:]]))
    (late,) = gathered(gatherer, [sources[3]])
    assert isinstance(late, Late)
    assert late.key.start == 0


def test_a_device_that_claims_any_time_holds_no_more_than_its_windows() -> None:
    """Ticks that jump about for 500 frames open no more windows than the bound."""
    board = Board()
    gatherer = Gatherer("wave", 10 * SECOND, patience=1e9)
    for place in range(500):
        board.device.ticks = (place * 7919 % 500) * 100 * SECOND
        list(gatherer.add(board.source(board.device.data({"ecg_lead_i": np.zeros(16)})), 0.0))
    (device,) = gatherer._devices.values()
    assert len(device.windows) <= 64 + 16
    assert len(device.seen) <= 256


def test_early_readouts_cost_no_sample() -> None:
    """Readouts that come a little early or late at a window's edge leave each sample in one window, in order."""
    board = Board()
    random = np.random.default_rng(3)
    sources = []
    for source in board.played(30):
        jitter = int(random.integers(-40_000, 40_000))
        signals = {name: replace(each, ticks=each.ticks + jitter) for name, each in source.signals.items()}
        sources.append(replace(source, signals=signals))
    found = waves(mapped(sources, Plan(wave=1)), "ppg_ir")
    joined = [counts_of(each["valueSampledData"]) for each in found]
    counts = np.concatenate([counts for counts, _ in joined])
    assert np.array_equal(counts, np.concatenate([source.signals["ppg_ir"].counts for source in sources]))
    assert not any(words.astype(bool).any() for _, words in joined)


def test_impossible_claims_are_held() -> None:
    """A rate of which one window would fill memory makes no Observation and no error: the window is held."""
    fast = [replace(each, rate=Fraction(10**9)) if each.rate == 256 else each for each in FakeDevice().channels]
    board = Board(channels=fast)
    device = board.device
    sources = []
    for _ in range(4):
        device.ticks += SECOND
        sources.append(board.source(device.data({"ecg_lead_i": np.zeros(4)})))
    held = [each for each in mapped(sources) if isinstance(each, Held)]
    assert {each.why for each in held} == {Hold.CLAIMS}


# ---------------------------------------------------------------- captures


def test_a_capture_becomes_a_chart(tmp_path: Path) -> None:
    """All windows of a walk with gaps, a reboot, late and repeated frames are written once, each Device once."""
    made = walk(tmp_path / "walk.vwc", 33)
    charted = Charted()
    reader = Reader(made.path, made.registry())
    resources = list(chart(reader, GATEWAY, lambda *_: "Patient/p", charted=charted))
    names = [f"{each['resourceType']}/{each['id']}" for each in resources]
    assert len(set(names)) == len(names)
    assert sum(name.startswith("Device/") for name in names) == 2
    assert charted.observations == sum(name.startswith("Observation/") for name in names)
    assert not charted.held
    ecg = [each for each in resources if each["resourceType"] == "Observation" and each["code"]["text"] == "ECG lead I"]
    valid = sum(int((counts_of(each["valueSampledData"])[1] == "").sum()) for each in ecg)
    assert valid == sum(map(len, made.stretches["ecg_lead_i"])) - 412 - 50


def test_the_track_of_a_channel_that_is_not_there() -> None:
    """A window without samples of a channel has no track of it."""
    board = Board()
    source = board.source(board.device.data({"ecg_lead_i": np.zeros(16)}))
    key = WindowKey(source.device, 1, 0, 10 * SECOND, "wave", bytes(8))
    window = Window(key, board.descriptor, (source,))
    assert track(window, board.descriptor.channels[1]) is None
    found = track(window, board.descriptor.channels[0])
    assert found is not None
    assert (found.marks != MISSING).all()


@pytest.mark.parametrize("text", ["", "a/b", "Patient/", "x" * 65, "Practitioner/1", "p?x=1"])
def test_what_is_no_patient(text: str) -> None:
    """Only an id, with or without Patient/ in front, names a Patient."""
    with pytest.raises(UsageError):
        patient(text)
    assert patient("Patient/p-1") == patient("p-1") == "Patient/p-1"
