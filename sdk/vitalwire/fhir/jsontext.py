"""FHIR's JSON: decimals exact, and one canonical text of a resource to hash, sign and compare.

Canonical: members sorted by name, no white space, what a server adds (`meta.versionId`, `meta.lastUpdated`,
`meta.source`, `text`) left out; of numbers, the nearest double's shortest decimal without exponent, because servers
that keep JSON numbers as doubles (as JavaScript does) give them back so. But for that notation it is RFC 8785.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any, TypeAlias

from vitalwire.errors import InputError
from vitalwire.messages import Decimal10

Json: TypeAlias = Any  # None, bool, int, Decimal, str, list, dict
Resource: TypeAlias = dict[str, Json]

MAX_DIGITS = 128  # before or behind the point
EXACT = Context(prec=2 * MAX_DIGITS, traps=[Inexact, InvalidOperation, Overflow])  # rather fails than rounds
SERVERS = ("versionId", "lastUpdated", "source")  # of `meta`


def decimal(number: Decimal10) -> Decimal:
    """Return mantissa x 10^exponent, exact."""
    return Decimal(number.mantissa).scaleb(number.exponent)


def plain(number: Decimal) -> str:
    """Return a decimal without exponent and without superfluous zeros."""
    if not number.is_finite() or abs(number.adjusted()) > MAX_DIGITS or len(number.as_tuple().digits) > MAX_DIGITS:
        raise InputError(f"{str(number)[:40]} is no decimal that FHIR holds")
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def double(number: Decimal) -> str:
    """Return the shortest decimal that is the same double."""
    try:
        return plain(Decimal(repr(float(number))))
    except OverflowError:
        raise InputError("a number that no double holds") from None


def dumps(value: Json) -> str:
    """Return a value as JSON, numbers exact, members sorted."""
    out: list[str] = []
    _write(value, out, plain)
    return "".join(out)


def canonical(resource: Mapping[str, Json]) -> bytes:
    """Return the canonical text of a resource."""
    out: list[str] = []
    _write(stripped(resource), out, double)
    return "".join(out).encode()


_string = json.encoder.encode_basestring
_WORDS = {True: "true", False: "false", None: "null"}


def _write(value: Json, out: list[str], number: Callable[[Decimal], str]) -> None:
    if isinstance(value, str):
        out.append(_string(value))
    elif value is None or value is True or value is False:
        out.append(_WORDS[value])
    elif isinstance(value, int):
        out.append(number(Decimal(value)))
    elif isinstance(value, Decimal):
        out.append(number(value))
    elif isinstance(value, Mapping):
        out.append("{")
        for place, key in enumerate(sorted(value)):
            out.append(("," if place else "") + _string(key) + ":")
            _write(value[key], out, number)
        out.append("}")
    elif isinstance(value, Sequence):
        out.append("[")
        for place, item in enumerate(value):
            if place:
                out.append(",")
            _write(item, out, number)
        out.append("]")
    else:
        raise TypeError(type(value).__name__)


def loads(text: str | bytes) -> Json:
    """Return the value of a JSON text, numbers with a point or exponent as Decimal; InputError if it is none."""
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refused)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise InputError(f"not JSON: {error}") from None


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def stripped(resource: Mapping[str, Json]) -> Resource:
    """Return a resource without what servers add."""
    kept = {key: value for key, value in resource.items() if key != "text"}
    if isinstance(meta := kept.get("meta"), Mapping):
        meta = {key: value for key, value in meta.items() if key not in SERVERS}
        kept = {**kept, "meta": meta} if meta else {key: value for key, value in kept.items() if key != "meta"}
    return kept


def digest(resource: Mapping[str, Json]) -> bytes:
    """Return the SHA-256 of a resource's canonical text."""
    return hashlib.sha256(canonical(resource)).digest()
