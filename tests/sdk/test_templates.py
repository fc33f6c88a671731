"""MedTech's templates, in every shape its documentation shows, run on events; linted; explained."""

# ruff: noqa: D103

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.fhirjudges import judged
from tests.walk import walk

from vitalwire.cli import main
from vitalwire.errors import InputError
from vitalwire.fhir import dumps, loads, read
from vitalwire.templates import (
    Create,
    Level,
    TemplateError,
    content_templates,
    convert,
    enveloped,
    explain,
    fhir_templates,
    lint,
    lookup,
    read_events,
    read_template,
)
from vitalwire.templates.expressions import Expression, Language
from vitalwire.templates.known import CODES
from vitalwire.templates.lint import _is_loinc, check_code
from vitalwire.templates.mapping import Code
from vitalwire.templates.text import MAX_EVENT, MAX_TEMPLATE, parse_template

pytest.importorskip("jsonpath", reason="needs python-jsonpath (vitalwire[fhir])")
pytest.importorskip("jmespath", reason="needs jmespath (vitalwire[fhir])")

MEDTECH = Path(__file__).resolve().parents[1] / "medtech"
DEVICE, FHIR, EVENTS = MEDTECH / "devicecontent.json", MEDTECH / "fhirmapping.json", MEDTECH / "events.jsonl"
Resource = dict[str, Any]


@pytest.fixture(scope="module")
def resources() -> list[Resource]:
    """Return what the published shapes become."""
    content, mapping = content_templates(read_template(DEVICE)), fhir_templates(read_template(FHIR))
    made, done = convert(read_events(EVENTS), content, mapping, Create())
    assert done.lost == []
    return [loads(dumps(each)) for each in made]


def of_type(resources: list[Resource], name: str) -> list[Resource]:
    found = [each for each in resources if each["resourceType"] == "Observation" and each["code"]["text"] == name]
    return sorted(found, key=lambda each: each["effectivePeriod"]["start"])


def one(event: Any, template: dict[str, Any], **more: Any) -> Any:
    """Return what one CalculatedContent template makes of one event: its explanation."""
    whole = {
        "typeName": "t",
        "deviceIdExpression": "$.matchedToken.d",
        "timestampExpression": "$.matchedToken.t",
        "typeMatchExpression": "$..[?(@v)]",
        "values": [{"required": "true", "valueExpression": "$.matchedToken.v", "valueName": "v"}],
    }
    content = content_templates({"templateType": more.get("kind", "CalculatedContent"), "template": whole | template})
    return list(explain(1, enveloped(event), content, None))


# ---------------------------------------------------------------- the published shapes


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


PRESSURE = {
    "typeName": "bloodpressure",
    "typeMatchExpression": "$..[?(@systolic && @diastolic)]",
    "deviceIdExpression": "$.device",
    "timestampExpression": "$.at",
    "patientIdExpression": "$.person",
    "values": [
        {"required": "true", "valueExpression": f"$.{name}", "valueName": name} for name in ("systolic", "diastolic")
    ],
}


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


def test_what_matches_and_says_nothing_of_the_device_is_explained() -> None:
    """The documentation's hub message has no device in its body: the shape matches, and why it is lost is said."""
    template = PRESSURE | {"typeMatchExpression": "$..[?(@Body.systolic)]", "deviceIdExpression": "$.deviceId"}
    event = enveloped({"systolic": 120, "diastolic": 80})
    (found,) = explain(1, event, content_templates({"templateType": "JsonPathContent", "template": template}), None)
    assert found.why == "deviceIdExpression: required, and nothing is found: it has no deviceId"
    assert [step.found != "nothing" for step in found.steps if step.what == "typeMatchExpression"] == [True]


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ("$..[?(@heartRate)]", "it has no heartRate, but HeartRate"),
        ("$..[?(@pulse && @HeartRate)]", "it has no pulse"),
        ("$.Body.telemetry", "it has no telemetry"),
        ({"value": "Body.workouts[?length(Pace) > `3`]", "language": "JmesPath"}, "it has no workouts, no Pace"),
        ("$..[?(@HeartRate == 'none and nothing')]", "nothing in the event matches"),
    ],
)
def test_why_nothing_matches(match: Any, said: str) -> None:
    """What an expression names and the event lacks is said, and what it has instead; words of the language are none."""
    (found,) = one({"HeartRate": 71, "unit": "/min"}, {"typeMatchExpression": match})
    assert found.why.endswith(said)


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


def test_create_makes_who_it_needs(resources: list[Resource]) -> None:
    """Identity create: one Patient and one Device for each identifier, the Device with its Patient, all referred to."""
    patients = [each for each in resources if each["resourceType"] == "Patient"]
    devices = [each for each in resources if each["resourceType"] == "Device"]
    assert sorted(each["identifier"][0]["value"] for each in patients) == ["c1", "p1", "p2"]
    assert sorted(each["identifier"][0]["value"] for each in devices) == ["c1", "d1", "d2", "scale"]
    there = {f"{each['resourceType']}/{each['id']}" for each in resources}
    for each in resources:
        if each["resourceType"] == "Observation":
            assert {each["subject"]["reference"], each["device"]["reference"]} <= there


def test_judges_accept_what_templates_make(resources: list[Resource], tmp_path: Path) -> None:
    """All that templates make, in every value type, is valid FHIR to all three judges."""
    assert judged(resources, tmp_path, dumps) == {}


def test_the_same_events_are_the_same_resources(resources: list[Resource]) -> None:
    """Events that come twice change nothing: the same ids, and a slot keeps the latest value."""
    content, mapping = content_templates(read_template(DEVICE)), fhir_templates(read_template(FHIR))
    events = [*read_events(EVENTS), *read_events(EVENTS)]
    made, _ = convert(events, content, mapping, Create())
    assert [loads(dumps(each)) for each in made] == resources


# ---------------------------------------------------------------- identity


def test_lookup_guesses_nobody() -> None:
    """Identity lookup: a device that is not known becomes nothing, with the reason; one that is, no new Patient."""
    content, mapping = content_templates(read_template(DEVICE)), fhir_templates(read_template(FHIR))
    resolver = lookup({"d1": {"patient": "one", "device": "Device/x"}})
    made, done = convert(read_events(EVENTS), content, mapping, resolver)
    assert {each["resourceType"] for each in made} == {"Observation"}
    assert {each["subject"]["reference"] for each in made} == {"Patient/one"}
    assert {each.type_name for each in done.lost} == {"bloodpressure", "weight", "respiration"}
    assert all("no identity" in each.why for each in done.lost)


def test_create_needs_a_patient() -> None:
    """Identity create without a patient's identifier makes nothing; one device on two patients is refused."""
    content, mapping = content_templates(read_template(DEVICE)), fhir_templates(read_template(FHIR))
    note = {"remark": "x", "device": "d", "when": "2026-03-01T10:30:00Z"}
    events = [(n, enveloped(note | more)) for n, more in enumerate(({}, {"person": "a"}, {"person": "b"}))]
    made, done = convert(events, content, mapping, Create())
    assert [each.event for each in done.lost] == [0, 2]
    assert "patientIdExpression" in done.lost[0].why
    assert "another patient" in done.lost[1].why
    assert sum(each["resourceType"] == "Observation" for each in made) == 1


@pytest.mark.parametrize("value", [[], {"d": {}}, {"d": {"patient": "p", "device": "x"}}, {"d": "p"}])
def test_identities_have_a_form(value: Any) -> None:
    """Identities of another form are refused."""
    with pytest.raises(InputError):
        lookup(value)


# ---------------------------------------------------------------- events that do not become FHIR


LOSSES = {
    "nothing matches": ({"x": 1}, {}, "nothing in the event matches"),
    "no device": ({"v": 1, "t": "2026-03-01T00:00:00Z"}, {}, "deviceIdExpression"),
    "no time": ({"v": 1, "d": "x"}, {}, "timestampExpression"),
    "hour 24": ({"v": 1, "d": "x", "t": "2026-03-01T24:10:00Z"}, {}, "no time"),
    "required value": ({"v": None, "d": "x", "t": "2026-03-01T00:00:00Z"}, {}, "value v"),
    "empty value": ({"v": "", "d": "x", "t": "2026-03-01T00:00:00Z"}, {}, "value v"),
    "several values": (
        {"v": [1, 2], "d": "x", "t": "2026-03-01T00:00:00Z"},
        {"values": [{"required": "true", "valueExpression": "$.matchedToken.v[*]", "valueName": "v"}]},
        "2 values",
    ),
    "no correlation id": (
        {"v": 1, "d": "x", "t": "2026-03-01T00:00:00Z"},
        {"correlationIdExpression": "$.matchedToken.session"},
        "correlationIdExpression",
    ),
    "wrong type for a function": (
        {"v": "much", "d": "x", "t": "2026-03-01T00:00:00Z"},
        {
            "values": [
                {"valueExpression": {"value": "add(matchedToken.v, `1`)", "language": "JmesPath"}, "valueName": "v"}
            ]
        },
        "value v",
    ),
}


@pytest.mark.parametrize("what", LOSSES)
def test_why_an_event_became_nothing(what: str) -> None:
    """For each way to lose an event, the explanation names the expression and what is wrong with what it found."""
    event, template, why = LOSSES[what]
    (found,) = one(event, template)
    assert found.became == ""
    assert why in found.why


def test_what_was_found_is_shown() -> None:
    """An event that became something shows each expression with what it found."""
    (found,) = one({"v": 1, "d": "x", "t": "2026-03-01T00:00:00Z"}, {})
    assert found.became == "measurement of v"
    assert [(step.what, step.found) for step in found.steps[1:]] == [
        ("deviceIdExpression", "x"),
        ("timestampExpression", "2026-03-01T00:00:00Z"),
        ("value v", "1"),
    ]


def test_explain_goes_on_to_fhir() -> None:
    """With FHIR templates, the explanation says which one writes what, and which values nobody writes."""
    content = content_templates(read_template(DEVICE))
    mapping = fhir_templates(read_template(FHIR))
    event = {"remark": "dizzy", "device": "d", "person": "p", "when": "2026-03-01T10:30:00Z"}
    became = [each.became for each in explain(1, enveloped(event), content, mapping) if each.became]
    assert became == ["Observation by FHIR template 6: remark as String"]
    (lost,) = (each for each in explain(1, enveloped(event), content, {}) if "no FHIR template" in each.why)
    assert lost.type_name == "note"


def test_two_patients_values_never_meet() -> None:
    """Values of an hour of two patients with one device's name are two Observations."""
    content, mapping = content_templates(read_template(DEVICE)), fhir_templates(read_template(FHIR))
    event = {"heartRate": 70, "endDate": "2026-03-01T10:00:00Z"}
    events = [(n, enveloped(event | {"deviceId": f"d{n}", "patientId": f"p{n}"})) for n in range(2)]
    made, _ = convert(events, content, mapping, Create())
    assert len({each["subject"]["reference"] for each in made if each["resourceType"] == "Observation"}) == 2


@pytest.mark.parametrize("text", ["n/a", "1e5", "", "NaN", "0x10", "9" * 60])
def test_what_is_no_number_is_not_written(text: str) -> None:
    """A value that is no decimal makes no Quantity and no token: the measurement is lost, with the reason."""
    content, mapping = content_templates(read_template(DEVICE)), fhir_templates(read_template(FHIR))
    for name, time in (("heartRate", "endDate"), ("height", "endDate")):
        event = {name: text, time: "2026-03-01T10:00:00Z", "deviceId": "d", "patientId": "p", "unit": "meters"}
        made, done = convert([(1, enveloped(event))], content, mapping, Create())
        assert not [each for each in made if each["resourceType"] == "Observation"]
        assert done.lost


# ---------------------------------------------------------------- expressions


@pytest.mark.parametrize(
    ("text", "data", "found"),
    [
        ("add(`10`, `10`)", {}, 20),
        ("divide(left, right)", {"left": 40, "right": 50}, 0.8),
        ("multiply(left, right)", {"left": 40, "right": 50}, 2000),
        ("pow(left, right)", {"left": 100, "right": 0.5}, 10),
        ("subtract(left, right)", {"left": 40, "right": 50}, -10),
        ("insertString(original, toInsert, pos)", {"original": "success", "toInsert": "!!", "pos": 7}, "success!!"),
        ("fromUnixTimestamp(unix)", {"unix": 1625677200}, "2021-07-07T17:00:00+00:00"),
        ("fromUnixTimestampMs(unix)", {"unix": 1626799080000}, "2021-07-20T16:38:00+00:00"),
    ],
)
def test_medtechs_functions(text: str, data: Any, found: Any) -> None:
    """Each function of MedTech's gives what its documentation says."""
    assert Expression(text, Language.JMES_PATH).one(data) == found


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("divide(left, right)", {"left": 50, "right": 0}),
        ("pow(left, right)", {"left": 40, "right": 50}),
        ("pow(left, right)", {"left": -1, "right": 0.5}),
        ("insertString(original, toInsert, pos)", {"original": "my", "toInsert": "!!", "pos": 100}),
        ("insertString(original, toInsert, pos)", {"original": "my", "toInsert": "!!", "pos": -1}),
        ("fromUnixTimestamp(unix)", {"unix": 10**17}),
        ("add(left, right)", {"left": "1", "right": 2}),
    ],
)
def test_functions_that_do_not_hold(text: str, data: Any) -> None:
    """Division by zero, overflow, places and times out of range and wrong types are errors with a reason."""
    with pytest.raises(TemplateError):
        Expression(text, Language.JMES_PATH).one(data)


def test_scans_see_the_event_itself() -> None:
    """`$..[?...]` matches the whole event too, as in Json.NET, and `@name` is `@.name`."""
    event = {"Body": {"hr": 1}}
    assert Expression("$..[?(@Body.hr)]").find(event) == [event]
    assert Expression("$..[?(@hr)]").find(event) == [{"hr": 1}]


@pytest.mark.parametrize("text", ["", " ", "$.[", "x" * 2000, "$..[?(@.a ==)]"])
def test_what_is_no_expression(text: str) -> None:
    """An expression that does not compile, or is too long, is refused when templates are read."""
    with pytest.raises(TemplateError):
        Expression(text)


# ---------------------------------------------------------------- bounds


def test_events_are_bounded(tmp_path: Path) -> None:
    """A line too long, nested too deep or of no JSON costs only itself: the events after it are read."""
    file = tmp_path / "e.jsonl"
    deep = "[" * 5000 + "]" * 5000
    lines = [json.dumps({"x": "y" * MAX_EVENT}), deep, "[" * 100 + "]" * 100, "{", '{"a": NaN}', "", '{"Body": 1}']
    file.write_text("\n".join(lines))
    found = list(read_events(file))
    assert [number for number, _ in found] == [1, 2, 3, 4, 5, 7]
    assert [isinstance(event, TemplateError) for _, event in found] == [True] * 5 + [False]


def test_templates_are_bounded() -> None:
    """Files, lists and values beyond their bounds are refused."""
    single = read_template(DEVICE)["template"][0]
    with pytest.raises(TemplateError):
        content_templates({"templateType": "CollectionContent", "template": [single] * 600})
    many = copy.deepcopy(single)
    many["template"]["values"] *= 100
    with pytest.raises(TemplateError):
        content_templates(many)
    with pytest.raises(TemplateError):
        parse_template(" " * (MAX_TEMPLATE + 1))


def test_a_bucket_is_bounded() -> None:
    """An hour whose slots would fill memory makes no Observation; an hour of one value does."""
    mapping = read_template(FHIR)
    mapping["template"][0]["template"]["value"]["defaultPeriod"] = 0.001
    content = content_templates(read_template(DEVICE))
    made, done = convert(read_events(EVENTS), content, fhir_templates(mapping), Create())
    assert "slots" in done.lost[0].why
    assert [each["valueSampledData"]["data"] for each in of_type(made, "heartrate")] == ["81"]


# ---------------------------------------------------------------- lint


def fhir_template(**more: Any) -> dict[str, Any]:
    inner = {
        "typeName": "heartrate",
        "periodInterval": 0,
        "codes": [{"code": "8867-4", "system": "http://loinc.org", "display": "Heart rate"}],
        "value": {
            "valueType": "Quantity", "valueName": "hr", "unit": "/min", "code": "/min",
            "system": "http://unitsofmeasure.org",
        },
    }  # fmt: skip
    return {"templateType": "CollectionFhir", "template": [{"templateType": "CodeValueFhir", "template": inner | more}]}


def code(number: str, display: str, system: str = "http://loinc.org") -> dict[str, Any]:
    return {"codes": [{"code": number, "system": system, "display": display}]}


MDC = "urn:iso:std:iso:11073:10101"
WRONG = {
    "188424 as skin": (code("188424", "Skin temperature", MDC), "188424 is oral temperature", "150388"),
    "188424 by its type": (code("188424", "", MDC) | {"typeName": "skinTemp"}, "oral temperature", "150388"),
    "heart rate as diastolic": (code("8867-4", "Diastolic blood pressure"), "8867-4 is heart rate", "8462-4"),
    "check digit": (code("8867-5", "Heart rate"), "check digit", ""),
    "https": (code("8867-4", "Heart rate", "https://loinc.org"), "no system", "http://loinc.org"),
    "slash": (code("8867-4", "Heart rate", "http://loinc.org/"), "no system", "http://loinc.org"),
    "snomed": (code("364075005", "Heart rate", "http://snomed.info"), "no system", "http://snomed.info/sct"),
    "no system": (code("8867-4", "Heart rate", ""), "has no system", ""),
    "unit": (
        {"value": fhir_template()["template"][0]["template"]["value"] | {"code": "bpm"}}, "no UCUM code", "/min",
    ),
    "unit system": (
        {"value": fhir_template()["template"][0]["template"]["value"] | {"system": "https://unitsofmeasure.org"}},
        "no system", "http://unitsofmeasure.org",
    ),
    "period": ({"periodInterval": 30}, "periodInterval", "1440"),
    "value type": ({"value": {"valueType": "Ratio", "valueName": "x"}}, "valueType", "Quantity"),
    "sampled data without period": ({"value": {"valueType": "SampledData", "valueName": "x"}}, "defaultPeriod", ""),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_lint_finds(what: str) -> None:
    """Each wrong code, system, unit and form is an error that says what is right."""
    more, said, right = WRONG[what]
    (remark,) = (each for each in lint({"f": fhir_template(**more)}) if each.level is Level.ERROR)
    assert said in remark.text
    assert right in remark.text


def test_lint_has_nothing_to_say_of_good_templates() -> None:
    """The published shapes have no errors, and neither has a template of every known code by its own name."""
    found = lint({"device": read_template(DEVICE), "fhir": read_template(FHIR)})
    assert [each for each in found if each.level is Level.ERROR] == []
    for known in CODES:
        assert lint({"f": fhir_template(**code(known.code, known.name, known.system), typeName="t", value=None)}) == []


ALIKE = {
    frozenset(("40443-4", "8867-4")),
    frozenset(("59408-5", "2708-6")),
    frozenset(("29463-7", "3141-9")),
}


def test_lint_tells_all_known_codes_apart() -> None:
    """Each code under the name of each other of its system is an error, but for those that may stand for each other."""
    for own in CODES:
        for other in CODES:
            if own.system == other.system:
                found = [
                    each for each in check_code(Code(own.code, own.system, other.name), "t") if each[0] is Level.ERROR
                ]
                alike = own.code == other.code or frozenset((own.code, other.code)) in ALIKE
                assert bool(found) != alike, (own, other, found)


def test_lint_knows_the_published_mistake() -> None:
    """The documentation's own blood pressure template has 8867-4 for diastolic pressure, and lint says so."""
    components = [
        {"codes": [{"code": "8867-4", "display": "Diastolic blood pressure", "system": "http://loinc.org"}],
         "value": {"unit": "mmHg", "valueName": "diastolic", "valueType": "quantity"}},
    ]  # fmt: skip
    more = code("85354-9", "Blood pressure panel with all children optional") | {"components": components}
    found = lint({"f": fhir_template(**more, typeName="bloodpressure", value=None)})
    assert [each.where for each in found if each.level is Level.ERROR] == ["template 1, component 1"]


def test_lint_ties_the_two_files() -> None:
    """Types and values that one file names and the other does not know are errors or warnings, by name."""
    device, fhir = read_template(DEVICE), read_template(FHIR)
    device["template"][0]["template"]["typeName"] = "puls"
    device["template"][1]["template"]["values"][0]["valueName"] = "count"
    del device["template"][5]["template"]["correlationIdExpression"]
    texts = [each.text for each in lint({"d": device, "f": fhir}) if each.level is Level.ERROR]
    assert any("'puls'" in text and "go nowhere" in text for text in texts)
    assert any("'steps'" in text and "extracts" in text for text in texts)
    assert any("correlationIdExpression" in text for text in texts)
    assert len(texts) == 3


def test_lint_names_each_template_that_is_wrong() -> None:
    """One broken template does not hide the next: each is named with its place."""
    device = read_template(DEVICE)
    device["template"][0]["template"]["typeMatchExpression"] = "$.["
    device["template"][2]["templateType"] = "XmlContent"
    del device["template"][3]["template"]["values"][0]["valueName"]
    found = lint({"d": device})
    assert [each.where for each in found] == ["template 1", "template 3", "template 4"]


def test_loinc_check_digits() -> None:
    """Every LOINC code in our table has its check digit; one with another is none."""
    for known in CODES:
        if known.system == "http://loinc.org":
            assert _is_loinc(known.code)
            assert not _is_loinc(known.code[:-1] + str((int(known.code[-1]) + 1) % 10))


# ---------------------------------------------------------------- the commands


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`convert` writes a Bundle, `lint` and `explain` say what they found; the codes tell whether anything is wrong."""
    monkeypatch.chdir(tmp_path)
    files = ["--device-template", str(DEVICE), "--fhir-template", str(FHIR)]
    assert main(["fhir", "convert", str(EVENTS), *files, "--identity", "create", "--out", "b.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lost"] == []
    assert sum(each["resourceType"] == "Observation" for each in read(tmp_path / "b.json")) == 13
    assert main(["fhir", "convert", str(EVENTS), *files, "--out", "c.json"]) == 2
    (tmp_path / "who.json").write_text('{"d1": {"patient": "p", "device": "Device/d"}}')
    assert main(["fhir", "convert", str(EVENTS), *files, "--identities", "who.json", "--out", "c.json"]) == 1
    assert "no identity" in capsys.readouterr().err
    assert main(["fhir", "lint", str(DEVICE), str(FHIR)]) == 0
    (tmp_path / "bad.json").write_text(json.dumps(fhir_template(**code("188424", "Skin temperature", MDC))))
    assert main(["fhir", "lint", "bad.json"]) == 3
    assert "oral temperature" in capsys.readouterr().out
    assert main(["fhir", "explain", str(DEVICE), str(FHIR), "--events", str(EVENTS)]) == 0
    assert "Observation by FHIR template" in capsys.readouterr().out
    (tmp_path / "e.jsonl").write_text('{"x": 1}')
    assert main(["fhir", "explain", str(DEVICE), "--events", "e.jsonl", "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)) == 10


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


JUNK: tuple[Any, ...] = (None, True, -1, 1.5, "", "x", "$.[", [], {}, [None], {"a": [1]}, [[]], "9" * 2000)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths to every member and item of a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*path, key)
        yield from places(inner, (*path, key))


def spoil(value: Any, random: Random) -> Any:
    """Return a copy with junk somewhere."""
    whole = copy.deepcopy(value)
    path = random.choice(list(places(whole)))
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = random.choice(JUNK)
    return whole


@pytest.mark.parametrize("seed", range(4))
def test_no_junk_breaks_templates(seed: int) -> None:
    """Junk anywhere in templates or events gives remarks and losses, never a failure: 400 seeded replacements."""
    random = Random(seed)
    device, fhir = read_template(DEVICE), read_template(FHIR)
    events = [event for _, event in read_events(EVENTS)]
    content, mapping = content_templates(device), fhir_templates(fhir)
    for _ in range(50):
        spoiled = {"d": spoil(device, random), "f": spoil(fhir, random)}
        lint(spoiled)
        try:
            convert(enumerate(events), content_templates(spoiled["d"]), fhir_templates(spoiled["f"]), Create())
        except InputError:
            assert any(each.level is Level.ERROR for each in lint(spoiled))
        odd = enveloped(spoil(random.choice(events), random))
        made, done = convert([(1, odd)], content, mapping, Create())
        assert made or done.lost
        assert list(explain(1, odd, content, mapping))
