"""Measurements to Observations by FHIR templates: grouped by period or correlation, values as the template's types.

Other than MedTech's, SampledData begins with the first slot that has a value and ends with the last: an hour's bucket
of ten seconds is ten seconds. Slots keep to the bucket's grid.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from vitalwire.fhir.clockfit import instant
from vitalwire.fhir.ids import identified
from vitalwire.fhir.jsontext import Resource
from vitalwire.fhir.sampled import MAX_TOKENS

from .device import Measurement
from .mapping import Code, Concept, FhirTemplate, Period, ValueSpec, ValueType
from .text import TemplateError

# What MedTech puts beside the user's codes, and before its identifiers; existing queries look for it.
SERVICE = "https://azure.microsoft.com/en-us/services/iomt-fhir-connector/"
MINUTE_US = 60_000_000
_NUMBER = re.compile(r"-?\d{1,40}(\.\d{1,40})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose a measurement is: references to Patient and Device, and to an Encounter if one is known."""

    patient: str
    device: str
    encounter: str = ""


@dataclass(slots=True)
class Group:
    """The measurements of one Observation: values by name, as (time, text) in order of arrival."""

    template: FhirTemplate
    identity: Identity
    segment: str  # of the identifier: the time, or the correlation id
    start_us: int
    end_us: int
    encounter: str | None = None  # its identifier, as an event said it
    values: dict[str, list[tuple[int, str]]] = field(default_factory=dict)

    def add(self, measurement: Measurement) -> None:
        """Take a measurement."""
        self.start_us = min(self.start_us, measurement.time_us)
        self.end_us = max(self.end_us, measurement.time_us)
        self.encounter = measurement.encounter or self.encounter
        for name, text in measurement.values.items():
            self.values.setdefault(name, []).append((measurement.time_us, text))


def group_of(template: FhirTemplate, measurement: Measurement, identity: Identity) -> Group:
    """Return the empty group that a measurement belongs to; TemplateError where it needs a correlation id."""
    time = measurement.time_us
    if template.period is Period.CORRELATION:
        if not measurement.correlation:
            raise TemplateError("periodInterval -1 needs a correlation id, and the event has none")
        return Group(template, identity, measurement.correlation, time, time)
    length = int(template.period) * MINUTE_US
    start = time // length * length if length else time
    end = start + length - 1000 if length else time
    return Group(template, identity, f"{_moment(start)}.{_moment(end)}", time, time)


def key_of(group: Group) -> tuple[str, ...]:
    """Return what the groups of one Observation have in common."""
    return group.template.type_name, group.identity.patient, group.identity.device, group.segment


def observation(group: Group) -> Resource:
    """Return the Observation of a group; TemplateError where a value is not what its type holds."""
    template, identity = group.template, group.identity
    value = ".".join((identity.patient, identity.device, template.type_name, group.segment))
    start, end = group.start_us, group.end_us
    made: Resource = {
        "resourceType": "Observation",
        "id": identified("template", SERVICE, value),
        "identifier": [{"system": SERVICE, "value": value}],
        "status": "final",
        "code": _code(template.type_name, template.codes),
        "subject": {"reference": identity.patient},
        "device": {"reference": identity.device},
    }
    if identity.encounter:
        made["encounter"] = {"reference": identity.encounter}
    elif group.encounter:
        made["encounter"] = {"identifier": {"value": group.encounter}}
    if template.category:
        made["category"] = [_concept(each) for each in template.category]
    if template.value and (found := group.values.get(template.value.name)):
        name, content = _value(template.value, found, group)
        made[name] = content
    components = []
    for component in template.components:
        if found := group.values.get(component.value.name):
            name, content = _value(component.value, found, group)
            components.append({"code": _code(component.value.name, component.codes), name: content})
    if components:
        made["component"] = components
    sampled = [each for each in template.specs if each.kind is ValueType.SAMPLED_DATA and each.name in group.values]
    if sampled:
        start = min(_first_slot(group, _times(group, each), each)[0] for each in sampled)
    made["effectivePeriod"] = {"start": instant(start), "end": instant(end)}
    return made


def _value(spec: ValueSpec, found: Sequence[tuple[int, str]], group: Group) -> tuple[str, object]:
    first = found[0][1]
    if spec.kind is ValueType.STRING:
        return "valueString", first
    if spec.kind is ValueType.CODEABLE_CONCEPT:
        return "valueCodeableConcept", _concept(spec.concept)
    if spec.kind is ValueType.SAMPLED_DATA:
        return "valueSampledData", _sampled(spec, found, group)
    members = {"unit": spec.unit, "system": spec.system, "code": spec.code}
    return "valueQuantity", {"value": number(first, spec.name)} | {key: text for key, text in members.items() if text}


def _sampled(spec: ValueSpec, found: Sequence[tuple[int, str]], group: Group) -> Resource:
    start, step = _first_slot(group, [time for time, _ in found], spec)
    slots: dict[int, str] = {}
    for time, text in sorted(found, key=lambda each: each[0]):
        number(text, spec.name)
        slots[int((time - start) / step)] = text  # of several in one slot, the latest
    size = max(slots) + 1
    if size > MAX_TOKENS:
        raise TemplateError(f"{spec.name}: {size} slots of {spec.period} ms, more than {MAX_TOKENS} in one Observation")
    unit = {"unit": spec.unit} if spec.unit else {}
    return {
        "origin": {"value": Decimal(0), **unit},
        "period": spec.period,
        "dimensions": 1,
        "data": " ".join(slots.get(place, "E") for place in range(size)),
    }


def _first_slot(group: Group, times: Iterable[int], spec: ValueSpec) -> tuple[int, float]:
    """Return when the first slot with a value begins, on the grid of the bucket, and how long a slot is (us)."""
    step = float(spec.period) * 1000
    length = int(group.template.period) * MINUTE_US
    first = min(times)
    grid = first // length * length if length > 0 else first
    return grid + int((first - grid) / step) * round(step), step


def _times(group: Group, spec: ValueSpec) -> list[int]:
    return [time for time, _ in group.values[spec.name]]


def number(text: str, name: str) -> Decimal:
    """Return a value as a decimal; TemplateError if it is none."""
    if not _NUMBER.fullmatch(text):
        raise TemplateError(f"{name}: {text[:40]!r} is no number")
    return Decimal(text)


def _code(name: str, codes: Sequence[Code]) -> Resource:
    own = {"system": SERVICE, "code": name, "display": name}
    return {"coding": [*map(_coding, codes), own], "text": name}


def _concept(concept: Concept) -> Resource:
    made: Resource = {"coding": list(map(_coding, concept.codes))} if concept.codes else {}
    return made | ({"text": concept.text} if concept.text else {})


def _coding(code: Code) -> Mapping[str, str]:
    members = {"system": code.system, "code": code.code, "display": code.display}
    return {key: text for key, text in members.items() if text}


def _moment(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y%m%d%H%M%SZ")
