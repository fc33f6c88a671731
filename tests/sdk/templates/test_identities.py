"""Whom values belong to: nobody is guessed, and two patients' values never meet."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sdk.templates.events import DEVICE, EVENTS, FHIR, Resource

from vitalwire.errors import InputError
from vitalwire.templates import (
    Create,
    content_templates,
    convert,
    enveloped,
    fhir_templates,
    lookup,
    read_events,
    read_template,
)

pytest.importorskip("jsonpath", reason="needs python-jsonpath (vitalwire[fhir])")
pytest.importorskip("jmespath", reason="needs jmespath (vitalwire[fhir])")


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


def test_two_patients_values_never_meet() -> None:
    """Values of an hour of two patients with one device's name are two Observations."""
    content, mapping = content_templates(read_template(DEVICE)), fhir_templates(read_template(FHIR))
    event = {"heartRate": 70, "endDate": "2026-03-01T10:00:00Z"}
    events = [(n, enveloped(event | {"deviceId": f"d{n}", "patientId": f"p{n}"})) for n in range(2)]
    made, _ = convert(events, content, mapping, Create())
    assert len({each["subject"]["reference"] for each in made if each["resourceType"] == "Observation"}) == 2
