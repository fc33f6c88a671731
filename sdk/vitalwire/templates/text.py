"""Templates and events as users have them: JSON, in templates also with comments, members in any case; bounded."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from vitalwire.errors import InputError, TransportError

Json: TypeAlias = Any

MAX_TEMPLATE = 1 << 20  # bytes of a file of templates
MAX_EVENT = 1 << 20  # bytes of an event; a hub takes 256 KiB
MAX_NESTING = 64
_READERS: tuple[Callable[[str], bytes], ...] = (str.encode, lambda text: base64.b64decode(text, validate=True))
_STRING_OR_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


class TemplateError(InputError):
    """A template of the wrong form, an event it cannot be run on, or an expression that does not hold."""


def read_template(path: Path) -> Json:
    """Return the JSON of a template's file; TemplateError if it is none, TransportError if it cannot be read."""
    return parse_template(_text(path, MAX_TEMPLATE), str(path))


def parse_template(text: str, name: str = "the template") -> Json:
    """Return the JSON of a template's text, comments left out."""
    if len(text) > MAX_TEMPLATE:
        raise TemplateError(f"{name} has more than {MAX_TEMPLATE} bytes", reason="oversized")
    plain = _STRING_OR_COMMENT.sub(lambda found: found[0] if found[0].startswith('"') else " ", text)
    try:
        return _bounded(json.loads(plain))
    except (ValueError, RecursionError) as error:
        raise TemplateError(f"{name} is no JSON: {error}") from None


def read_events(path: Path) -> Iterator[tuple[int, Json | TemplateError]]:
    """Yield line numbers and events of a file of one JSON a line; what is none, as the error that says so."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_EVENT + 1):
                number += 1
                if len(line) > MAX_EVENT:
                    yield number, TemplateError(f"an event of more than {MAX_EVENT} bytes", reason="oversized")
                    while line and not line.endswith(b"\n"):
                        line = file.readline(MAX_EVENT)
                elif line.strip():
                    yield number, _event(line)
    except OSError as error:
        raise TransportError(f"cannot read {path}: {error.strerror}") from error


def _event(line: bytes) -> Json | TemplateError:
    try:
        return enveloped(_bounded(json.loads(line, parse_constant=_refused)))
    except (ValueError, RecursionError) as error:
        return TemplateError(f"no JSON: {error}")


def enveloped(event: Json) -> dict[str, Json]:
    """Return an event as a hub hands it on: a message that is not in `Body` yet is put there.

    A `Body` that is text, as hubs store it, is read: JSON as it is or in base64.
    """
    if isinstance(event, dict) and "Body" in event:
        return event if not isinstance(event["Body"], str) else {**event, "Body": _body(event["Body"])}
    return {"Body": event, "Properties": {}, "SystemProperties": {}}


def _body(text: str) -> Json:
    for read in _READERS:
        try:
            found = _bounded(json.loads(read(text), parse_constant=_refused))
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict | list):
            return found
    return text


def member(value: Mapping[str, Json], name: str, default: Json = None) -> Json:
    """Return a member whatever the case of its name, as Json.NET reads templates."""
    if name in value:
        return value[name]
    return next((each for key, each in value.items() if key.lower() == name.lower()), default)


def _bounded(value: Json, depth: int = 0) -> Json:
    if depth > MAX_NESTING:
        raise ValueError(f"nested deeper than {MAX_NESTING}")
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _bounded(each, depth + 1)
    return value


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _text(path: Path, limit: int) -> str:
    try:
        with path.open("rb") as file:
            return file.read(limit + 1).decode("utf-8-sig")
    except OSError as error:
        raise TransportError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise TemplateError(f"{path} is no UTF-8") from None
