"""What is wrong with templates before any event comes: form, expressions, links between the two files, codes, units."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vitalwire.fhir.codes import LOINC, MDC, UCUM

from .device import COLLECTION, ContentTemplate, content_template, entries, is_bare, unnamed
from .known import CODES, SYSTEMS, UNITS, Known
from .mapping import COLLECTION as FHIR_COLLECTION
from .mapping import Code, FhirTemplate, Period, ValueSpec, ValueType, fhir_template
from .text import Json, TemplateError, member

_LOINC = re.compile(r"(\d{1,7})-(\d)")


class Level(StrEnum):
    """Whether it cannot work or means something else, or is only doubtful."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to look at: in which file, at which template, and what."""

    level: Level
    file: str
    where: str
    text: str


def is_fhir(value: Json) -> bool:
    """Return whether a file holds FHIR templates and no device content."""
    listed = entries(value, FHIR_COLLECTION)
    first = listed[0] if listed and isinstance(listed[0], dict) else value
    kinds = {str(member(each, "templateType", "")).lower() for each in (value, first) if isinstance(each, dict)}
    return any(kind.endswith("fhir") for kind in kinds)


def lint(files: Mapping[str, Json]) -> list[Remark]:
    """Return all remarks on files of templates, by name; device and FHIR templates are held against each other."""
    remarks: list[Remark] = []
    content: list[tuple[str, ContentTemplate]] = []
    mapping: list[tuple[str, FhirTemplate]] = []
    for name, value in files.items():
        try:
            fhir = is_fhir(value)
            listed = entries(value, FHIR_COLLECTION if fhir else COLLECTION)
        except TemplateError as error:
            remarks.append(Remark(Level.ERROR, name, "", str(error)))
            continue
        for place, each in enumerate(listed, 1):
            try:
                if fhir:
                    mapping.append((name, fhir_template(place, each)))
                else:
                    content.append((name, content_template(place, each)))
                    if is_bare(each):
                        text = f"no templateType: read as {unnamed(each)}, and MedTech's service would not read it"
                        remarks.append(Remark(Level.WARNING, name, f"template {place}", text))
            except TemplateError as error:
                remarks.append(Remark(Level.ERROR, name, f"template {place}", str(error)))
    remarks += (remark for name, template in mapping for remark in _codes_of(name, template))
    if content and mapping:
        remarks += _links(content, mapping)
    return remarks


# ---------------------------------------------------------------- the two files together


def _links(
    content: Sequence[tuple[str, ContentTemplate]], mapping: Sequence[tuple[str, FhirTemplate]]
) -> Iterator[Remark]:
    types = {template.type_name for _, template in mapping}
    for name, template in content:
        if template.type_name not in types:
            yield Remark(
                Level.ERROR, name, f"template {template.place}",
                f"no FHIR template is of the typeName {template.type_name!r}: its measurements go nowhere",
            )  # fmt: skip
    for name, target in mapping:
        where = f"template {target.place}"
        makers = [each for _, each in content if each.type_name == target.type_name]
        if not makers:
            text = f"no device template is of the typeName {target.type_name!r}"
            yield Remark(Level.WARNING, name, where, text)
            continue
        names = {value.name for each in makers for value in each.values}
        for spec in target.specs:
            if spec.name not in names:
                text = f"no device template of {target.type_name!r} extracts the value {spec.name!r}"
                yield Remark(Level.ERROR, name, where, text)
        if target.period is Period.CORRELATION and not all(each.correlation for each in makers):
            text = "periodInterval -1, and a device template has no correlationIdExpression"
            yield Remark(Level.ERROR, name, where, text)


# ---------------------------------------------------------------- codes and units


def _codes_of(name: str, template: FhirTemplate) -> Iterator[Remark]:
    where = f"template {template.place}"
    for code in template.codes:
        yield from (Remark(*each[:1], name, where, each[1]) for each in check_code(code, template.type_name))
    for number, component in enumerate(template.components, 1):
        for code in component.codes:
            found = check_code(code, component.value.name)
            yield from (Remark(level, name, f"{where}, component {number}", text) for level, text in found)
    for codes, spec in (
        *(((template.codes, template.value),) if template.value else ()),
        *((each.codes, each.value) for each in template.components),
    ):
        yield from (Remark(level, name, where, text) for level, text in check_unit(codes, spec))
    if template.period is Period.SINGLE:
        for spec in template.specs:
            if spec.kind is ValueType.SAMPLED_DATA:
                yield Remark(Level.WARNING, name, where, f"{spec.name}: SampledData of single measurements")
    else:
        for spec in template.specs:
            if spec.kind is not ValueType.SAMPLED_DATA:
                text = f"{spec.name}: of all {spec.kind} values in a period only the first is kept"
                yield Remark(Level.WARNING, name, where, text)


def check_code(code: Code, named: str) -> Iterator[tuple[Level, str]]:
    """Yield what is wrong with one coding; `named` says what is meant where no display does."""
    yield from _check_system(code)
    if code.system == LOINC and not _is_loinc(code.code):
        yield Level.ERROR, f"{code.code!r} is no LOINC code: its check digit is another"
    own = next((each for each in CODES if (each.system, each.code) == (code.system, code.code)), None)
    if own is None:
        return
    for said in (code.display, named):
        meant = _meant(said, own)
        if meant is not None:
            text = f"{code.code} is {own.name}, and {said!r} is {meant.name}: {meant.code} in {meant.system}"
            yield Level.ERROR, text
            return


def _meant(said: str, own: Known) -> Known | None:
    """Return what a text means, if it is something else than its code: in the code's system, where that has it."""
    squeezed = re.sub("[^a-z0-9]", "", said.lower())
    found = [each for each in CODES if any(word in squeezed for word in each.words)]
    if not found:
        return None
    alike = (each for each in found if each.system == own.system and set(each.words) & set(found[0].words))
    meant = next(alike, found[0])
    if meant.code == own.code or set(meant.words) & set(own.words):
        return None
    return next((each for each in CODES if each.system == own.system and set(each.words) & set(meant.words)), meant)


def _check_system(code: Code) -> Iterator[tuple[Level, str]]:
    if not code.system:
        yield Level.ERROR, f"the code {code.code!r} has no system"
        return
    for part, right in SYSTEMS:
        if part in code.system.lower() and code.system != right:
            yield Level.ERROR, f"{code.system} is no system: it is {right}"
            return
    if code.system not in (LOINC, MDC) and _LOINC.fullmatch(code.code) and _is_loinc(code.code):
        yield Level.WARNING, f"{code.code} looks like LOINC, and its system is {code.system}"


def check_unit(codes: Sequence[Code], spec: ValueSpec) -> Iterator[tuple[Level, str]]:
    """Yield what is wrong with the unit of a value."""
    if spec.kind not in (ValueType.QUANTITY, ValueType.SAMPLED_DATA):
        return
    if spec.system and spec.system != UCUM and any(part in spec.system.lower() for part in ("unitsofmeasure", "ucum")):
        yield Level.ERROR, f"{spec.name}: {spec.system} is no system: it is {UCUM}"
    expected = {each.unit for each in CODES for code in codes if (each.system, each.code) == (code.system, code.code)}
    right = UNITS.get(spec.code.lower()) if spec.code not in UNITS.values() else None
    if spec.code and right:
        yield Level.ERROR, f"{spec.name}: {spec.code!r} is no UCUM code: it is {right}"
    elif spec.code and spec.system == UCUM and expected - {""} and spec.code not in expected:
        text = f"{spec.name}: {spec.code} is not the unit of its code, which is {', '.join(sorted(expected))}"
        yield Level.WARNING, text
    elif not spec.code and UNITS.get(spec.unit.lower(), spec.unit) != spec.unit:
        text = f"{spec.name}: the unit {spec.unit!r} is {UNITS[spec.unit.lower()]} in UCUM, and the value has no code"
        yield Level.WARNING, text


def _is_loinc(text: str) -> bool:
    """Return whether a code has LOINC's check digit (mod 10, LOINC Users' Guide appendix)."""
    found = _LOINC.fullmatch(text)
    if not found:
        return False
    digits = [int(digit) for digit in reversed(found[1])]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[::2]]
    return (10 - (sum(doubled) + sum(digits[1::2])) % 10) % 10 == int(found[2])
