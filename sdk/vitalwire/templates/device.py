"""Device-content templates: events to measurements. Says for each try what every expression found; decides no FHIR.

Five kinds (iomt-fhir, docs/Configuration.md): a collection, and four that differ in where expressions look and where
device and time come from, which stands in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from .expressions import Expression, Language, as_text
from .text import Json, TemplateError, member

MAX_TEMPLATES = 512
MAX_VALUES = 64  # of one template
MATCHED = "matchedToken"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of template: whether expressions see the event around the match; where device and time come from."""

    sees_event: bool
    languages: bool = False
    device: str = ""
    times: tuple[str, ...] = ()
    from_event: bool = False  # device and time are looked for in the whole event


KINDS: dict[str, Kind] = {
    "CalculatedContent": Kind(sees_event=True, languages=True),
    "JsonPathContent": Kind(sees_event=False),
    "IotJsonPathContent": Kind(
        sees_event=True,
        device="$.SystemProperties.iothub-connection-device-id",
        times=("$.Properties.iothub-creation-time-utc", "$.SystemProperties.iothub-enqueuedtime"),
        from_event=True,
    ),
    "IotCentralJsonPathContent": Kind(sees_event=False, device="$.deviceId", times=("$.enqueuedTime",)),
}
COLLECTION = "CollectionContent"


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a template."""

    name: str
    expression: Expression
    required: bool


@dataclass(frozen=True, slots=True)
class ContentTemplate:
    """One template that is no collection; `place` is its number in the file, from 1."""

    place: int
    kind: str
    type_name: str
    match: Expression
    devices: tuple[Expression, ...]
    times: tuple[Expression, ...]
    patient: Expression | None
    encounter: Expression | None
    correlation: Expression | None
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a template found in an event: values by name, as text; time in microseconds since 1970."""

    type_name: str
    device: str
    time_us: int
    patient: str | None
    encounter: str | None
    correlation: str | None
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """What one expression of a template found, as text; `problem` says what is wrong with that."""

    what: str
    expression: str
    found: str
    problem: str = ""


@dataclass(slots=True)
class Trial:
    """One template on one match of an event: its steps, and the measurement if there is one."""

    template: ContentTemplate
    steps: list[Step] = field(default_factory=list)
    measurement: Measurement | None = None

    @property
    def problem(self) -> str:
        """Why there is no measurement."""
        return next((f"{step.what}: {step.problem}" for step in self.steps if step.problem), "")


# ---------------------------------------------------------------- reading templates


def content_templates(value: Json) -> tuple[ContentTemplate, ...]:
    """Return the templates of a file's JSON; raises TemplateError for the first that is wrong."""
    return tuple(content_template(place, each) for place, each in enumerate(entries(value, COLLECTION), 1))


def entries(value: Json, collection: str) -> list[Json]:
    """Return the templates of a collection, or the one that a file is."""
    if not isinstance(value, dict):
        raise TemplateError("a template is an object with templateType and template")
    if str(member(value, "templateType", "")).lower() != collection.lower():
        return [value]
    inner = member(value, "template")
    if not isinstance(inner, list) or len(inner) > MAX_TEMPLATES:
        raise TemplateError(f"a {collection} holds a list of at most {MAX_TEMPLATES} templates")
    return inner


def body(value: Json, what: str) -> tuple[str, dict[str, Json]]:
    """Return the kind and the content of one template."""
    inner = member(value, "template") if isinstance(value, dict) else None
    kind = member(value, "templateType") if isinstance(value, dict) else None
    if not isinstance(inner, dict) or not isinstance(kind, str):
        raise TemplateError(f"{what} has no templateType or no template")
    return kind, inner


def is_bare(value: Json) -> bool:
    """Whether a value is what stands in a template, without its templateType: so some of the documentation's stand."""
    outside = isinstance(value, dict) and member(value, "templateType") is member(value, "template") is None
    return outside and member(value, "typeMatchExpression") is not None


def unnamed(value: Mapping[str, Json]) -> str:
    """Return the kind that a template without templateType is read as: what it says of the device tells."""
    return "IotJsonPathContent" if member(value, "deviceIdExpression") is None else "JsonPathContent"


def content_template(place: int, value: Json) -> ContentTemplate:
    """Return one template; raises TemplateError."""
    what = f"template {place}"
    said, inner = (unnamed(value), value) if is_bare(value) else body(value, what)
    name = next((kind for kind in KINDS if kind.lower() == said.lower()), None)
    if name is None:
        raise TemplateError(f"{what}: no templateType {said!r}; there are {', '.join([COLLECTION, *KINDS])}")
    kind = KINDS[name]
    default = _language(member(inner, "defaultExpressionLanguage"), what) if kind.languages else Language.JSON_PATH

    def expression(member_name: str, *, required: bool = False) -> Expression | None:
        return _expression(member(inner, member_name), f"{what}: {member_name}", default, required=required)

    type_name = member(inner, "typeName")
    if not isinstance(type_name, str) or not type_name:
        raise TemplateError(f"{what} has no typeName")
    match = expression("typeMatchExpression", required=True)
    device = Expression(kind.device) if kind.device else expression("deviceIdExpression", required=True)
    time = None if kind.times else expression("timestampExpression", required=True)
    assert match is not None
    assert device is not None
    times = tuple(map(Expression, kind.times)) if time is None else (time,)
    return ContentTemplate(
        place, name, type_name, match, (device,), times, expression("patientIdExpression"),
        expression("encounterIdExpression"), expression("correlationIdExpression"), _values(inner, what, default),
    )  # fmt: skip


def _values(inner: Mapping[str, Json], what: str, default: Language) -> tuple[Value, ...]:
    listed = member(inner, "values") or []
    if not isinstance(listed, list) or len(listed) > MAX_VALUES:
        raise TemplateError(f"{what}: values is a list of at most {MAX_VALUES}")
    found = []
    for number, each in enumerate(listed, 1):
        where = f"{what}: value {number}"
        if not isinstance(each, dict) or not isinstance(name := member(each, "valueName"), str) or not name:
            raise TemplateError(f"{where} has no valueName")
        expression = _expression(member(each, "valueExpression"), f"{where}: valueExpression", default, required=True)
        assert expression is not None
        required = str(member(each, "required", "false")).lower() == "true"
        found.append(Value(name, expression, required))
    return tuple(found)


def _expression(value: Json, what: str, default: Language, *, required: bool) -> Expression | None:
    if value is None and not required:
        return None
    language = default
    if isinstance(value, dict):
        language = _language(member(value, "language"), what, default)
        value = member(value, "value")
    if not isinstance(value, str) or not value.strip():
        raise TemplateError(f"{what} is missing")
    try:
        return Expression(value, language)
    except TemplateError as error:
        raise TemplateError(f"{what}: {error}") from None


def _language(value: Json, what: str, default: Language = Language.JSON_PATH) -> Language:
    if value is None:
        return default
    found = next((each for each in Language if each.lower() == str(value).lower()), None)
    if found is None:
        raise TemplateError(f"{what}: no expression language {value!r}; there are {', '.join(Language)}")
    return found


# ---------------------------------------------------------------- running them


def trials(template: ContentTemplate, event: Mapping[str, Json]) -> Iterator[Trial]:
    """Run a template on an event: one trial for each match, or one that says that nothing matches."""
    try:
        matches = template.match.find(event)
    except TemplateError as error:
        yield Trial(template, [Step("typeMatchExpression", template.match.text, "", str(error))])
        return
    if not matches:
        yield Trial(template, [Step("typeMatchExpression", template.match.text, "", "nothing in the event matches")])
    kind = KINDS[template.kind]
    for match in matches:
        token = {**event, MATCHED: match} if kind.sees_event else match
        trial = Trial(template, [Step("typeMatchExpression", template.match.text, _short(match))])
        _measure(trial, token, [match, token] if kind.from_event else [token])
        yield trial


def _measure(trial: Trial, token: Json, places: list[Json]) -> None:
    """Evaluate the other expressions; `places` are where values are looked for, the first that has one wins."""
    template = trial.template
    device = _text(trial, "deviceIdExpression", template.devices, [token], required=True)
    time_us = _time(trial, template.times, token)
    patient, encounter, correlation = (
        _text(trial, what, (expression,), places, required=what == "correlationIdExpression") if expression else None
        for what, expression in (
            ("patientIdExpression", template.patient),
            ("encounterIdExpression", template.encounter),
            ("correlationIdExpression", template.correlation),
        )
    )
    values: dict[str, str] = {}
    for value in template.values:
        found = _text(trial, f"value {value.name}", (value.expression,), places, required=value.required)
        if found is not None and (found or not value.required):
            values[value.name] = found
    if not trial.problem and device is not None and time_us is not None:
        trial.measurement = Measurement(
            template.type_name, device, time_us, patient, encounter, correlation, values
        )  # fmt: skip


def _text(
    trial: Trial, what: str, expressions: tuple[Expression, ...], places: list[Json], *, required: bool
) -> str | None:
    for expression in expressions:
        for place in places:
            try:
                found = as_text(expression.one(place))
            except TemplateError as error:
                trial.steps.append(Step(what, expression.text, "", str(error)))
                return None
            if found is not None and (found or not required):
                trial.steps.append(Step(what, expression.text, _short(found)))
                return found
    texts = " or ".join(expression.text for expression in expressions)
    trial.steps.append(Step(what, texts, "nothing", "required, and nothing is found" if required else ""))
    return None


def _time(trial: Trial, expressions: tuple[Expression, ...], token: Json) -> int | None:
    found = _text(trial, "timestampExpression", expressions, [token], required=True)
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(found)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (aware - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        trial.steps[-1] = Step("timestampExpression", trial.steps[-1].expression, _short(found), f"no time: {error}")
        return None


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
