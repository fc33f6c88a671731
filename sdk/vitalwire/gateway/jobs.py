"""Jobs: what operators want brought to devices, updates and configurations, in a file of their own beside the spool.

A device has one open job of a kind: a newer one takes the place of the one before. Jobs that ended are kept for a
while, to be looked at; what they had to bring is not. Who brings it is the courier's business.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from vitalwire import database
from vitalwire.errors import UsageError

_SCHEMA = """
    CREATE TABLE contents (digest BLOB PRIMARY KEY, data BLOB NOT NULL, key BLOB NOT NULL);
    CREATE TABLE jobs (number INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, kind TEXT NOT NULL,
        title TEXT NOT NULL, digest BLOB NOT NULL, at_once INTEGER NOT NULL, stage TEXT NOT NULL, why TEXT NOT NULL,
        done INTEGER NOT NULL, total INTEGER NOT NULL, changed_us INTEGER NOT NULL, open INTEGER NOT NULL);
    CREATE INDEX jobs_open ON jobs (number) WHERE open;
"""
_VERSION = 1
_MOST_ENDED = 10_000


class JobKind(StrEnum):
    """What is brought."""

    UPDATE = "update"
    CONFIGURATION = "configuration"


class JobStage(StrEnum):
    """How far a job is: not begun, on its way, told to start; then how it ended."""

    WAITING = "waiting"
    SENDING = "sending"
    STARTED = "started"
    DONE = "done"
    REFUSED = "refused"  # by the device; `why` is its word
    RETURNED = "returned"  # the update did not prove itself, and the firmware before it runs again
    CANCELLED = "cancelled"


class Content(NamedTuple):
    """What is brought, and the public key (DER) that must have signed an update."""

    data: bytes
    key: bytes = b""


class Job(NamedTuple):
    """One job: for the device of this name, `title` for people, `done` of `total` bytes; when it last changed (UTC)."""

    number: int
    device: str
    kind: JobKind
    title: str
    digest: bytes
    at_once: bool
    stage: JobStage
    why: str
    done: int
    total: int
    changed_us: int
    is_open: bool


class Jobs(database.Keeper):
    """The jobs of the gateway whose spool is at `spool`; may be used from any thread, and by several processes."""

    def __init__(self, spool: Path) -> None:
        self._database = database.connect(spool.with_name(spool.name + ".jobs"), _SCHEMA, b"VWjb", _VERSION)
        self._lock = threading.Lock()

    def add(
        self, devices: Iterable[str], kind: JobKind, title: str, content: Content, *, at_once: bool = True
    ) -> list[int]:
        """Have this brought to devices, by their names; return the jobs' numbers."""
        digest = hashlib.sha256(content.data + content.key).digest()
        numbers = []
        with self._lock, database.transaction(self._database):
            self._database.execute("INSERT OR IGNORE INTO contents VALUES (?, ?, ?)", (digest, *content))
            for device in devices:
                self._database.execute(
                    "UPDATE jobs SET stage = ?, why = 'replaced', changed_us = ?, open = 0 "
                    "WHERE device = ? AND kind = ? AND open",
                    (JobStage.CANCELLED, _now(), device, kind),
                )
                row = (device, kind, title, digest, at_once, JobStage.WAITING, len(content.data), _now())
                done = self._database.execute("INSERT INTO jobs VALUES (NULL, ?, ?, ?, ?, ?, ?, '', 0, ?, ?, 1)", row)
                numbers.append(int(done.lastrowid or 0))
            self._tidy()
        return numbers

    def find(self, *, ended: bool = True) -> list[Job]:
        """Return the jobs, oldest first; without those that `ended`, if so wanted."""
        query = "SELECT * FROM jobs WHERE ? OR open ORDER BY number"
        with self._lock:
            return [_job(row) for row in self._database.execute(query, (ended,)).fetchall()]

    def content(self, job: Job) -> Content:
        """Return what a job has to bring; UsageError if it has ended."""
        query = "SELECT data, key FROM contents WHERE digest = ?"
        with self._lock:
            row = self._database.execute(query, (job.digest,)).fetchone()
        if row is None:
            raise UsageError(f"job {job.number} has ended")
        return Content(*row)

    def advance(self, job: Job, stage: JobStage, done: int) -> None:
        """Note how far an open job is."""
        with self._lock, database.transaction(self._database):
            self._database.execute(
                "UPDATE jobs SET stage = ?, done = ?, changed_us = ? WHERE number = ? AND open",
                (stage, done, _now(), job.number),
            )

    def cancel(self, number: int) -> bool:
        """Give up a job; return whether it was open."""
        return self.end(number, JobStage.CANCELLED)

    def end(self, number: int, stage: JobStage, why: str = "") -> bool:
        """Note how a job ended; return whether it was open."""
        with self._lock, database.transaction(self._database):
            changed = self._database.execute(
                "UPDATE jobs SET stage = ?, why = ?, changed_us = ?, open = 0 WHERE number = ? AND open",
                (stage, why, _now(), number),
            )
            self._tidy()
        return changed.rowcount > 0

    def _tidy(self) -> None:
        """Forget what is not needed any more."""
        oldest = "DELETE FROM jobs WHERE NOT open AND number <= (SELECT max(number) FROM jobs) - ?"
        self._database.execute(oldest, (_MOST_ENDED,))
        self._database.execute("DELETE FROM contents WHERE digest NOT IN (SELECT digest FROM jobs WHERE open)")


def _job(row: tuple[Any, ...]) -> Job:
    job = Job(*row)
    return job._replace(
        kind=JobKind(job.kind), stage=JobStage(job.stage), at_once=bool(job.at_once), is_open=bool(job.is_open)
    )


def _now() -> int:
    return time.time_ns() // 1000
