"""Work on all cores: calls of one process made by others, their results in order, a bounded number at a time.

Knows nothing of what is worked on. Workers are started anew ("spawn"), so whoever asks for any must be importable:
a script does its work under `if __name__ == "__main__":`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.resource_tracker import ensure_running
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from vitalwire.errors import WorkerError

Result = TypeVar("Result")

AHEAD = 2  # calls a worker that wait or whose results wait, at most


def cores() -> int:
    """Return how many processes can work at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Crew:
    """So many workers, from the first call until the block that opened it ends; one that dies is a `WorkerError`.

    A block that ends by an exception, Ctrl-C for one, waits for no call that is being worked on.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        context = multiprocessing.get_context("spawn")
        heard, self._alive = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(heard,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self._alive.close()
        self._pool.shutdown(cancel_futures=True)
        self._alive.close()

    def submit(self, call: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Have a function of a module called; `result` takes what it returned."""
        try:
            with _undisturbed():  # this may start a worker
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


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hear of Ctrl-C when the block has ended, and let no process that it starts hear of it ever."""
    heard: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGINT, hear) if is_main else None
    if sys.platform != "win32":
        ensure_running()  # starting it would lift the mask
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if is_main:
            signal.signal(signal.SIGINT, before)
            if heard:
                signal.raise_signal(signal.SIGINT)


def _begin(alive: Connection) -> None:
    """Leave Ctrl-C to the process that began the work, and end when it closes its end of a pipe, or itself ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()


def _end_with(alive: Connection) -> None:
    alive.poll(None)
    os._exit(1)
