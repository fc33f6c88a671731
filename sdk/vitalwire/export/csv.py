"""CSV: one file a stream, a row a sample; an empty cell where a time is not known or a sample is under no mark."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .files import Files
from .tables import Columns, TableWriter


class CsvSheet:
    """One CSV file (RFC 4180, but lines end as Python's `csv` ends them by default: CRLF)."""

    def __init__(self, path: Path, facts: Mapping[str, str]) -> None:
        del facts  # the manifest has them
        self._file = open(path, "w", newline="", encoding="utf-8")  # noqa: SIM115  # closed in `close`
        self._rows = csv.writer(self._file)
        self._begun = False

    def append(self, columns: Columns) -> None:
        """Write rows, before the first the names."""
        if not self._begun:
            self._rows.writerow(columns)
            self._begun = True
        cells = [_cells(column) if isinstance(column, np.ndarray) else column for column in columns.values()]
        self._rows.writerows(zip(*cells, strict=True))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _cells(column: np.ndarray[tuple[int], np.dtype[np.generic]]) -> list[object]:
    if column.dtype.kind == "f":  # what a scale of a few digits makes longer is the float's doing, not the sensor's
        return [f"{value:.12g}" for value in column.tolist()]
    return list(column.tolist())


def writer(files: Files) -> TableWriter:
    """Return the writer of this format."""
    return TableWriter(files, CsvSheet, ".csv")


def beside(files: Files) -> TableWriter:
    """Return what writes readings and events, as CSV, for formats that hold samples only."""
    return TableWriter(files, CsvSheet, ".csv", streams=False)
