"""Events to FHIR by two files of templates; what does not become FHIR is named, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from vitalwire.fhir.jsontext import Resource

from .device import ContentTemplate, Trial, trials
from .group import Group, group_of, key_of, observation
from .identity import Create, Resolver
from .mapping import FhirTemplate
from .text import Json, TemplateError

MAX_GROUPS = 100_000  # Observations made of one run of events


@dataclass(frozen=True, slots=True)
class Lost:
    """An event, or what a template made of it, that did not become FHIR."""

    event: int
    type_name: str
    why: str


@dataclass(slots=True)
class Converter:
    """Takes events one by one; `resources` are what they became, `lost` what did not.

    A template that matches nothing in an event is no loss; an event that no template matches is.
    """

    content: tuple[ContentTemplate, ...]
    mapping: Mapping[str, FhirTemplate]
    resolver: Resolver
    measurements: int = 0
    lost: list[Lost] = field(default_factory=list)
    _groups: dict[tuple[str, ...], Group] = field(default_factory=dict)

    def add(self, number: int, event: Json | TemplateError) -> None:
        """Take an event; `number` is what it is called where something is wrong with it."""
        if isinstance(event, TemplateError):
            self.lost.append(Lost(number, "", str(event)))
            return
        matched = False
        for template in self.content:
            for trial in trials(template, event):
                matched |= len(trial.steps) > 1
                self._take(number, trial)
        if not matched:
            self.lost.append(Lost(number, "", "no template matches"))

    def _take(self, number: int, trial: Trial) -> None:
        measurement = trial.measurement
        if measurement is None:
            if len(trial.steps) > 1:
                self.lost.append(Lost(number, trial.template.type_name, trial.problem))
            return
        self.measurements += 1
        template = self.mapping.get(measurement.type_name)
        try:
            if template is None:
                raise TemplateError("no FHIR template is of this typeName")
            group = group_of(template, measurement, self.resolver.resolve(measurement))
            key = key_of(group)
            if key not in self._groups and len(self._groups) >= MAX_GROUPS:
                raise TemplateError(f"more than {MAX_GROUPS} Observations in one run", reason="oversized")
            self._groups.setdefault(key, group).add(measurement)
        except TemplateError as error:
            self.lost.append(Lost(number, measurement.type_name, str(error)))

    def resources(self) -> Iterator[Resource]:
        """Yield what was made: those that are referred to first."""
        if isinstance(self.resolver, Create):
            yield from self.resolver.made.values()
        for group in self._groups.values():
            try:
                yield observation(group)
            except TemplateError as error:
                self.lost.append(Lost(0, group.template.type_name, str(error)))


def convert(
    events: Iterable[tuple[int, Json | TemplateError]],
    content: tuple[ContentTemplate, ...],
    mapping: Mapping[str, FhirTemplate],
    resolver: Resolver,
) -> tuple[list[Resource], Converter]:
    """Return the resources of all events, and the converter, which knows what was lost."""
    converter = Converter(content, mapping, resolver)
    for number, event in events:
        converter.add(number, event)
    return list(converter.resources()), converter
