"""Parquet: one file a stream, a row a sample, columns as in CSV; the schema's metadata says what a channel means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vitalwire.crew import Crew

from .files import Files
from .rows import Column, Columns
from .tables import Format, TableWriter

ROWS = 1 << 16  # of one row group, at least: what waits in memory

_TYPES = {"seq": pa.int64(), "time_us": pa.timestamp("us", tz="UTC")}


class ParquetSheet:
    """One Parquet file."""

    def __init__(self, path: Path, facts: Mapping[str, str]) -> None:
        self._path = path
        self._facts = dict(facts)
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def append(self, rows: pa.Table) -> None:
        """Keep rows until there are enough of them for a row group."""
        self._waiting.append(rows)
        self._rows += rows.num_rows
        if self._rows >= ROWS:
            self._write()

    def close(self) -> None:
        """Write what waits, and the footer."""
        self._write()
        if self._writer is not None:
            self._writer.close()

    def _write(self) -> None:
        if self._waiting:
            table = pa.concat_tables(self._waiting)
            table = table.replace_schema_metadata(self._facts)
            if self._writer is None:
                self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
            self._writer.write_table(table)
            self._waiting, self._rows = [], 0


def table(columns: Columns) -> pa.Table:
    """Return rows as a table."""
    return pa.table({name: _array(name, column) for name, column in columns.items()})


def _array(name: str, column: Column) -> pa.Array:
    if name.endswith("_mark"):
        return pa.array(column, pa.string()).dictionary_encode()
    if isinstance(column, np.ndarray):
        return pa.array(column)
    return pa.array(column, _TYPES.get(name, pa.string()))


def writer(files: Files, crew: Crew | None) -> TableWriter:
    """Return the writer of this format."""
    return TableWriter(files, Format(".parquet", ParquetSheet, table), crew)
