"""Readings become vital signs, resources have ids that stay, and whoever is no patient has none."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.fhir.board import GATEWAY, Board, mapped, waves
from tests.walk import walk

from vitalwire.charts import Charted, chart
from vitalwire.errors import UsageError
from vitalwire.fhir import Entry, Plan, counts_of
from vitalwire.fhir.ids import WindowKey, observation_id, patient, provenance_id
from vitalwire.fhir.windows import SECOND
from vitalwire.messages import Calibration, Decimal10
from vitalwire.offline import Reader
from vitalwire_protocol.spec import SIGNALS, Mark

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")


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


@pytest.mark.parametrize("text", ["", "a/b", "Patient/", "x" * 65, "Practitioner/1", "p?x=1"])
def test_what_is_no_patient(text: str) -> None:
    """Only an id, with or without Patient/ in front, names a Patient."""
    with pytest.raises(UsageError):
        patient(text)
    assert patient("Patient/p-1") == patient("p-1") == "Patient/p-1"
