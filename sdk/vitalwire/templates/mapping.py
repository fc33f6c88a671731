"""FHIR-mapping templates, read: which codes, which period, which type of value. Makes no resources.

CollectionFhir and CodeValueFhir of iomt-fhir (docs/Configuration.md), `periodInterval` as a `Period`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum

from .device import MAX_TEMPLATES, body, entries
from .text import Json, TemplateError, member

COLLECTION, CODE_VALUE = "CollectionFhir", "CodeValueFhir"
MAX_CODES = 32
MAX_COMPONENTS = 64


class Period(IntEnum):
    """What time one Observation stands for: minutes, or the measurements of one correlation id."""

    SINGLE = 0
    HOUR = 60
    DAY = 1440
    CORRELATION = -1


class ValueType(StrEnum):
    """As what a value is written."""

    SAMPLED_DATA = "SampledData"
    QUANTITY = "Quantity"
    CODEABLE_CONCEPT = "CodeableConcept"
    STRING = "String"


@dataclass(frozen=True, slots=True)
class Code:
    """One coding."""

    code: str
    system: str
    display: str


@dataclass(frozen=True, slots=True)
class Concept:
    """A category or a coded value: text and codings."""

    text: str
    codes: tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class ValueSpec:
    """How one value is written; what its type does not know is empty. `period` is in milliseconds."""

    kind: ValueType
    name: str
    unit: str = ""
    code: str = ""
    system: str = ""
    period: Decimal = Decimal(0)
    concept: Concept = Concept("", ())


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """One component."""

    codes: tuple[Code, ...]
    value: ValueSpec


@dataclass(frozen=True, slots=True)
class FhirTemplate:
    """One template; `place` is its number in the file, from 1."""

    place: int
    type_name: str
    period: Period
    codes: tuple[Code, ...]
    category: tuple[Concept, ...]
    value: ValueSpec | None
    components: tuple[ComponentSpec, ...]

    @property
    def specs(self) -> tuple[ValueSpec, ...]:
        """All values that it writes."""
        return (*((self.value,) if self.value else ()), *(each.value for each in self.components))


def fhir_templates(value: Json) -> dict[str, FhirTemplate]:
    """Return the templates of a file's JSON by type name; raises TemplateError for the first that is wrong."""
    found: dict[str, FhirTemplate] = {}
    for place, each in enumerate(entries(value, COLLECTION), 1):
        template = fhir_template(place, each)
        if template.type_name in found:
            raise TemplateError(f"templates {found[template.type_name].place} and {place} are both of that typeName")
        found[template.type_name] = template
    assert len(found) <= MAX_TEMPLATES
    return found


def fhir_template(place: int, value: Json) -> FhirTemplate:
    """Return one template; raises TemplateError."""
    what = f"template {place}"
    kind, inner = body(value, what)
    if kind.lower() != CODE_VALUE.lower():
        raise TemplateError(f"{what}: no templateType {kind!r}; there are {COLLECTION} and {CODE_VALUE}")
    type_name = member(inner, "typeName")
    if not isinstance(type_name, str) or not type_name:
        raise TemplateError(f"{what} has no typeName")
    components = _list(member(inner, "components"), f"{what}: components", MAX_COMPONENTS)
    said = member(inner, "value")
    return FhirTemplate(
        place,
        type_name,
        _period(member(inner, "periodInterval", 0), what),
        _codes(member(inner, "codes"), what),
        tuple(_concept(each, f"{what}: category") for each in _list(member(inner, "category"), what, MAX_CODES)),
        None if said is None else _value(said, f"{what}: value"),
        tuple(_component(each, f"{what}: component {n}") for n, each in enumerate(components, 1)),
    )


def _period(value: Json, what: str) -> Period:
    names = {"single": Period.SINGLE, "hourly": Period.HOUR, "daily": Period.DAY, "correlationid": Period.CORRELATION}
    try:
        return names[value.lower()] if isinstance(value, str) and value.lower() in names else Period(int(value))
    except (ValueError, TypeError):
        raise TemplateError(f"{what}: periodInterval is 0, 60, 1440 or -1, not {value!r}") from None


def _component(value: Json, what: str) -> ComponentSpec:
    if not isinstance(value, dict):
        raise TemplateError(f"{what} is no object")
    return ComponentSpec(_codes(member(value, "codes"), what), _value(member(value, "value"), f"{what}: value"))


def _value(value: Json, what: str) -> ValueSpec:
    said = member(value, "valueType") if isinstance(value, dict) else None
    kind = next((each for each in ValueType if each.lower() == str(said).lower()), None)
    if kind is None:
        raise TemplateError(f"{what}: no valueType {said!r}; there are {', '.join(ValueType)}")
    name = member(value, "valueName")
    if not isinstance(name, str) or not name:
        raise TemplateError(f"{what} has no valueName")
    period = Decimal(0)
    if kind is ValueType.SAMPLED_DATA:
        try:
            period = Decimal(str(member(value, "defaultPeriod")))
        except ArithmeticError:
            period = Decimal(0)
        if not period.is_finite() or period <= 0:
            raise TemplateError(f"{what}: SampledData needs a defaultPeriod in milliseconds")
    concept = _concept(value, what) if kind is ValueType.CODEABLE_CONCEPT else Concept("", ())
    unit, code, system = (_string(member(value, key)) for key in ("unit", "code", "system"))
    return ValueSpec(kind, name, unit, code, system, period, concept)


def _concept(value: Json, what: str) -> Concept:
    if not isinstance(value, dict):
        raise TemplateError(f"{what} is no object")
    return Concept(_string(member(value, "text")), _codes(member(value, "codes"), what))


def _codes(value: Json, what: str) -> tuple[Code, ...]:
    found = []
    for each in _list(value, f"{what}: codes", MAX_CODES):
        if not isinstance(each, dict):
            raise TemplateError(f"{what}: a code is no object")
        found.append(Code(*(_string(member(each, key)) for key in ("code", "system", "display"))))
    return tuple(found)


def _list(value: Json, what: str, most: int) -> list[Json]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > most:
        raise TemplateError(f"{what} is a list of at most {most}")
    return value


def _string(value: Json) -> str:
    return value if isinstance(value, str) else "" if value is None or isinstance(value, Mapping | list) else str(value)
