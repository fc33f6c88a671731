"""Why an expression finds nothing: which of the names in it the event does not have. For people; decides nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .text import Json

_NAME = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|(?<![\w-])([A-Za-z_][\w-]*+)(?!\s*\()")
_WORDS = {"and", "or", "not", "in", "true", "false", "null"}  # of the languages themselves
_MOST = 3  # names that are said


def lacking(expression: str, token: Json) -> str:
    """Return, to be put behind what is wrong, which names of an expression a token lacks, and which it has instead."""
    names = dict.fromkeys(name for name in _NAME.findall(expression) if name and name.lower() not in _WORDS)
    keys = set(_keys(token))
    alike = {key.lower(): key for key in keys}
    said = [
        f"no {name}, but {alike[name.lower()]}" if name.lower() in alike else f"no {name}"
        for name in names
        if name not in keys
    ]
    return f": it has {', '.join(said[:_MOST])}" if said else ""


def _keys(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for each in value.values():
            yield from _keys(each)
    elif isinstance(value, list):
        for each in value:
            yield from _keys(each)
