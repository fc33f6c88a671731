"""Frames that the spool may forget and the FHIR server has not acknowledged yet: one SQLite file, nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from vitalwire import database
from vitalwire.messages import Trust
from vitalwire.spool import Entry

_NAMES = [each.name for each in fields(Entry)]
_COLUMNS = ", ".join(_NAMES)
_SCHEMA = """
    CREATE TABLE frames (
        position INTEGER NOT NULL, device TEXT NOT NULL, thumbprint BLOB NOT NULL, kind INTEGER NOT NULL,
        boot INTEGER NOT NULL, seq INTEGER NOT NULL, digest BLOB PRIMARY KEY, raw BLOB NOT NULL,
        arrived_us INTEGER NOT NULL, time_us INTEGER, accuracy_us INTEGER, trust TEXT NOT NULL
    );
    CREATE INDEX of_device ON frames (thumbprint, position);
"""
_VERSION = 1


class Store(database.Keeper):
    """The frames in the file at `path`, by their digest."""

    def __init__(self, path: Path) -> None:
        self._database = database.connect(path, _SCHEMA, b"VWfs", _VERSION)

    def add(self, entries: Sequence[Entry]) -> list[Entry]:
        """Keep entries, durably, and return those that are new."""
        places = ", ".join("?" * len(_NAMES))
        new = []
        with database.transaction(self._database):
            for entry in entries:
                row = [int(entry.kind) if name == "kind" else value for name, value in _values(entry)]
                statement = f"INSERT OR IGNORE INTO frames ({_COLUMNS}) VALUES ({places})"
                if self._database.execute(statement, row).rowcount:
                    new.append(entry)
        return new

    def __len__(self) -> int:
        """Return how many frames are kept."""
        return int(self._database.execute("SELECT count(*) FROM frames").fetchone()[0])

    def devices(self) -> list[bytes]:
        """Return the thumbprints of all devices of which there are frames."""
        return [row[0] for row in self._database.execute("SELECT DISTINCT thumbprint FROM frames")]

    def of(self, device: bytes) -> Iterator[Entry]:
        """Yield the frames of a device in the spool's order."""
        query = f"SELECT {_COLUMNS} FROM frames WHERE thumbprint = ? ORDER BY position"
        for row in self._database.execute(query, (device,)):
            values = dict(zip(_NAMES, row, strict=True))
            yield Entry(**values | {"trust": Trust(values["trust"])})

    def forget(self, device: bytes, before: int) -> None:
        """Remove what stands in front of a position."""
        self._database.execute("DELETE FROM frames WHERE thumbprint = ? AND position < ?", (device, before))


def _values(entry: Entry) -> list[tuple[str, object]]:
    return list(zip(_NAMES, astuple(entry), strict=True))
