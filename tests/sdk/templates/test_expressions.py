"""What an expression may say, and how much events and templates may ask for."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.sdk.templates.events import DEVICE, EVENTS, FHIR, of_type

from vitalwire.errors import InputError
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
    read_events,
    read_template,
)
from vitalwire.templates.expressions import Expression, Language
from vitalwire.templates.text import MAX_EVENT, MAX_TEMPLATE, parse_template

pytest.importorskip("jsonpath", reason="needs python-jsonpath (vitalwire[fhir])")
pytest.importorskip("jmespath", reason="needs jmespath (vitalwire[fhir])")


@pytest.mark.parametrize("text", ["n/a", "1e5", "", "NaN", "0x10", "9" * 60])
def test_what_is_no_number_is_not_written(text: str) -> None:
    """A value that is no decimal makes no Quantity and no token: the measurement is lost, with the reason."""
    content, mapping = content_templates(read_template(DEVICE)), fhir_templates(read_template(FHIR))
    for name, time in (("heartRate", "endDate"), ("height", "endDate")):
        event = {name: text, time: "2026-03-01T10:00:00Z", "deviceId": "d", "patientId": "p", "unit": "meters"}
        made, done = convert([(1, enveloped(event))], content, mapping, Create())
        assert not [each for each in made if each["resourceType"] == "Observation"]
        assert done.lost


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
