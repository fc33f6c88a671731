"""How the SDK keeps small durable state: one SQLite file, readable by its owner only, every commit on the disk.

SQLite brings what is easy to get wrong: atomic commits that survive a power cut, and several processes at once.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from vitalwire.errors import TransportError, UsageError

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

_BUSY_SECONDS = 10.0
_IN_MEMORY = ":memory:"  # SQLite's own name for it


def opened(path: Path | str) -> sqlite3.Connection:
    """Return a connection without transactions of its own, for any thread, one at a time."""
    return sqlite3.connect(path, _BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def connect(
    path: Path | str | None,
    schema: str,
    kind: bytes,
    version: int,
    *,
    opened: Callable[[Path | str], sqlite3.Connection] = opened,
    shrinks: bool = False,
) -> sqlite3.Connection:
    """Open or create the database at `path` (None or `:memory:`: in memory); `kind`, four bytes, names its schema.

    One that `shrinks` gives free pages back when it is asked to (PRAGMA incremental_vacuum).

    Raises `UsageError` for a file of another kind or version, `TransportError` where none can be opened.
    """
    if path is not None and str(path) != _IN_MEMORY:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its side files the same mode
        except OSError as error:
            raise TransportError(f"cannot open {path}: {error.strerror}") from error
    try:
        database = opened(_IN_MEMORY if path is None else path)
        if shrinks:
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        with transaction(database):
            (found,) = database.execute("PRAGMA user_version").fetchone()
            (found_kind,) = database.execute("PRAGMA application_id").fetchone()
            if found == 0:
                for statement in filter(str.strip, schema.split(";")):
                    database.execute(statement)
                database.execute(f"PRAGMA application_id = {int.from_bytes(kind, 'big')}")
                database.execute(f"PRAGMA user_version = {version}")
            elif found_kind != int.from_bytes(kind, "big"):
                raise UsageError(f"{path} holds something else")
            elif found != version:
                raise UsageError(f"{path} is of version {found}, this program knows {version}")
    except sqlite3.DatabaseError as error:
        raise UsageError(f"{path} cannot be used as a database: {error}") from error
    return database


def locked(path: Path) -> IO[bytes]:
    """Return a file beside a database that only one process at a time can have; closing it, or dying, gives it up.

    Raises `UsageError` where another one has it. On Windows nobody is kept out.
    """
    beside = path.with_name(path.name + ".lock")
    try:
        beside.parent.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(os.open(beside, os.O_CREAT | os.O_RDWR, 0o600), "r+b")
    except OSError as error:
        raise TransportError(f"cannot open {beside}: {error.strerror}") from error
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise UsageError(f"another process uses {path}", advice="one gateway for each spool") from None
    return file


class Keeper:
    """What keeps something in a database of its own, until it is closed or the block ends that opened it."""

    _database: sqlite3.Connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Do everything inside durably or not at all."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
