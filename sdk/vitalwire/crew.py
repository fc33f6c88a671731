"""Work on all cores: calls of one process made by others, their results in order, a bounded number at a time.

Knows nothing of what is worked on. Workers are started anew ("spawn"), so whoever asks for any must be importable:
a script does its work under `if __name__ == "__main__":`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Self, TypeVar

from vitalwire.errors import WorkerError

Result = TypeVar("Result")

AHEAD = 2  # calls a worker that wait or whose results wait, at most


def cores() -> int:
    """Return how many processes can work at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Crew:
    """So many workers, from the first call until the block that opened it ends; one that dies is a `WorkerError`."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)

    def submit(self, call: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Have a function of a module called; `result` takes what it returned."""
        try:
            return self._pool.submit(call, *arguments)
        except BrokenProcessPool:
            raise _dead() from None

    def map(self, call: Callable[..., Result], calls: Iterable[tuple[Any, ...]]) -> Iterator[Result]:
        """Yield what the calls with these arguments return, in order; arguments are asked for when there is room."""
        waiting: deque[Future[Result]] = deque()
        for arguments in calls:
            waiting.append(self.submit(call, *arguments))
            if len(waiting) >= AHEAD * self.workers:
                yield result(waiting.popleft())
        while waiting:
            yield result(waiting.popleft())


def result(future: Future[Result]) -> Result:
    """Return what a call returned, or raise what it raised. Raises WorkerError if its worker is dead."""
    try:
        return future.result()
    except BrokenProcessPool:
        raise _dead() from None


def _dead() -> WorkerError:
    return WorkerError("a worker process ended before its work was done", advice="with --workers 1 there is none")


def _begin() -> None:
    """Leave Ctrl-C to the process that began the work, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
