"""Workers: results in order, few calls waiting, and nobody left behind however the work ends."""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.waiting import FAR

from vitalwire.cli.options import fingerprint
from vitalwire.crew import AHEAD, Crew
from vitalwire.errors import UsageError, WorkerError

# Says "one" when workers work, and each of them "starting" before it is anything of ours.
WORK = """
import os
import signal
import time
from vitalwire.crew import Crew
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
    with Crew(2) as crew:
        for _ in crew.map(time.sleep, [(0.1,), (1000,), (1000,)]):
            os.write(1, b"one\\n")
else:
    os.write(1, b"starting\\n")
    time.sleep(0.5)
"""


def test_results_come_in_order_and_calls_are_bounded() -> None:
    """Arguments are asked for only when there is room for another call."""
    asked: list[int] = []

    def numbers() -> Iterator[tuple[int, int]]:
        for number in range(20):
            asked.append(number)
            yield number, 1

    with Crew(2) as crew:
        found = crew.map(operator.add, numbers())
        assert next(found) == 1
        assert len(asked) == 2 * AHEAD
        assert list(found) == list(range(2, 21))


def test_what_a_call_raises_arrives() -> None:
    """A typed error of a worker is raised where the result is asked for, advice and all."""
    with Crew(1) as crew, pytest.raises(UsageError, match="no fingerprint") as raised:
        list(crew.map(fingerprint, [("12",)]))
    assert "64 hexadecimal digits" in raised.value.advice


def test_a_dead_worker_is_a_typed_error() -> None:
    """A worker that ends in the middle of its work is a WorkerError, and so is the call after it."""
    with Crew(1) as crew:
        with pytest.raises(WorkerError, match="worker process ended"):
            list(crew.map(os._exit, [(1,)]))
        with pytest.raises(WorkerError):
            crew.submit(operator.add, 1, 1)


@pytest.mark.parametrize("when", ["starting", "one"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "killed"])
def test_nobody_is_left_behind(tmp_path: Path, how: signal.Signals, when: str) -> None:
    """Ctrl-C to all of them, or the death of the one that began the work, ends everybody, without words of the others.

    So it is while workers start and while they are at work, which nobody waits for. The pipes close only when the last
    process that holds them is gone.
    """
    script = tmp_path / "work.py"
    script.write_text(WORK)
    whole = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True
    )
    assert whole.stdout is not None
    while whole.stdout.readline() != f"{when}\n":
        assert whole.poll() is None
    (os.killpg if how == signal.SIGINT else os.kill)(whole.pid, how)
    try:
        _, said = whole.communicate(timeout=FAR)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(whole.pid, signal.SIGKILL)
    assert whole.returncode in (-how, 128 + how, 1)
    assert said.count("Traceback") == (1 if how == signal.SIGINT else 0), said
