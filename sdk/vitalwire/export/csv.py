"""CSV: one file a stream, a row a sample; an empty cell where a time is not known or a sample is under no mark."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path

import numpy as np

from vitalwire.crew import Crew

from .files import Files
from .rows import Columns
from .tables import Format, TableWriter


class CsvSheet:
    """One CSV file (RFC 4180, but lines end as Python's `csv` ends them by default: CRLF)."""

    def __init__(self, path: Path, facts: Mapping[str, str]) -> None:
        del facts  # the manifest has them
        self._file = open(path, "w", newline="", encoding="utf-8")  # noqa: SIM115  # closed in `close`
        self._begun = False

    def append(self, rows: tuple[str, str]) -> None:
        """Write rows, before the first the names."""
        names, lines = rows
        if not self._begun:
            self._file.write(names)
            self._begun = True
        self._file.write(lines)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def lines(columns: Columns) -> tuple[str, str]:
    """Return the line of names, and those of rows."""
    cells = [_cells(column) if isinstance(column, np.ndarray) else column for column in columns.values()]
    return _written([list(columns)]), _written(zip(*cells, strict=True))


def _written(rows: Iterable[Iterable[object]]) -> str:
    out = StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue()


def _cells(column: np.ndarray[tuple[int], np.dtype[np.generic]]) -> list[object]:
    if column.dtype.kind == "f":  # what a scale of a few digits makes longer is the float's doing, not the sensor's
        return [f"{value:.12g}" for value in column.tolist()]
    return list(column.tolist())


FORMAT = Format(".csv", CsvSheet, lines)


def writer(files: Files, crew: Crew | None) -> TableWriter:
    """Return the writer of this format."""
    return TableWriter(files, FORMAT, crew)


def beside(files: Files) -> TableWriter:
    """Return what writes readings and events, as CSV, for formats that hold samples only."""
    return TableWriter(files, FORMAT, streams=False)
