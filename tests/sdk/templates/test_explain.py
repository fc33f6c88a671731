"""Why an event matched, or became nothing, is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.sdk.templates.events import DEVICE, EVENTS, FHIR, MDC, PRESSURE, code, fhir_template

from vitalwire.cli import main
from vitalwire.fhir import read
from vitalwire.templates import content_templates, enveloped, explain, fhir_templates, read_template

pytest.importorskip("jsonpath", reason="needs python-jsonpath (vitalwire[fhir])")
pytest.importorskip("jmespath", reason="needs jmespath (vitalwire[fhir])")


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
