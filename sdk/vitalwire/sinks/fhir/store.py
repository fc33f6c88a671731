"""Frames that the spool may forget and the FHIR server has not acknowledged yet: one SQLite file, nothing else.

Each has a number that is never used again, in the order in which they came to the sink.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from vitalwire import database
from vitalwire.errors import SinkError
from vitalwire.messages import Trust
from vitalwire.spool import Entry

_NAMES = [each.name for each in fields(Entry)]
_COLUMNS = ", ".join(_NAMES)
_SCHEMA = """
    CREATE TABLE frames (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        position INTEGER NOT NULL, device TEXT NOT NULL, thumbprint BLOB NOT NULL, kind INTEGER NOT NULL,
        boot INTEGER NOT NULL, seq INTEGER NOT NULL, digest BLOB NOT NULL UNIQUE, raw BLOB NOT NULL,
        arrived_us INTEGER NOT NULL, time_us INTEGER, accuracy_us INTEGER, trust TEXT NOT NULL
    );
"""
_VERSION = 2


class Store(database.Keeper):
    """The frames in the file at `path`, by their digest."""

    def __init__(self, path: Path) -> None:
        self._database = database.connect(path, _SCHEMA, b"VWfs", _VERSION)

    def add(self, entries: Sequence[Entry], most: int) -> list[Entry]:
        """Keep entries, durably, and return those that are there already.

        Raises SinkError if there would be more than `most` then; nothing is kept of them.
        """
        places = ", ".join("?" * len(_NAMES))
        again = []
        with database.transaction(self._database):
            for entry in entries:
                row = [int(entry.kind) if name == "kind" else value for name, value in _values(entry)]
                statement = f"INSERT OR IGNORE INTO frames ({_COLUMNS}) VALUES ({places})"
                if not self._database.execute(statement, row).rowcount:
                    again.append(entry)
            if len(self) > most:
                raise SinkError("too many frames wait for an assignment or the server", reason="full")
        return again

    def __len__(self) -> int:
        """Return how many frames are kept."""
        return int(self._database.execute("SELECT count(*) FROM frames").fetchone()[0])

    def after(self, number: int, limit: int) -> list[tuple[int, Entry]]:
        """Return so many frames behind a number, each with its own, in order."""
        query = f"SELECT number, {_COLUMNS} FROM frames WHERE number > ? ORDER BY number LIMIT ?"
        rows = self._database.execute(query, (number, limit)).fetchall()
        return [(row[0], _entry(row[1:])) for row in rows]

    def some(self, digests: Iterable[bytes]) -> Iterator[Entry]:
        """Yield those frames of these digests that are there."""
        for digest in digests:
            row = self._database.execute(f"SELECT {_COLUMNS} FROM frames WHERE digest = ?", (digest,)).fetchone()
            if row is not None:
                yield _entry(row)

    def remove(self, digests: Iterable[bytes]) -> None:
        """Remove frames."""
        with database.transaction(self._database):
            self._database.executemany("DELETE FROM frames WHERE digest = ?", [(each,) for each in digests])


def _values(entry: Entry) -> list[tuple[str, object]]:
    return list(zip(_NAMES, astuple(entry), strict=True))


def _entry(row: Sequence[object]) -> Entry:
    values = dict(zip(_NAMES, row, strict=True))
    return Entry(**values | {"trust": Trust(values["trust"])})  # type: ignore[arg-type]
