"""How commands speak: results on stdout, progress and remarks on stderr, JSON when asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

WIDTH = 120  # of tables that go into a file or a pipe


class Step(Protocol):
    """Tells a progress bar how far the work is."""

    def __call__(self, done: float, total: float | None = None) -> None:
        """Set what is done, and the total if it is known now."""


def console(*, stderr: bool = False) -> Console:
    """Return a console for a stream as it is now."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else WIDTH, highlight=False, soft_wrap=False)


def say(text: str) -> None:
    """Print a remark on stderr."""
    print(text, file=sys.stderr, flush=True)


def show(*tables: Table) -> None:
    """Print tables."""
    for table in tables:
        console().print(table)


def show_json(value: object) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2), flush=True)


def plain(title: str = "", *columns: str) -> Table:
    """Return a table of facts: names and values, or the columns given."""
    table = Table(title=title or None, show_header=bool(columns), title_justify="left")
    for name in columns or ("", ""):
        table.add_column(name, overflow="fold", style=None if columns or table.columns else "bold")
    return table


def facts(title: str, values: Mapping[str, object]) -> Table:
    """Return a table of names and values under a title."""
    table = plain(title)
    for name, value in values.items():
        table.add_row(name, str(value))
    return table


@contextmanager
def progress(what: str, total: float | None = None, *, quiet: bool = False) -> Iterator[Step]:
    """Show a bar on stderr, where that is a terminal and nobody asked for silence."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total=None: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, total=None: bar.update(task, completed=done, **({"total": total} if total else {}))
