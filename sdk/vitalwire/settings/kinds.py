"""Things of several kinds, each kind in a module with an extra of its own, imported only when it is configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from vitalwire.errors import UsageError


class Kind(NamedTuple):
    """Where a kind lives and which extra it needs."""

    module: str
    extra: str


class Kinds:
    """The kinds of one thing (`what`, for people) by name."""

    def __init__(self, what: str, kinds: Mapping[str, Kind]) -> None:
        self._what = what
        self._kinds = kinds

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def module(self, kind: object) -> ModuleType | Any:
        """Return the module of a kind. Raises UsageError for a kind that is not or lacks its extra."""
        found = self._kinds.get(kind) if isinstance(kind, str) else None
        if found is None:
            raise UsageError(f"no {self._what} of the kind {kind!r}", advice="there are " + ", ".join(self._kinds))
        try:
            return import_module(found.module)
        except ImportError as error:
            if error.name is None or error.name.startswith("vitalwire"):
                raise
            raise UsageError(
                f"a {self._what} of the kind {kind} needs {error.name}",
                advice=f'pip install "vitalwire[{found.extra}]"',
            ) from None
