"""The spool's database: entries, how far each sink is, and dead letters. Synchronous, for one thread at a time.

Nothing is decided here: no policy, no threads, no time. A transaction of the caller's makes several calls one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from vitalwire import database
from vitalwire.errors import UsageError
from vitalwire.messages import Trust
from vitalwire_protocol.spec import Kind

from .entry import Entry

Opened = Callable[[Path | str], sqlite3.Connection]

_COLUMNS = "position, device, thumbprint, kind, boot, seq, digest, raw, arrived_us, time_us, accuracy_us, trust"
_TYPED = """device TEXT NOT NULL, thumbprint BLOB NOT NULL, kind INTEGER NOT NULL, boot INTEGER NOT NULL,
        seq INTEGER NOT NULL, digest BLOB NOT NULL {unique}, raw BLOB NOT NULL, arrived_us INTEGER NOT NULL,
        time_us INTEGER, accuracy_us INTEGER, trust TEXT NOT NULL"""
_SCHEMA = f"""
    CREATE TABLE entries (position INTEGER PRIMARY KEY AUTOINCREMENT, {_TYPED.format(unique="UNIQUE")});
    CREATE TABLE cursors (sink TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE dead (
        position INTEGER NOT NULL, {_TYPED.format(unique="")},
        sink TEXT NOT NULL, why TEXT NOT NULL, died_us INTEGER NOT NULL, again INTEGER NOT NULL DEFAULT 0
    );
    CREATE UNIQUE INDEX dead_of ON dead (sink, position);
    CREATE INDEX dead_again ON dead (sink, position) WHERE again;
"""
# Frames that only a MAC proves wait apart from the entries: no sink may have them before a seal covers them.
_UNSEALED = f"""CREATE TABLE IF NOT EXISTS unsealed (position INTEGER, {_TYPED.format(unique="PRIMARY KEY")})
    WITHOUT ROWID"""
_VERSION = 1
_INSERT = (
    f"INSERT INTO entries ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (digest) DO NOTHING RETURNING position"
)
_PUT_ASIDE = f"INSERT OR IGNORE INTO unsealed ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_BURY = (
    f"INSERT INTO dead ({_COLUMNS}, sink, why, died_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (sink, position) DO UPDATE SET why = excluded.why, died_us = excluded.died_us, again = 0"
)
_WAL_BYTES = 4 << 20  # the write-ahead log is cut back to


class DeadLetter(NamedTuple):
    """An entry that a sink will never take, why, and since when (UTC microseconds); `again`: it is to be tried."""

    entry: Entry
    sink: str
    why: str
    died_us: int
    again: bool


class Size(NamedTuple):
    """Bytes of the database: in use, and free within the file."""

    used: int
    free: int


class Store:
    """The database at `path`, made if it is not there unless `must_exist`."""

    def __init__(self, path: Path | str, *, opened: Opened = database.opened, must_exist: bool = False) -> None:
        if must_exist and not Path(path).exists():
            raise UsageError(f"no spool {path}", advice="it is there once a gateway has run with this configuration")
        self._database = database.connect(path, _SCHEMA, b"VWsp", _VERSION, opened=opened, shrinks=True)
        self._database.execute(_UNSEALED)
        self._database.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}").fetchall()
        (self._page,) = self._one("PRAGMA page_size")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Do everything inside durably or not at all."""
        return database.transaction(self._database)

    # ------------------------------------------------------------ entries

    def append(self, entries: Iterable[Entry]) -> list[Entry]:
        """Put entries at the end; return those that were not there by digest, each with its position.

        Authentic ones are put aside instead, until `seal`.
        """
        stored: list[Entry] = []
        for entry in entries:
            if entry.trust == Trust.AUTHENTIC:
                self._database.execute(_PUT_ASIDE, _values(entry))
                continue
            self._database.execute("DELETE FROM unsealed WHERE digest = ?", (entry.digest,))
            row = self._database.execute(_INSERT, _values(entry)).fetchone()
            if row is not None:
                stored.append(replace(entry, position=row[0]))
        return stored

    def seal(self, thumbprint: bytes, first: int, last: int) -> list[Entry]:
        """Put what was put aside of a device, from one number to another, at the end; return it, with positions."""
        rows = self._database.execute(
            f"DELETE FROM unsealed WHERE thumbprint = ? AND seq BETWEEN ? AND ? RETURNING {_COLUMNS}",
            (thumbprint, first, last),
        ).fetchall()
        sealed = [replace(_entry((0, *row[1:])), trust=Trust.SEALED) for row in rows]
        return self.append(sorted(sealed, key=lambda entry: entry.seq))

    def disprove(self, thumbprint: bytes, seq: int, digest: bytes) -> None:
        """Forget what was put aside under a number, if its digest begins with this: its device never made it."""
        self._database.execute(
            "DELETE FROM unsealed WHERE thumbprint = ? AND seq = ? AND substr(digest, 1, ?) = ?",
            (thumbprint, seq, len(digest), digest),
        )

    def unsealed(self) -> int:
        """Return how many frames were put aside."""
        return int(self._one("SELECT count(*) FROM unsealed")[0])

    def read(self, after: int, limit: int) -> list[Entry]:
        """Return the entries behind a position, at most `limit`, in order."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM entries WHERE position > ? ORDER BY position LIMIT ?", (after, limit)
        )
        return [_entry(row) for row in rows.fetchall()]

    def ends(self) -> tuple[int, int]:
        """Return the first and the last position there is; 0 where there is none."""
        first, last = self._one("SELECT min(position), max(position) FROM entries")
        return first or 0, last or 0

    def oldest_us(self, after: int) -> int | None:
        """Return when the first entry behind a position arrived."""
        row = self._database.execute(
            "SELECT arrived_us FROM entries WHERE position > ? ORDER BY position LIMIT 1", (after,)
        ).fetchone()
        return None if row is None else row[0]

    def remove(self, until: int, most: int) -> int:
        """Remove the first entries up to a position, at most so many; return the last position removed, or 0."""
        (last,) = self._one(
            "SELECT max(position) FROM "
            "(SELECT position FROM entries WHERE position <= ? ORDER BY position LIMIT ?)", until, most,
        )  # fmt: skip
        if last is None:
            return 0
        self._database.execute("DELETE FROM entries WHERE position <= ?", (last,))
        return int(last)

    # ------------------------------------------------------------ sinks

    def cursors(self) -> dict[str, int]:
        """Return the position of the last entry that each sink is done with."""
        return dict(self._database.execute("SELECT sink, position FROM cursors").fetchall())

    def advance(self, sink: str, position: int) -> None:
        """Note that a sink is done with everything up to a position; it never goes back."""
        self._database.execute(
            "INSERT INTO cursors VALUES (?, ?) "
            "ON CONFLICT (sink) DO UPDATE SET position = max(position, excluded.position)",
            (sink, position),
        )

    def forget(self, sink: str) -> None:
        """Give up what a sink did not get yet, its dead letters too."""
        self._database.execute("DELETE FROM cursors WHERE sink = ?", (sink,))
        self._database.execute("DELETE FROM dead WHERE sink = ?", (sink,))

    # ------------------------------------------------------------ dead letters

    def bury(self, sink: str, entry: Entry, why: str, now_us: int) -> None:
        """Keep an entry as a dead letter of a sink, or a dead letter with a new reason."""
        self._database.execute(_BURY, (entry.position, *_values(entry), sink, why, now_us))

    def dead(self, sink: str | None = None) -> Iterator[DeadLetter]:
        """Yield the dead letters of a sink, or of all."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS}, sink, why, died_us, again FROM dead WHERE ?1 IS NULL OR sink = ?1 "
            "ORDER BY sink, position",
            (sink,),
        )
        for row in rows:
            yield DeadLetter(_entry(row[:-4]), row[-4], row[-3], row[-2], bool(row[-1]))

    def redrive(self, sink: str | None, position: int | None = None) -> int:
        """Have dead letters tried again: one, those of a sink, or all; return how many."""
        rows = self._database.execute(
            "UPDATE dead SET again = 1 WHERE (?1 IS NULL OR sink = ?1) AND (?2 IS NULL OR position = ?2) "
            "AND NOT again RETURNING 1",
            (sink, position),
        )
        return len(rows.fetchall())

    def redriven(self, sink: str, limit: int) -> list[Entry]:
        """Return the dead letters of a sink that are to be tried again, in order."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM dead WHERE sink = ? AND again ORDER BY position LIMIT ?", (sink, limit)
        )
        return [_entry(row) for row in rows.fetchall()]

    def raise_dead(self, sink: str, position: int) -> None:
        """Remove a dead letter that was delivered after all."""
        self._database.execute("DELETE FROM dead WHERE sink = ? AND position = ? AND again", (sink, position))

    def count_dead(self) -> dict[str, int]:
        """Return how many dead letters each sink has."""
        return dict(self._database.execute("SELECT sink, count(*) FROM dead GROUP BY sink").fetchall())

    # ------------------------------------------------------------ room

    def size(self) -> Size:
        """Return how many bytes are in use."""
        (pages,), (free,) = self._one("PRAGMA page_count"), self._one("PRAGMA freelist_count")
        return Size((pages - free) * self._page, free * self._page)

    def shrink(self, keep: int, most: int) -> None:
        """Give free pages back to the file system, at most so many, but for so many bytes."""
        for _ in range(min(most, (self.size().free - keep) // self._page)):
            self._database.execute("PRAGMA incremental_vacuum(1)").fetchall()  # sqlite3 steps it only once anyway

    def _one(self, query: str, *values: object) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self._database.execute(query, values).fetchone()
        return row


def _values(entry: Entry) -> Sequence[object]:
    return (
        entry.device, entry.thumbprint, int(entry.kind), entry.boot, entry.seq, entry.digest, entry.raw,
        entry.arrived_us, entry.time_us, entry.accuracy_us, entry.trust.value,
    )  # fmt: skip


def _entry(row: Sequence[Any]) -> Entry:
    kind = Kind(row[3]) if row[3] in Kind._value2member_map_ else row[3]
    return Entry(
        position=row[0], device=row[1], thumbprint=row[2], kind=kind, boot=row[4], seq=row[5], digest=row[6],
        raw=row[7], arrived_us=row[8], time_us=row[9], accuracy_us=row[10], trust=Trust(row[11]),
    )  # fmt: skip
