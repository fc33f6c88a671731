"""Whose a measurement is, in MedTech's two ways: `create` makes Patient and Device, `lookup` knows them already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from vitalwire.fhir.ids import identified, patient
from vitalwire.fhir.jsontext import Resource

from .device import Measurement
from .group import Identity
from .text import Json, TemplateError


class Resolution(StrEnum):
    """MedTech's names for it."""

    CREATE = "create"
    LOOKUP = "lookup"


class Resolver(Protocol):
    """Says whose a measurement is; TemplateError where nobody can tell."""

    def resolve(self, measurement: Measurement) -> Identity:
        """Return the references."""
        ...


@dataclass(slots=True)
class Create:
    """Makes Patient and Device of the identifiers that events bring; `made` are those that were needed."""

    made: dict[str, Resource] = field(default_factory=dict)

    def resolve(self, measurement: Measurement) -> Identity:
        """Return the references; TemplateError without a patient's identifier."""
        if not measurement.patient:
            raise TemplateError("identity create needs a patientIdExpression, and it finds nothing")
        person = self._make("Patient", measurement.patient, {})
        device = self._make("Device", measurement.device, {"patient": {"reference": person}})
        return Identity(person, device)

    def _make(self, kind: str, identifier: str, more: Mapping[str, Json]) -> str:
        reference = f"{kind}/{identified(kind, identifier)}"
        known = self.made.get(reference)
        made: Resource = {
            "resourceType": kind,
            "id": reference.partition("/")[2],
            "identifier": [{"value": identifier}],
            **more,
        }
        if known is not None and known != made:
            raise TemplateError(f"the device {identifier!r} belongs to another patient already")
        self.made[reference] = made
        return reference


@dataclass(frozen=True, slots=True)
class Lookup:
    """Knows devices by identifier, and whose they are: nobody is made, nobody is guessed."""

    known: Mapping[str, Identity]

    def resolve(self, measurement: Measurement) -> Identity:
        """Return the references; TemplateError for a device that is not known."""
        found = self.known.get(measurement.device)
        if found is None:
            raise TemplateError(f"no identity of the device {measurement.device!r} is known")
        return found


def lookup(value: Json) -> Lookup:
    """Return the resolver of {identifier: {"patient": ..., "device": ..., "encounter": ...}}; raises TemplateError."""
    try:
        known = {
            str(name): Identity(patient(each["patient"]), each["device"], each.get("encounter", ""))
            for name, each in value.items()
        }
        if not all(isinstance(each.device, str) and each.device.startswith("Device/") for each in known.values()):
            raise ValueError
    except (AttributeError, KeyError, TypeError, ValueError):
        wanted = '{"identifier": {"patient": "Patient/ID", "device": "Device/ID"}}'
        raise TemplateError(f"identities are {wanted}") from None
    return Lookup(known)
