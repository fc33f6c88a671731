"""JSONPath and JMESPath expressions of templates: compiled once, by kept libraries, with MedTech's own functions.

JSONPath is that of Json.NET where it differs from RFC 9535: `@name` for `@.name`, and `$..[?...]` looks at the whole
event too, not only at what is inside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any

from vitalwire.errors import UsageError

from .text import Json, TemplateError

MAX_EXPRESSION = 1024  # characters
MAX_FOUND = 4096  # tokens that one expression finds in one event
_MAX_LONG = (1 << 63) - 1  # MedTech's functions give what fits a C# long
_SCAN = "$..[?"
_ADVICE = 'pip install "vitalwire[fhir]"'


class Language(StrEnum):
    """In what an expression is written."""

    JSON_PATH = "JsonPath"
    JMES_PATH = "JmesPath"


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression; `find` returns all that it finds in a token."""

    text: str
    language: Language = Language.JSON_PATH
    _run: Callable[[Json], list[Json]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.text.strip() or len(self.text) > MAX_EXPRESSION:
            raise TemplateError(f"an expression has 1 to {MAX_EXPRESSION} characters")
        object.__setattr__(self, "_run", _COMPILERS[self.language](self.text))

    def find(self, token: Json) -> list[Json]:
        """Return what is found, nothing for null; TemplateError where the expression does not hold."""
        found = self._run(token)
        if len(found) > MAX_FOUND:
            raise TemplateError(f"{self.text} finds more than {MAX_FOUND} tokens", reason="oversized")
        return found

    def one(self, token: Json) -> Json | None:
        """Return the one that is found, None for none; TemplateError if there are several."""
        found = self.find(token)
        if len(found) > 1:
            raise TemplateError(f"{self.text} finds {len(found)} values where one is wanted")
        return found[0] if found else None


def as_text(value: Json) -> str | None:
    """Return a value as MedTech hands it on: text; None for null and for what is no single value."""
    if value is None or isinstance(value, dict | list):
        return None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        text = format(Decimal(repr(value)), "f")
        return text.removesuffix(".0") if "." in text else text
    return str(value)


# ---------------------------------------------------------------- JSONPath


@cache
def _json_path_environment() -> Any:
    try:
        from jsonpath import JSONPathEnvironment
    except ImportError:
        raise UsageError("JSONPath needs python-jsonpath", advice=_ADVICE) from None
    return JSONPathEnvironment()


def _json_path(text: str) -> Callable[[Json], list[Json]]:
    environment = _json_path_environment()
    from jsonpath import JSONPathError

    try:
        path = environment.compile(text)
    except (JSONPathError, RecursionError) as error:
        raise TemplateError(f"{text} is no JSONPath: {_line(error)}") from None
    # A filter's own `$` would be the list that stands around the event.
    is_scan = text.startswith(_SCAN) and text.count("$") == 1

    def run(token: Json) -> list[Json]:
        try:
            return list(path.findall([token] if is_scan else token))
        except (JSONPathError, RecursionError, TypeError) as error:
            raise TemplateError(f"{text}: {_line(error)}") from None

    return run


# ---------------------------------------------------------------- JMESPath


@cache
def _jmes_options() -> Any:
    try:
        import jmespath.functions
    except ImportError:
        raise UsageError("JMESPath needs jmespath", advice=_ADVICE) from None
    functions = type(jmespath.functions.Functions)  # its metaclass finds functions by their names
    made = {f"_func_{name}": _function(*each) for name, each in MEDTECH.items()}
    return jmespath.Options(custom_functions=functions("MedTech", (jmespath.functions.Functions,), made)())


def _function(types: tuple[str, ...], function: Callable[..., Json]) -> Any:
    import jmespath.functions

    def run(_: object, *arguments: Json) -> Json:
        return function(*arguments)

    return jmespath.functions.signature(*({"types": [each]} for each in types))(run)


def _long(value: float) -> float:
    if isinstance(value, complex) or not abs(value) <= _MAX_LONG:
        raise TemplateError("the result does not fit a 64-bit integer")
    return int(value) if value == int(value) else value


def _divide(left: float, right: float) -> float:
    if right == 0:
        raise TemplateError("divide: by zero")
    return _long(left / right)


def _pow(left: float, right: float) -> float:
    try:
        return _long(float(left) ** float(right))
    except (OverflowError, ZeroDivisionError):
        raise TemplateError("pow: the result is no number that fits") from None


def _insert(original: str, inserted: str, at: float) -> str:
    if not 0 <= at <= len(original):
        raise TemplateError("insertString: out of range")
    return original[: int(at)] + inserted + original[int(at) :]


def _moment(seconds: float) -> str:
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        raise TemplateError("a time that no calendar holds") from None


_NUMBERS = ("number", "number")
# MedTech's functions beside those of JMESPath (iomt-fhir, docs/CustomFunctions.md): types of arguments, function.
MEDTECH: dict[str, tuple[tuple[str, ...], Callable[..., Json]]] = {
    "add": (_NUMBERS, lambda left, right: _long(left + right)),
    "subtract": (_NUMBERS, lambda left, right: _long(left - right)),
    "multiply": (_NUMBERS, lambda left, right: _long(left * right)),
    "divide": (_NUMBERS, _divide),
    "pow": (_NUMBERS, _pow),
    "insertString": (("string", "string", "number"), _insert),
    "fromUnixTimestamp": (("number",), _moment),
    "fromUnixTimestampMs": (("number",), lambda milliseconds: _moment(milliseconds / 1000)),
}


def _jmes_path(text: str) -> Callable[[Json], list[Json]]:
    options = _jmes_options()
    import jmespath

    try:
        expression = jmespath.compile(text)
    except (jmespath.exceptions.JMESPathError, RecursionError) as error:
        raise TemplateError(f"{text} is no JMESPath: {_line(error)}") from None

    def run(token: Json) -> list[Json]:
        try:
            found = expression.search(token, options)
        except (jmespath.exceptions.JMESPathError, RecursionError) as error:
            raise TemplateError(f"{text}: {_line(error)}") from None
        return [] if found is None else found if isinstance(found, list) else [found]

    return run


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


_COMPILERS: dict[Language, Callable[[str], Callable[[Json], list[Json]]]] = {
    Language.JSON_PATH: _json_path,
    Language.JMES_PATH: _jmes_path,
}
