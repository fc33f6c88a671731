"""MedTech's published templates and events, events of our own, and what is looked for in what they become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MEDTECH = Path(__file__).resolve().parents[2] / "medtech"
DEVICE, FHIR, EVENTS = MEDTECH / "devicecontent.json", MEDTECH / "fhirmapping.json", MEDTECH / "events.jsonl"
Resource = dict[str, Any]


def of_type(resources: list[Resource], name: str) -> list[Resource]:
    """Return the Observations of a name, in order of time."""
    found = [each for each in resources if each["resourceType"] == "Observation" and each["code"]["text"] == name]
    return sorted(found, key=lambda each: each["effectivePeriod"]["start"])


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


def fhir_template(**more: Any) -> dict[str, Any]:
    """Return a FHIR-mapping template of one good row, with `more` in it."""
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
    """Return one code as templates say it."""
    return {"codes": [{"code": number, "system": system, "display": display}]}


MDC = "urn:iso:std:iso:11073:10101"
