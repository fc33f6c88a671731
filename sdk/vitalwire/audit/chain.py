"""The lines of an audit log, and how each fixes the one before: no I/O.

A line is a JSON object with its keys in the order of `Record`, ASCII, no spaces, and a newline. `prev` is the SHA-256
of the whole line before, 64 zeros in the first; so the digest of the last line fixes all of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from vitalwire.errors import InputError, UsageError

Detail: TypeAlias = str | int | bool | None

FIRST = "0" * 64  # what the first line names as the one before it
MAX_LINE = 8192  # bytes
MAX_DETAILS = 16
MAX_TEXT = 256  # characters of a name or a detail
_KEYS = ["n", "time", "what", "details", "prev"]


@dataclass(frozen=True, slots=True)
class Record:
    """One line: its number from 1, UTC in RFC 3339, what happened in one word, details without keys or people."""

    n: int
    time: str
    what: str
    details: Mapping[str, Detail]
    prev: str

    def line(self) -> bytes:
        """Return its one form, newline included."""
        fields = {"n": self.n, "time": self.time, "what": self.what, "details": dict(self.details), "prev": self.prev}
        return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a whole log proves: `count` lines, the last one's digest, and the bytes of a torn line at the end."""

    count: int
    digest: str
    torn: int


def digest(line: bytes) -> str:
    """Return what the next line names as the one before it."""
    return hashlib.sha256(line).hexdigest()


def record(n: int, time: str, what: str, details: Mapping[str, Detail], prev: str) -> Record:
    """Return a record of what somebody wants to log; UsageError if it is too much or of a wrong type."""
    if len(details) > MAX_DETAILS or any(len(str(value)) > MAX_TEXT for value in (what, *details, *details.values())):
        raise UsageError(f"an audit record has at most {MAX_DETAILS} details of {MAX_TEXT} characters")
    if any(not isinstance(value, str | int | None) for value in details.values()):
        raise UsageError("details of an audit record are text, integers, true and false")
    return Record(n, time, what, MappingProxyType(dict(details)), prev)


def parse(line: bytes) -> Record:
    """Return the record of a whole line; InputError if it is not in its one form."""
    try:
        if len(line) > MAX_LINE:
            raise ValueError
        fields = json.loads(line)
        if not isinstance(fields, dict) or list(fields) != _KEYS or type(fields["n"]) is not int:
            raise ValueError
        if not isinstance(fields["details"], dict):
            raise ValueError
        found = Record(**fields)
        if found.line() != line:
            raise ValueError
    except (ValueError, RecursionError):
        raise InputError("not a line of an audit log", reason="form") from None
    return found


def check(lines: Iterable[bytes], at: int = 0, fixed: str = FIRST) -> Checked:
    """Return what the lines of a log prove; InputError names the first line that does not fit.

    `at` and `fixed` are a head's number and digest, which the line of that number must have. A last line without a
    newline was torn while it was written and counts for nothing.
    """
    count, last, torn = 0, FIRST, 0
    for line in lines:
        if torn:
            raise InputError(f"line {count + 1} is torn, and others follow", reason="form")
        if not line.endswith(b"\n"):
            torn = len(line)
            continue
        try:
            found = parse(line)
        except InputError as error:
            raise InputError(f"line {count + 1} is {error}", reason=error.reason) from None
        if found.n != count + 1:
            raise InputError(f"line {count + 1} calls itself {found.n}: lines are missing or moved", reason="order")
        if found.prev != last:
            raise InputError(f"line {count} is not the one that line {count + 1} was written after", reason="chain")
        count, last = found.n, digest(line)
        if count == at and last != fixed:
            raise InputError(f"line {count} is not the one whose digest was signed", reason="head")
    if count < at:
        raise InputError(f"the log ends at line {count}, but line {at} was signed", reason="head")
    return Checked(count, last, torn)
