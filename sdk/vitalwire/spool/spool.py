"""The spool: entries wait here on the disk until every sink has them. One thread writes, whoever asks together shares
one commit, and a future is done when its commit is on the disk. When there is no more room, its policy decides.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from vitalwire import database
from vitalwire.errors import SpoolError, UsageError

from .bound import Bound, Full, Lost, State
from .entry import Entry
from .store import Opened, Store

TOGETHER = 1024  # entries in one commit, at most
REMOVED = 4096  # entries removed in one commit, at most: so that no commit takes long
DROPPED = 64  # oldest entries given up at a time
GIVEN_BACK = 512  # pages in one commit, at most
SLACK = 1 << 20  # free bytes kept within the file
_ROW = 160  # bytes that an entry needs beside its frame

T = TypeVar("T")


class _Job(NamedTuple):
    entries: Sequence[Entry]
    change: Callable[[Store], Any] | None
    done: Future[Any]
    in_order: bool = False  # with what is appended, else before it


class Spool:
    """The spool at `path`, for sinks of these names; `on_lost` is called by the writing thread.

    `alarm` says whether it is nearly full. Raises UsageError where entries wait for a sink that is not among `sinks`:
    nobody gives these up by misspelling it; and where another process has this spool.
    """

    def __init__(
        self,
        path: Path,
        sinks: Collection[str],
        bound: Bound | None = None,
        *,
        on_lost: Callable[[Lost], None] = lambda lost: None,
        opened: Opened = database.opened,
    ) -> None:
        self._path = path
        self._bound = bound or Bound()
        self._on_lost = on_lost
        with ExitStack() as opening:
            self._lock = opening.enter_context(database.locked(path))
            self._store = Store(path, opened=opened)
            opening.callback(self._store.close)
            with self._store.transaction():
                self._check(sinks)
                for sink in sinks:
                    self._store.advance(sink, 0)
            self._cursors = self._store.cursors()
            self._reader = Store(path, opened=opened)
            opening.pop_all()
        self._reading = threading.Lock()
        self._removed = self._store.ends()[0] - 1  # everything up to here is gone
        self.alarm = self._is_alarming(self._store.size().used)
        self._jobs: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def _check(self, sinks: Collection[str]) -> None:
        _, last = self._store.ends()
        dead = self._store.count_dead()
        for sink, position in self._store.cursors().items():
            if sink not in sinks:
                if position < last or dead.get(sink):
                    count = last - position + dead.get(sink, 0)
                    raise UsageError(
                        f"{count} entries wait for the sink {sink}, which is not configured",
                        advice=f"configure it, or give them up: `vitalwire gateway forget {sink}`",
                    )
                self._store.forget(sink)

    # ------------------------------------------------------------ writing

    def append(self, entries: Sequence[Entry]) -> Future[list[Entry]]:
        """Put entries at the end; the future has those that were new, with positions, once they are durable.

        It raises SpoolError if there is no room: none of them is stored then. Authentic ones are durable too, but no
        sink gets them before `seal`.
        """
        return self._ask(_Job(entries, None, Future()))

    def seal(self, thumbprint: bytes, first: int, last: int) -> Future[list[Entry]]:
        """Let sinks have the authentic entries of a device with these numbers; the future has them, with positions."""
        return self._ask(_Job((), lambda store: store.seal(thumbprint, first, last), Future(), in_order=True))

    def disprove(self, thumbprint: bytes, seq: int, digest: bytes) -> Future[None]:
        """Forget an authentic entry that its device never made; `digest` is the beginning of its digest."""
        return self._ask(_Job((), lambda store: store.disprove(thumbprint, seq, digest), Future(), in_order=True))

    def advance(self, sink: str, position: int) -> Future[None]:
        """Note that a sink is done with everything up to a position."""
        return self.change(lambda store: self._advance(store, sink, position))

    def bury(self, sink: str, entry: Entry, why: str, now_us: int) -> Future[None]:
        """Keep an entry as a dead letter of a sink, whether it is still in the spool or not."""
        return self.change(lambda store: store.bury(sink, entry, why, now_us))

    def raise_dead(self, sink: str, position: int) -> Future[None]:
        """Remove a dead letter that was delivered after all."""
        return self.change(lambda store: store.raise_dead(sink, position))

    def change(self, change: Callable[[Store], T]) -> Future[T]:
        """Have a change made in the next commit, in order of asking."""
        return self._ask(_Job((), change, Future()))

    def _ask(self, job: _Job) -> Future[Any]:
        with self._wake:
            if self._closing:
                raise SpoolError("the spool is closed", reason="closed")
            job.done.set_running_or_notify_cancel()  # from here on, it is done whether anybody still waits or not
            self._jobs.append(job)
            self._wake.notify()
        return job.done

    def close(self) -> None:
        """Do what was asked for, and close the files; again does nothing."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        with self._reading:
            self._reader.close()
        self._lock.close()

    # ------------------------------------------------------------ reading

    def cursor(self, sink: str) -> int:
        """Return the position that a sink is done with everything up to."""
        return self._cursors[sink]

    def read(self, after: int, limit: int) -> list[Entry]:
        """Return the durable entries behind a position, at most `limit`, in order."""
        with self._reading:
            return self._reader.read(after, limit)

    def redriven(self, sink: str, limit: int) -> list[Entry]:
        """Return the dead letters of a sink that are to be tried again, in order."""
        with self._reading:
            return self._reader.redriven(sink, limit)

    def state(self) -> State:
        """Return how full the spool is."""
        with self._reading:
            reader = self._reader
            used, (first, last), dead = reader.size().used, reader.ends(), reader.count_dead()
            cursors = dict(self._cursors)
            oldest = {sink: reader.oldest_us(position) for sink, position in cursors.items()}
            unsealed = reader.unsealed()
        waiting = {sink: last - max(position, first - 1) if last else 0 for sink, position in cursors.items()}
        entries = last - first + 1 if last else 0
        return State(used, self._bound.size, self.alarm, entries, waiting, oldest, dead, unsealed)

    def _is_alarming(self, used: int) -> bool:
        return used > self._bound.alarm * self._bound.size or self._disk_left() < 2 * self._bound.reserve

    # ------------------------------------------------------------ the thread that writes

    def _run(self) -> None:
        try:
            while jobs := self._next():
                self._commit(jobs)
        finally:
            self._store.close()

    def _next(self) -> list[_Job]:
        """Wait for work; none: the end."""
        with self._wake:
            while not self._jobs and not self._closing:
                self._wake.wait()
            jobs: list[_Job] = []
            count = 0
            while self._jobs and count < TOGETHER:
                jobs.append(self._jobs.popleft())
                count += len(jobs[-1].entries)
            return jobs

    def _commit(self, jobs: list[_Job]) -> None:
        results: list[tuple[Future[Any], Any]] = []
        lost: list[Lost] = []
        cursors, removed = dict(self._cursors), self._removed
        try:
            with self._store.transaction():
                for job in jobs:
                    if job.change is not None and not job.in_order:
                        results.append((job.done, job.change(self._store)))
                self._remove()
                for job in jobs:
                    if job.change is None:
                        results.append((job.done, self._append(job.entries, lost)))
                    elif job.in_order:
                        results.append((job.done, job.change(self._store)))
                self._store.shrink(SLACK, GIVEN_BACK)
                self.alarm = self._is_alarming(self._store.size().used)
        except Exception as error:
            self._cursors, self._removed = cursors, removed
            told = error
            if isinstance(error, sqlite3.Error | OSError):
                told = SpoolError(f"cannot write to {self._path}: {error}", reason="disk")
            for job in jobs:
                job.done.set_exception(told)
            return
        for done, result in results:
            if isinstance(result, SpoolError):
                done.set_exception(result)
            else:
                done.set_result(result)
        for each in lost:
            self._on_lost(each)

    def _advance(self, store: Store, sink: str, position: int) -> None:
        store.advance(sink, position)
        self._cursors[sink] = max(position, self._cursors[sink])

    def _remove(self) -> None:
        """Remove some of what every sink has."""
        done = min(self._cursors.values(), default=0)
        if done > self._removed:
            self._removed = self._store.remove(done, REMOVED) or done

    def _append(self, entries: Sequence[Entry], lost: list[Lost]) -> list[Entry] | SpoolError:
        need = sum(len(entry.raw) + _ROW for entry in entries)
        while (used := self._store.size().used) + need > self._bound.size:
            if self._bound.full is Full.REFUSE or not self._drop(lost):
                return SpoolError(f"the spool is full: {used} of {self._bound.size} bytes", reason="spool")
        if self._disk_left() < self._bound.reserve:
            return SpoolError(f"the disk of {self._path} is full", reason="disk")
        return self._store.append(entries)

    def _drop(self, lost: list[Lost]) -> bool:
        """Give up the oldest entries; return whether there were any."""
        first, end = self._store.ends()
        last = self._store.remove(end, DROPPED)
        for sink, position in self._cursors.items():
            if position < last:
                lost.append(Lost(sink, max(position + 1, first), last))
                self._advance(self._store, sink, last)
        return last > 0

    def _disk_left(self) -> int:
        found = os.statvfs(self._path.parent)
        return found.f_bavail * found.f_frsize
