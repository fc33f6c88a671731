"""Why events become FHIR or not, template by template: which expression found what, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .device import ContentTemplate, Step, trials
from .hints import lacking
from .mapping import FhirTemplate
from .text import Json, TemplateError


@dataclass(frozen=True, slots=True)
class Explained:
    """What one device template makes of one event: `became` names the values written, else `why` says why none are."""

    event: int
    template: int
    type_name: str
    steps: tuple[Step, ...] = field(default=())
    became: str = ""
    why: str = ""


def explain(
    number: int,
    event: Json | TemplateError,
    content: tuple[ContentTemplate, ...],
    mapping: Mapping[str, FhirTemplate] | None,
) -> Iterator[Explained]:
    """Yield what each template makes of an event, for each match; without `mapping`, only as far as measurements."""
    if isinstance(event, TemplateError):
        yield Explained(number, 0, "", why=str(event))
        return
    for template in content:
        for trial in trials(template, event):
            steps, place = tuple(trial.steps), template.place
            measurement = trial.measurement
            if measurement is None:
                wrong = next(step.expression for step in steps if step.problem)
                yield Explained(number, place, template.type_name, steps, why=trial.problem + lacking(wrong, event))
                continue
            if mapping is None:
                became = f"measurement of {', '.join(measurement.values) or 'no values'}"
                yield Explained(number, place, template.type_name, steps, became)
                continue
            target = mapping.get(template.type_name)
            if target is None:
                why = f"no FHIR template is of the typeName {template.type_name!r}"
                yield Explained(number, place, template.type_name, steps, why=why)
                continue
            written = [f"{spec.name} as {spec.kind}" for spec in target.specs if spec.name in measurement.values]
            lost = [name for name in measurement.values if name not in {spec.name for spec in target.specs}]
            became = f"Observation by FHIR template {target.place}: {', '.join(written) or 'no value'}"
            if lost:
                became += f"; not written: {', '.join(lost)}"
            yield Explained(number, place, template.type_name, steps, became)
