"""Events become the resources that templates say: buckets, components, concepts, whatever reads the values."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.fhirjudges import judged
from tests.sdk.templates.events import DEVICE, EVENTS, FHIR, PRESSURE, Resource, fhir_template, of_type
from tests.walk import walk

from vitalwire.cli import main
from vitalwire.fhir import dumps, loads
from vitalwire.templates import (
    Create,
    Level,
    content_templates,
    convert,
    enveloped,
    fhir_templates,
    lint,
    lookup,
    read_events,
    read_template,
)

pytest.importorskip("jsonpath", reason="needs python-jsonpath (vitalwire[fhir])")
pytest.importorskip("jmespath", reason="needs jmespath (vitalwire[fhir])")


def test_hours_are_buckets(resources: list[Resource]) -> None:
    """periodInterval 60: the values of an hour are one SampledData on its grid, from the first value to the last."""
    first, second = of_type(resources, "heartrate")
    data = first["valueSampledData"]
    tokens = data["data"].split(" ")
    # 10:15:00.5 and 10:15:10 lie in slots 0 and 2 of 5 s; 10:59:59 is the last slot of the hour.
    assert tokens[:3] == ["71", "E", "74"]
    assert (len(tokens), tokens[-1]) == (540, "80")
    assert (data["period"], data["origin"]["unit"], data["dimensions"]) == (5000, "/min", 1)
    assert first["effectivePeriod"]["start"] == "2026-03-01T10:15:00.000000Z"
    assert second["valueSampledData"]["data"] == "81"
    assert first["category"][0]["coding"][0]["code"] == "vital-signs"
    assert [each["code"] for each in first["code"]["coding"]] == ["8867-4", "heartrate"]


def test_days_are_buckets(resources: list[Resource]) -> None:
    """periodInterval 1440 groups by day, and an event goes to every template that matches it."""
    (steps,) = of_type(resources, "steps")
    assert steps["valueSampledData"]["data"] == "12"
    assert ".20260301000000Z." in steps["identifier"][0]["value"]


def test_single_measurements_have_components(resources: list[Resource]) -> None:
    """periodInterval 0: each measurement is an Observation; components are Quantities with their codes."""
    low, high = of_type(resources, "bloodpressure")
    values = {each["code"]["coding"][0]["code"]: each["valueQuantity"]["value"] for each in low["component"]}
    assert values == {"8462-4": 79, "8480-6": 118}
    assert high["component"][0]["valueQuantity"]["code"] == "mm[Hg]"
    assert low["id"] != high["id"]


def test_jmespath_transforms(resources: list[Resource]) -> None:
    """Two templates of one type, one of which turns inches into metres by a function of MedTech's."""
    inches, metres = of_type(resources, "height")
    assert inches["valueQuantity"]["value"] == pytest.approx(Decimal("1.778"))
    assert metres["valueQuantity"]["value"] == Decimal("1.93")


def test_correlation_groups(resources: list[Resource]) -> None:
    """periodInterval -1: what shares a correlation id is one Observation, with the encounter's identifier."""
    (exercise,) = of_type(resources, "exercise")
    assert exercise["valueSampledData"]["data"] == "2.5 E 2.75"
    assert exercise["encounter"] == {"identifier": {"value": "v1"}}
    assert exercise["identifier"][0]["value"].endswith(".exercise.s1")


def test_text_and_concepts(resources: list[Resource]) -> None:
    """String and CodeableConcept values; the text is the event's, the concept the template's."""
    (note,) = of_type(resources, "note")
    assert note["valueString"] == "dizzy"
    (removed,) = of_type(resources, "removed")
    assert removed["valueCodeableConcept"]["text"] == "Device removed"
    assert removed["valueCodeableConcept"]["coding"][0]["code"] == "removed"
    assert removed["effectivePeriod"]["start"] == "2026-03-01T09:31:00.000000Z"


def run_one(template: dict[str, Any], mapping: dict[str, Any], *events: Any) -> list[Resource]:
    """Return the Observations that one device template and one FHIR template make of events, all of them."""
    read_on = (enveloped(each) for each in events)
    made, done = convert(enumerate(read_on), content_templates(template), fhir_templates(mapping), Create())
    assert done.lost == []
    return [loads(dumps(each)) for each in made if each["resourceType"] == "Observation"]


def pressures(kind: str, period: int) -> dict[str, Any]:
    """Return the published shape of a panel with two components."""
    value = {"unit": "mmHg", "valueType": kind} | ({"defaultPeriod": 60000} if kind == "sampledData" else {})
    parts = [
        {"codes": [{"code": number, "system": "http://loinc.org"}], "value": value | {"valueName": name}}
        for number, name in (("8480-6", "systolic"), ("8462-4", "diastolic"))
    ]
    inner = {"codes": [{"code": "85354-9", "system": "http://loinc.org"}], "typeName": "bloodpressure"}
    return {"templateType": "CodeValueFhir", "template": inner | {"periodInterval": period, "components": parts}}


def test_components_are_sampled_data() -> None:
    """A panel of an hour has a SampledData in each component, on one grid; the files hold one template and no list."""
    at = "2026-03-01T10:0{}:00Z"
    events = [
        {"systolic": 120 + n, "diastolic": "80", "at": at.format(n), "device": "d", "person": "p"} for n in (1, 3)
    ]
    template = {"templateType": "JsonPathContent", "template": PRESSURE}
    (panel,) = run_one(template, pressures("sampledData", 60), *events)
    assert [each["valueSampledData"]["data"] for each in panel["component"]] == ["121 E 123", "80 E 80"]
    assert "valueSampledData" not in panel


def test_a_template_without_its_type_is_read() -> None:
    """What stands in the documentation without templateType runs, by what it says of the device; lint says so."""
    event = {"systolic": 120, "diastolic": 80, "at": "2026-03-01T10:00:00Z", "device": "d", "person": "p"}
    (panel,) = run_one(PRESSURE, pressures("quantity", 0), event)
    assert [each["valueQuantity"]["value"] for each in panel["component"]] == [120, 80]
    hub = {key: each for key, each in PRESSURE.items() if "Id" not in key and "timestamp" not in key} | {
        "typeMatchExpression": "$..[?(@Body.systolic && @Body.diastolic)]",
        "patientIdExpression": "$.Body.person",
        "values": [{"valueExpression": "$.Body.systolic", "valueName": "systolic"}],
    }
    known = {
        "Body": event,
        "Properties": {"iothub-creation-time-utc": "2026-03-01T11:00:00Z"},
        "SystemProperties": {"iothub-connection-device-id": "d"},
    }
    (panel,) = run_one(hub, pressures("quantity", 0), known)
    assert panel["effectivePeriod"]["start"] == "2026-03-01T11:00:00.000000Z"
    for bare, kind in ((PRESSURE, "JsonPathContent"), (hub, "IotJsonPathContent")):
        (remark,) = lint({"d": bare})
        assert (remark.level, kind in remark.text) == (Level.WARNING, True)


def test_correlation_and_encounter_by_json_path() -> None:
    """JsonPathContent takes a correlation and an encounter from the match, as CalculatedContent does."""
    template = {
        "templateType": "JsonPathContent",
        "template": PRESSURE | {"encounterIdExpression": "$.visit", "correlationIdExpression": "$.session"},
    }
    at = "2026-03-01T1{}:00:00Z"
    events = [
        {"systolic": 1, "diastolic": 2, "at": at.format(n), "device": "d", "person": "p", "visit": "v", "session": "s"}
        for n in (0, 1)
    ]
    (both,) = run_one(template, pressures("sampledData", -1), *events)
    assert both["encounter"] == {"identifier": {"value": "v"}}
    assert both["identifier"][0]["value"].endswith(".bloodpressure.s")
    assert len(both["component"][0]["valueSampledData"]["data"].split(" ")) == 61


@pytest.mark.parametrize("how", [json.dumps, lambda body: base64.b64encode(json.dumps(body).encode()).decode()])
def test_a_body_that_is_text_is_read(how: Any) -> None:
    """Hubs store a message's body as text or in base64: both are what was sent; other text stays text."""
    event = {"systolic": 120, "diastolic": 80, "at": "2026-03-01T10:00:00Z", "device": "d", "person": "p"}
    template = {"templateType": "JsonPathContent", "template": PRESSURE}
    (panel,) = run_one(template, pressures("quantity", 0), {"Body": how(event), "Properties": {}})
    assert panel["component"][0]["valueQuantity"]["value"] == 120
    for text in ("", "hello", "5", "=", '"x"', "[" * 100):
        assert enveloped({"Body": text}) == {"Body": text}


def test_what_a_hub_knows(resources: list[Resource]) -> None:
    """IoT Hub's device id and time, its second choice of time, and IoT Central's come without expressions."""
    first, second = of_type(resources, "weight")
    assert (first["effectivePeriod"]["start"], first["valueQuantity"]["value"]) == (
        "2026-03-01T07:00:00.000000Z",
        Decimal("71.25"),
    )
    assert second["effectivePeriod"]["start"] == "2026-03-02T07:00:00.000000Z"
    (central,) = of_type(resources, "respiration")
    assert central["effectivePeriod"]["start"] == "2026-03-01T12:00:00.455000Z"


def test_judges_accept_what_templates_make(resources: list[Resource], tmp_path: Path) -> None:
    """All that templates make, in every value type, is valid FHIR to all three judges."""
    assert judged(resources, tmp_path, dumps) == {}


def test_the_same_events_are_the_same_resources(resources: list[Resource]) -> None:
    """Events that come twice change nothing: the same ids, and a slot keeps the latest value."""
    content, mapping = content_templates(read_template(DEVICE)), fhir_templates(read_template(FHIR))
    events = [*read_events(EVENTS), *read_events(EVENTS)]
    made, _ = convert(events, content, mapping, Create())
    assert [loads(dumps(each)) for each in made] == resources


def test_templates_run_on_our_readings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`fhir events` says a capture's readings as a hub would, and a device template takes the heart rate from there."""
    pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")
    monkeypatch.chdir(tmp_path)
    made = walk(tmp_path / "walk.vwc", 33)
    assert main(["fhir", "events", "walk.vwc", "--fingerprint", made.fingerprint]) == 0
    lines = capsys.readouterr().out.splitlines()
    name = made.fingerprint[:8]
    assert {next(iter(json.loads(line)["SystemProperties"].values())) for line in lines} == {name}
    Path("events.jsonl").write_text("\n".join(line for line in lines if "heart_rate" in line))
    content = content_templates(
        {
            "templateType": "IotJsonPathContent",
            "template": {
                "typeName": "heartrate",
                "typeMatchExpression": "$..[?(@heart_rate)]",
                "values": [{"required": True, "valueExpression": "$.heart_rate", "valueName": "hr"}],
            },
        }
    )
    mapping = fhir_templates(fhir_template())
    who = lookup({name: {"patient": "p", "device": "Device/d"}})
    resources, done = convert(read_events(Path("events.jsonl")), content, mapping, who)
    assert done.lost == []
    (heart,) = resources
    assert heart["valueQuantity"]["value"] == pytest.approx(Decimal(70), abs=Decimal(2))
