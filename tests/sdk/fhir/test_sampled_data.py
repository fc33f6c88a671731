"""SampledData says every sample exactly, and what was not measured as such."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.fhir.board import Board, mapped, waves

from vitalwire.errors import InputError
from vitalwire.fhir import Held, Plan, counts_of, dumps, loads, values_of
from vitalwire.fhir.sampled import MAX_TOKENS, sampled_data
from vitalwire.messages import Channel, Decimal10
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Mark

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")

decimals = st.builds(Decimal10, st.integers(-(10**15), 10**15), st.integers(-20, 6))


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
