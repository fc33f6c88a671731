"""Frames that are kept but not believed, in a file of their own beside the spool; each by its digest once.

Bounded: when it is full it takes no more, and nothing in it gives way. Strangers' frames, which anybody can make, have
a part of it only. What is believed and what is not is decided elsewhere.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from vitalwire import database
from vitalwire.errors import SpoolError, UsageError
from vitalwire.session import Reason

from .bound import RESERVE

_COLUMNS = "why, device, thumbprint, boot, seq, digest, raw, arrived_us, due_us"
_SCHEMA = """
    CREATE TABLE suspects (position INTEGER PRIMARY KEY AUTOINCREMENT, why TEXT NOT NULL, device TEXT NOT NULL,
        thumbprint BLOB NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL, digest BLOB NOT NULL UNIQUE,
        raw BLOB NOT NULL, arrived_us INTEGER NOT NULL, due_us INTEGER, again INTEGER NOT NULL DEFAULT 0);
    CREATE INDEX suspects_why ON suspects (why, length(raw));
    CREATE INDEX suspects_due ON suspects (due_us) WHERE due_us IS NOT NULL;
    CREATE INDEX suspects_again ON suspects (position) WHERE again;
"""
_VERSION = 1
_INSERT = f"INSERT INTO suspects ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_CHOSEN = (
    "(?1 IS NULL OR position = ?1) AND (?2 IS NULL OR device = ?2 OR lower(hex(thumbprint)) = ?2) "
    "AND (?3 IS NULL OR why = ?3)"
)
_ROW = 400  # bytes that one needs beside its frame, indexes and the ends of pages counted
_STRANGERS = 4  # strangers' frames have one part in so many


class Suspect(NamedTuple):
    """One such frame: `why` it is not believed, `device` its name in the registry, or empty for a stranger's.

    `due_us` is the UTC from which on a frame from the future is none any more; `again`: it is to be judged anew.
    """

    position: int
    why: str
    device: str
    thumbprint: bytes
    boot: int
    seq: int
    digest: bytes
    raw: bytes
    arrived_us: int
    due_us: int | None
    again: bool = False


class Choice(NamedTuple):
    """Which ones: those that fit everything that is given; a device by its name or thumbprint."""

    position: int | None = None
    device: str | None = None
    why: str | None = None


EVERY = Choice()


class Quarantine:
    """The quarantine of the spool at `spool`, of at most `size` bytes; UsageError if it `must_exist` and does not.

    `keep` has a thread of its own, everything else is synchronous; all of it may be called from any thread.
    """

    def __init__(self, spool: Path, size: int = 0, *, must_exist: bool = False) -> None:
        self._path = spool.with_name(spool.name + ".quarantine")
        if must_exist and not self._path.exists():
            advice = "it is there once a gateway has run with this configuration"
            raise UsageError(f"no quarantine {self._path}", advice=advice)
        self._size = size
        self._database = database.connect(self._path, _SCHEMA, b"VWqu", _VERSION, shrinks=True)
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "quarantine")

    def close(self) -> None:
        """Do what was asked for, and close the file."""
        self._thread.shutdown()
        self._database.close()

    # ------------------------------------------------------------ in

    def keep(self, suspects: Sequence[Suspect]) -> Future[set[bytes]]:
        """Keep frames, as many as there is room for; the future has the digests of those that are durable here.

        It raises SpoolError if the disk takes none.
        """
        return self._thread.submit(self._keep, suspects)

    def _keep(self, suspects: Sequence[Suspect]) -> set[bytes]:
        kept: set[bytes] = set()
        try:
            with self._lock, database.transaction(self._database):
                strange = self._strange()
                for suspect in suspects:
                    need = len(suspect.raw) + _ROW
                    if not self._has(suspect.digest):
                        is_strange = suspect.why == Reason.FOREIGN
                        too_strange = is_strange and strange + need > self._size // _STRANGERS
                        if too_strange or self._used() + need > self._size or self._disk_left() < RESERVE:
                            continue
                        self._database.execute(_INSERT, suspect[1:-1])
                        strange += need * is_strange
                    kept.add(suspect.digest)
        except (sqlite3.Error, OSError) as error:
            raise SpoolError(f"cannot write to {self._path}: {error}", reason="disk") from None
        return kept

    def _has(self, digest: bytes) -> bool:
        return self._database.execute("SELECT 1 FROM suspects WHERE digest = ?", (digest,)).fetchone() is not None

    def _strange(self) -> int:
        query = "SELECT count(*), total(length(raw)) FROM suspects WHERE why = ?"
        count, size = self._database.execute(query, (Reason.FOREIGN.value,)).fetchone()
        return int(size) + int(count) * _ROW

    def _used(self) -> int:
        return (self._pragma("page_count") - self._pragma("freelist_count")) * self._pragma("page_size")

    def _pragma(self, name: str) -> int:
        return int(self._database.execute(f"PRAGMA {name}").fetchone()[0])

    def _disk_left(self) -> int:
        found = os.statvfs(self._path.parent)
        return found.f_bavail * found.f_frsize

    # ------------------------------------------------------------ looking in

    def counts(self) -> dict[str, int]:
        """Return how many there are, by reason."""
        with self._lock:
            return dict(self._database.execute("SELECT why, count(*) FROM suspects GROUP BY why").fetchall())

    def find(self, choice: Choice = EVERY) -> Iterator[Suspect]:
        """Yield the chosen ones in the order they came."""
        query = f"SELECT position, {_COLUMNS}, again FROM suspects WHERE {_CHOSEN} ORDER BY position"
        yield from map(_suspect, self._database.execute(query, choice))

    def to_judge(self, now_us: int, limit: int) -> list[Suspect]:
        """Return those that are to be judged anew: released ones, and those whose time has come."""
        query = f"SELECT position, {_COLUMNS}, again FROM suspects WHERE again OR due_us <= ? ORDER BY position LIMIT ?"
        with self._lock:
            return [_suspect(row) for row in self._database.execute(query, (now_us, limit)).fetchall()]

    # ------------------------------------------------------------ out

    def release(self, choice: Choice) -> None:
        """Have the chosen ones judged anew."""
        self._change(f"UPDATE suspects SET again = 1 WHERE {_CHOSEN}", choice)

    def discard(self, choice: Choice) -> None:
        """Remove the chosen ones, and give their room back."""
        self._change(f"DELETE FROM suspects WHERE {_CHOSEN}", choice)
        with self._lock:
            self._database.execute("PRAGMA incremental_vacuum").fetchall()

    def remains(self, position: int, why: str) -> None:
        """Note why one that was judged anew is still not believed; for another reason, its time comes no more."""
        due = "CASE WHEN why = ?2 THEN due_us END"
        self._change(f"UPDATE suspects SET again = 0, due_us = {due}, why = ?2 WHERE position = ?1", (position, why))

    def _change(self, statement: str, values: Sequence[Any]) -> None:
        try:
            with self._lock, database.transaction(self._database):
                self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise SpoolError(f"cannot write to {self._path}: {error}", reason="disk") from None


def _suspect(row: Sequence[Any]) -> Suspect:
    return Suspect(*row)._replace(again=bool(row[-1]))
