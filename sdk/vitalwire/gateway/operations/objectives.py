"""Whether a gateway keeps its promises: hourly counts on the disk, and what is left of each error budget.

A frame counts when a sink's peer acknowledged it: late if its newest sample was older than promised, or of unknown age.
Lost is what nobody will ever get: numbers a device never delivered, entries the spool gave up, dead letters.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vitalwire import database
from vitalwire.session import Dropped, Gap, GapClosed, Reason, Refused

from ..events import Buried, Concluded, Delivered, GatewayEvent, RoomLost, Spooled
from .settings import ObjectiveSettings

_SCHEMA = "CREATE TABLE hours (hour INTEGER, what TEXT, count INTEGER NOT NULL, PRIMARY KEY (hour, what)) WITHOUT ROWID"
# By their number, not by the clock: one that jumps ahead must not cost what was counted.
_FORGET = """DELETE FROM hours WHERE hour < (
    SELECT min(hour) FROM (SELECT DISTINCT hour FROM hours ORDER BY hour DESC LIMIT ?))"""
_HOUR = 3600
_FLUSH = 10.0  # seconds between writes


@dataclass(frozen=True, slots=True)
class Report:
    """One promise: `bad` of `total` over the window; `spent` is the share of the error budget that is used up."""

    promise: str
    target: float
    total: int
    bad: int

    @property
    def kept(self) -> float:
        """The share that was good; 1 where there was nothing."""
        return 1.0 - self.bad / self.total if self.total else 1.0

    @property
    def spent(self) -> float:
        """The bad ones as a share of those the promise allows; above 1 it is broken."""
        return self.bad / ((1.0 - self.target) * self.total) if self.total else 0.0


class Objectives:
    """Counts events by the hour and keeps the counts in `file`."""

    def __init__(self, settings: ObjectiveSettings, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._database = database.connect(file, _SCHEMA, b"VWsl", 1)
        self._counts: Counter[tuple[int, str]] = Counter()
        self._lock = threading.Lock()
        self._written = time.monotonic()

    def __call__(self, event: GatewayEvent) -> None:
        """Count an event."""
        hour = int(self._clock()) // _HOUR
        match event:
            case Spooled(entries):
                self._add(hour, "frames", len(entries))
            case Delivered(_, entries, _, delivered_us):
                limit = self._settings.latency_s * 1e6
                late = sum(1 for e in entries if e.time_us is None or delivered_us - e.time_us > limit)
                self._add(hour, "delivered", len(entries))
                self._add(hour, "late", late)
            case Concluded(outcome=Refused(reason)) if reason != Reason.BUSY:  # those come again
                self._add(hour, "refused", 1)
            case Concluded(outcome=Gap(_, first, last) | Dropped(_, first, last)):
                self._add(hour, "lost", last - first + 1)
            case Concluded(outcome=GapClosed(_, first, last)):
                self._add(hour, "lost", first - last - 1)
            case RoomLost(lost):
                self._add(hour, "lost", lost.last - lost.first + 1)
            case Buried():
                self._add(hour, "lost", 1)
            case _:
                pass
        if time.monotonic() - self._written > _FLUSH:
            self._written = time.monotonic()
            threading.Thread(target=self.flush, name="objectives", daemon=True).start()

    def _add(self, hour: int, what: str, count: int) -> None:
        if count:
            with self._lock:
                self._counts[hour, what] += count

    def flush(self) -> None:
        """Bring the counts to the disk and forget hours that nobody will ask for."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            with database.transaction(self._database):
                self._database.executemany(
                    "INSERT INTO hours VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
                    [(hour, what, count) for (hour, what), count in counts.items()],
                )
                self._database.execute(_FORGET, (24 * self._settings.days + 1,))

    def report(self) -> list[Report]:
        """Return how each promise stands now."""
        self.flush()
        with self._lock:
            return _report(self._database, self._settings, self._clock())

    def close(self) -> None:
        """Bring what is left to the disk."""
        self.flush()
        self._database.close()


def report(settings: ObjectiveSettings, file: Path) -> list[Report]:
    """Return how each promise stands by the counts in a gateway's file."""
    kept = database.connect(file, _SCHEMA, b"VWsl", 1)
    try:
        return _report(kept, settings, time.time())
    finally:
        kept.close()


def _report(kept: sqlite3.Connection, settings: ObjectiveSettings, now: float) -> list[Report]:
    since = int(now) // _HOUR - 24 * settings.days
    rows = kept.execute("SELECT what, SUM(count) FROM hours WHERE hour >= ? GROUP BY what", (since,))
    counts: dict[str, int] = dict(rows.fetchall())
    frames, lost, refused = (max(0, counts.get(what, 0)) for what in ("frames", "lost", "refused"))
    return [
        Report(
            f"delivered within {settings.latency_s:g} s",
            settings.in_time,
            counts.get("delivered", 0),
            counts.get("late", 0),
        ),
        Report("not lost", settings.not_lost, frames + lost, lost),
        Report("verified", settings.verified, frames + refused, refused),
    ]
