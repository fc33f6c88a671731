"""Files of rows: rows gathered until it is worth rendering them, here or by workers, and written in their order."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

from vitalwire.crew import AHEAD, Crew, result

from .files import Files
from .rows import Columns, ListedRows, Rows, SampleRows, described, event_row, reading_row
from .stretches import Happened, Part, Reading, Samples

Rendered: TypeAlias = Any  # rows in the form that a sheet takes

BATCH = 1 << 13  # rows that are rendered at once, at least


class Sheet(Protocol):
    """One file of rows."""

    def append(self, rows: Rendered) -> None:
        """Add rows, of the same columns each time."""

    def close(self) -> None:
        """Complete the file."""


class Format(NamedTuple):
    """A way to write rows: `render` is the work, which any process can do, `sheet` opens a file for what it returns."""

    suffix: str
    sheet: Callable[[Path, Mapping[str, str]], Sheet]
    render: Callable[[Columns], Rendered]


@dataclass(slots=True)
class _Open:
    """A file, and the rows that wait for it."""

    name: str
    sheet: Sheet
    waiting: Any = None  # Rows of its kind


class TableWriter:
    """Writes `TITLE.suffix` for each stream (if `streams`), `readings` and `events`; a crew, if given, renders rows."""

    def __init__(self, files: Files, form: Format, crew: Crew | None = None, *, streams: bool = True) -> None:
        self._files = files
        self._form = form
        self._crew = crew
        self._streams = streams
        self._sheets: dict[Hashable, _Open] = {}
        self._titles: Counter[str] = Counter()
        self._rendering: deque[tuple[Sheet, Future[Rendered]]] = deque()

    def write(self, part: Part) -> None:
        """Write one part."""
        match part:
            case Samples(stretch, piece) if self._streams:
                opened = self._sheet(stretch.channels, stretch.title, described(stretch.channels))
                stretch.file = opened.name
                rows = opened.waiting or SampleRows(stretch.channels)
                rows.add(stretch, piece)
                self._wait(opened, rows)
            case Reading():
                self._listed("readings", reading_row(part))
            case Happened():
                self._listed("events", event_row(part))

    def close(self) -> None:
        """Complete all files."""
        for opened in self._sheets.values():
            if opened.waiting is not None:
                self._render(opened, opened.waiting)
        while self._rendering:
            self._append()
        for opened in self._sheets.values():
            opened.sheet.close()

    def _listed(self, title: str, row: Mapping[str, Any]) -> None:
        opened = self._sheet(title, title, {})
        rows = opened.waiting or ListedRows()
        rows.add(row)
        self._wait(opened, rows)

    def _wait(self, opened: _Open, rows: Rows) -> None:
        opened.waiting = rows if len(rows) < BATCH else None
        if opened.waiting is None:
            self._render(opened, rows)

    def _render(self, opened: _Open, rows: Rows) -> None:
        if self._crew is None:
            opened.sheet.append(render(self._form.render, rows))
            return
        self._rendering.append((opened.sheet, self._crew.submit(render, self._form.render, rows)))
        while len(self._rendering) > AHEAD * self._crew.workers:
            self._append()

    def _append(self) -> None:
        sheet, rendered = self._rendering.popleft()
        sheet.append(result(rendered))

    def _sheet(self, key: Hashable, title: str, facts: Mapping[str, str]) -> _Open:
        """Return a file, made when it is first wanted."""
        if key not in self._sheets:
            # Another descriptor may have given a stream other channels: then a file of its own.
            self._titles[title] += 1
            number = self._titles[title]
            title = title if number == 1 else f"{title}-{number}"
            path = self._files.name(title, self._form.suffix, beside=not self._streams)
            self._sheets[key] = _Open(path.name, self._form.sheet(path, facts))
        return self._sheets[key]


def render(form: Callable[[Columns], Rendered], rows: Rows) -> Rendered:
    """Return rows as a sheet takes them; this runs in workers."""
    return form(rows.columns())
