"""Whether the files that settings name (secrets, certificates) were changed since they were last looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from .model import Written

_Stamp = tuple[int, int, int] | None


class Watch:
    """Looks at every file that a model, and the models, tables and lists within it, name, but for `Written` ones."""

    def __init__(self, settings: BaseModel) -> None:
        self._files = sorted(set(_files(settings)))
        self._seen = self._stamps()

    def changed(self) -> bool:
        """Return whether any file differs from what it was when this was last asked."""
        before, self._seen = self._seen, self._stamps()
        return before != self._seen

    def _stamps(self) -> list[_Stamp]:
        return [_stamp(path) for path in self._files]


def _files(value: object) -> Iterator[Path]:
    match value:
        case BaseModel():
            for name, field in type(value).model_fields.items():
                if Written not in field.metadata:
                    yield from _files(getattr(value, name))
        case Mapping():
            for each in value.values():
                yield from _files(each)
        case tuple() | list():
            for each in value:
                yield from _files(each)
        case Path():
            yield value


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
