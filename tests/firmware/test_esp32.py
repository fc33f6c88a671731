"""Time, rests and edges of hal/esp32.py where small integers have 31 bits and microseconds wrap, as on the chip."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "firmware" / "hal" / "esp32.py"
# A chip without anything but a clock: `raw` microseconds, wrapping at 2^30, which pass while somebody waits. No
# stand-in allocates.
CHIP = """
import gc, sys
MASK = (1 << 30) - 1
class Time:
    raw = MASK - 5_000_000
    def ticks_us(self):
        return self.raw
    def ticks_add(self, at, n):
        return at + n & MASK
    def ticks_diff(self, a, b):
        n = a - b & MASK
        return n if n <= MASK >> 1 else n - MASK - 1
    def ticks_pass(self, n):
        self.raw = self.raw + n & MASK
time = Time()
class Poll:
    happens = None  # while somebody waits
    def register(self, *_):
        pass
    def ipoll(self, ms):
        if ms:
            time.ticks_pass(10_000 - time.raw % 10_000)
        if self.happens:
            self.happens()
        return ()
poll = Poll()
class Select:
    POLLIN = 1
    def poll(self):
        return poll
class Memory:
    def memory(self, data=b""):
        return b""
class Pin:
    IN, PULL_UP, IRQ_FALLING = 1, 2, 2
    def __init__(self, *_):
        pass
    def irq(self, handler, trigger=0):
        self.handler = handler
class Machine:
    RTC = Memory
    Pin = Pin
    def reset_cause(self):
        return 5
class Esp32:
    def NVS(self, name):
        return None
for name, thing in (("time", time), ("select", Select()), ("machine", Machine()), ("esp32", Esp32())):
    sys.modules[name] = thing
hal = {"__name__": "hal.esp32"}
with open(SOURCE) as f:
    exec(f.read(), hal)
ticks, idle = hal["ticks"], hal["idle"]
"""

Run = Callable[[str], Any]


@pytest.fixture(params=["64 bit", "32 bit"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a script behind CHIP and return what it printed last."""
    narrow = request.param == "32 bit"
    device = request.getfixturevalue("micropython32" if narrow else "micropython")

    def run(script: str) -> Any:
        path = f"/{SOURCE.name}" if narrow else str(SOURCE)
        done = device(f"SOURCE = {path!r}\n{CHIP}{script}", *([SOURCE] if narrow else []))
        return ast.literal_eval(done.stdout.splitlines()[-1])

    return run


def test_ticks_count_on_for_days(run: Run) -> None:
    """Asked every eight minutes they miss no microsecond in four days."""
    script = "for i in range(720):\n    time.ticks_pass(480_000_001)\n    ticks()\nprint(ticks())"
    assert run(script) == 720 * 480_000_001


def test_a_rest_ends_when_it_should_and_leaves_no_garbage(run: Run) -> None:
    """Hours after the start, over a wrap, a rest of three seconds takes as long, and its turns allocate nothing."""
    script = """
while ticks() < 9_000_000_000:
    time.ticks_pass(100_000_000)
time.raw = hal["_raw"] = MASK - 1_000_000
start = ticks()
gc.collect()
before = gc.mem_alloc()
idle(start + 3_000_000)
used = gc.mem_alloc() - before
print((ticks() - start, used))
"""
    took, used = run(script)
    assert 3_000_000 <= took <= 3_010_000
    assert used < 1000  # three hundred turns


def test_an_edge_ends_one_rest_and_is_taken_at_its_time(run: Run) -> None:
    """An edge in the midst of a rest ends it, no later rest until it is taken, and none where it need not wake."""
    script = """
line, quiet = hal["irq"](4), hal["irq"](5, False)
def fall():
    if ticks() >= 40_000:
        line.pin.handler(line.pin)
        poll.happens = None
def fall_quietly():
    quiet.pin.handler(quiet.pin)
said = []
poll.happens = fall
idle(1_000_000)
said.append(ticks())
idle(2_000_000)
said.append(ticks())
said += [hal["edge"](), line.take(), line.take(), hal["edge"]()]
poll.happens = fall
idle(3_000_000)
said += [ticks(), line.take()]
poll.happens = fall_quietly
idle(4_000_000)
said += [ticks(), quiet.seen(), quiet.take()]
print(said)
"""
    first, second, waits, at, again, left, third, taken, last, seen, early = run(script)
    assert 40_000 <= at <= first < 60_000
    assert 2_000_000 <= second < 2_010_000
    assert (waits, again, left) == (True, -1, False)
    assert second < taken <= third < 2_030_000
    assert 4_000_000 <= last < 4_010_000
    assert seen
    assert third < early < 2_050_000


def test_a_handler_hears_how_long_it_was(run: Run) -> None:
    """A line that calls a handler tells it the microseconds since the last call, over a wrap, and when that was."""
    script = """
heard = []
line = hal["each"](4)
line.start(heard.append)
for n in (1_953, 6_000_000, 1_953):
    time.ticks_pass(n)
    line.pin.handler(line.pin)
time.ticks_pass(500)
print((heard, ticks() - line.newest()))
"""
    assert run(script) == ([1_953, 6_000_000, 1_953], 500)
