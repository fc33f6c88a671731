"""Addresses of transports: `scheme:target?option=value&...`. Only text; nothing is opened or looked up here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl, unquote

from vitalwire.errors import UsageError

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of an address; %-escapes stand for characters that would end a part."""

    scheme: str
    target: str
    options: Mapping[str, str]

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take an address apart. Raises UsageError where that cannot be done."""
        scheme, colon, rest = url.partition(":")
        target, _, query = rest.partition("?")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
        except ValueError:
            raise UsageError(f"the options of {url!r} are not of the form name=value&name=value") from None
        if not colon or not target or len(dict(pairs)) != len(pairs):
            raise UsageError(f"{url!r} is not an address", advice="One has the form scheme:target?name=value")
        return cls(scheme, unquote(target), dict(pairs))

    def read(self, **kinds: Callable[[str], Value]) -> dict[str, Value]:
        """Return the options given, each read by its kind. Raises UsageError for other options and wrong values."""
        found: dict[str, Value] = {}
        for name, text in self.options.items():
            if name not in kinds:
                known = ", ".join(kinds)
                raise UsageError(f"{self.scheme}: has no option {name!r}", advice=f"It has {known}." if kinds else "")
            try:
                found[name] = kinds[name](text)
            except ValueError:
                raise UsageError(f"{text!r} is no value for the option {name}") from None
        return found
