"""Which frame is made next: one of data never waits long, and none of the others for ever."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Callable
from itertools import pairwise

import pytest

SPARE = 462_000  # us: a ring holds 400 ms more than a frame, and 32 samples, at 512 Hz
# Frames take their time, as a board's do under `sign`; something is reported every so often.
DEVICE = """
from recorder import Recorder
from wire import EVENT_BUTTON

class Journal:
    dropped = None

class Maker:
    journal = Journal()
    descriptor = b""

    def make(self, kind, us):
        made.append((kind, now))
        yield us

    def describe(self, ticks, contents):
        self.descriptor = contents
        yield 350_000
        return 1

    def data(self, ticks, streams, marks, scalars):
        yield from self.make("data", DATA)
        return 1

    def events(self, ticks, rows):
        yield from self.make("events", 350_000)
        return 1

    def status(self, ticks, counters):
        yield from self.make("status", 400_000)
        return 1

    def boot_details(self, cause):
        return {}

class Control:
    step = None
    def take_refusals(self):
        return None

class Stream:
    channel = 0
    count = 1
    def take(self, part):
        self.ticks = now
    def marks(self, rows):
        pass

made = []
now = START
recorder = Recorder(Maker(), Control(), [Stream()], [], FRAME, 5_000_000, lambda now: {})
recorder.begin(now, 1, b"descriptor")
reported = now
while now < START + 60_000_000:
    if now >= reported:
        recorder.report(EVENT_BUTTON, {}, now)
        reported = now + OFTEN
    job = recorder.next(now)
    if job:
        for us in job:
            now += us
    else:
        now = max(now + 1000, min(recorder.due, reported))
print(made)
"""


@pytest.mark.parametrize(
    ("frame", "data", "often"),
    [
        (2_000_000, 500_000, 300_000),
        (1_300_000, 750_000, 300_000),
        (1_000_000, 470_000, 300_000),
        (500_000, 400_000, 7_000_000),  # more often, and there is more to be made than there is time
        (250_000, 90_000, 300_000),
    ],
)
def test_data_waits_for_no_other_frame(
    micropython: Callable[..., subprocess.CompletedProcess[str]], frame: int, data: int, often: int
) -> None:
    """Whenever a status or events become due, a ring does not fill for them;
    both are made, however short frames are and however often something happens."""
    for start in (0, 138_000, 600_000, 999_000):
        script = f"START, FRAME, DATA, OFTEN = {start}, {frame}, {data}, {often}\n" + DEVICE
        made: list[tuple[str, int]] = ast.literal_eval(micropython(script).stdout)
        times = {name: [at for kind, at in made if kind == name] for name in ("data", "events", "status")}
        held, before = 0, times["data"][0]
        for at in times["data"]:
            held += at - before
            assert held <= frame + SPARE - min(frame // 10, 100_000), (start, at)  # encoding takes a while
            held -= min(held, frame * 17 // 16)  # stream.py: as much as one frame takes
            before = at
        assert before >= 58_000_000
        assert len(times["status"]) >= 9, start
        assert max(after - at for at, after in pairwise(times["events"])) <= max(often + 2_000_000, 4_000_000)
