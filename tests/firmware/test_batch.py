"""When the radio is on where it is not always, under MicroPython: what begins a batch, what ends it, when it is tried
again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from itertools import pairwise
from typing import Any

Run = Callable[..., "subprocess.CompletedProcess[str]"]

# A board with one link, whose time passes in steps of 100 ms by run(). `peer` says whether somebody is there, who
# acknowledges everything if he `takes`.
SCRIPT = """
import json
from links import batch
from wire import *
S = 1_000_000
class Thing:
    pass
app = Thing()
app.time = 0
app.hal = Thing()
app.hal.ticks = app.hal.wall = lambda: app.time
app.trial = None
app.rebooting = 0
class Journal:
    newest = 5
    acked = 0
    sectors = 16
    filled = 0
    def used(self):
        return self.filled
journal = app.journal = Journal()
class Recorder:
    def __init__(self):
        self.events = []
        self.maker = Thing()
        self.maker.seal = None
    def report(self, code, details, ticks):
        self.events.append((code, ticks, details))
recorder = app.recorder = Recorder()
control = app.control = Thing()
control.counter = 0
control.request = control.link = None
class Link:
    def __init__(self):
        self.stream = Thing()
    def linked(self, now):
        return peer and self.up
link = Link()
link.up = False
peer = takes = True
switched = []
def run(seconds):
    end = app.time + int(seconds * S)
    while app.time < end:
        up = link.stream.gate(app.time)
        if up != link.up:
            switched.append(app.time // S)
        link.up = up
        if up and peer and takes:
            journal.acked = journal.newest
        app.time += S // 10
def command(which):
    control.counter += 1
    control.request = {COMMANDKEY_COMMAND: which}
    control.link = link
    run(0.1)
    control.link = None
    run(0.9)
def say(*facts):
    print(json.dumps(facts))
batch.every(app, [link], 100)
"""


def run(micropython: Run, script: str) -> list[Any]:
    """Run a script behind SCRIPT."""
    done = micropython(SCRIPT + script)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert isinstance(told, list)
    return told


def test_it_is_on_once_a_period(micropython: Run) -> None:
    """From the start on, until all there was is acknowledged and who came had a second for a command."""
    assert run(micropython, "run(350)\nsay(*switched)") == [0, 1, 100, 101, 200, 201, 300, 301]


def test_commands_keep_it_on(micropython: Run) -> None:
    """Each command gives a second for another; an acknowledgement does not."""
    script = (
        "for _ in range(5):\n    command(COMMAND_PING)\nrun(10)\na = list(switched)\nrun(85)\n"
        "for _ in range(5):\n    command(COMMAND_ACKNOWLEDGE)\nrun(10)\nsay(a, switched[2:])"
    )
    (on, off), again = run(micropython, script)
    assert (on, off) == (0, 5)
    assert again == [100, 101]


def test_nobody_there_is_tried_later_and_later(micropython: Run) -> None:
    """A try takes 30 s; the next comes after 100 s, 200, 400 ... an hour at most; once somebody came, as always."""
    script = (
        "peer = False\nrun(30000)\nstarts = switched[::2]\nlasts = set([b - a for a, b in "
        "zip(switched[::2], switched[1::2])])\npeer = True\ndel switched[:]\nrun(4000)\n"
        "say(starts, list(lasts), [b - a for a, b in zip(switched[::2], switched[2::2])][:3])"
    )
    starts, lasts, after = run(micropython, script)
    assert [(b - a) // 10 for a, b in pairwise(starts)] == [13, 23, 43, 83, 163, 323, *[363] * 6]
    assert min(lasts) == 30
    assert max(lasts) <= 31
    assert after == [100, 100, 100]


def test_what_is_never_acknowledged_ends_a_batch_too(micropython: Run) -> None:
    """Somebody who takes the newest frames and never the oldest does not keep the radio on."""
    script = "takes = False\nfor _ in range(20):\n    journal.newest += 1\n    run(5)\nsay(*switched)"
    assert run(micropython, script)[:2] == [0, 30]


def test_what_matters_begins_one(micropython: Run) -> None:
    """A button, a fall, a low battery: at once, until the frame that tells of it is acknowledged; a lead-off waits."""
    script = (
        "run(20)\nrecorder.report(EVENT_LEAD_OFF, {}, 0)\nrun(10)\nrecorder.events = []\nfound = []\n"
        "for code in (EVENT_BUTTON, EVENT_FALL, EVENT_LOW_BATTERY):\n"
        "    del switched[:]\n    recorder.report(code, {}, 0)\n    at = app.time // S\n    run(4)\n"
        "    journal.newest += 1\n    recorder.events = []\n    run(4)\n"
        "    found.append([each - at for each in switched])\nsay(*found)"
    )
    assert run(micropython, script) == [[0, 4]] * 3


def test_a_fuller_journal_begins_one(micropython: Run) -> None:
    """More than half of the sectors used: within a second; if nobody is there, again after 30 s, 60 s, 100 ..."""
    script = (
        "run(20)\njournal.filled = 8\nrun(20)\na = len(switched)\npeer = False\njournal.filled = 9\nrun(1000)\n"
        "say(a, *switched[2:])"
    )
    told = run(micropython, script)
    assert told[0] == 2
    starts = told[1::2]
    assert 40 <= starts[0] <= 41
    assert [b - a for a, b in pairwise(starts)][:4] == [60, 90, 150, 270]


def test_the_period_changes_at_once(micropython: Run) -> None:
    """Another one begins with a batch; none, and the radio stays on."""
    script = (
        "run(20)\nbatch.every(app, [link], 10)\nrun(25)\na = list(switched)\nbatch.every(app, [link], 0)\nrun(300)\n"
    )
    first, then = run(micropython, script + "say(a, switched[len(a):])")
    assert first == [0, 1, 20, 21, 30, 31, 40, 41]
    assert then == [45]


def test_under_seal_a_batch_ends_with_a_signature(micropython: Run) -> None:
    """The next frame is to be signed, and only with that the batch is over."""
    script = (
        "run(20)\nseal = recorder.maker.seal = Thing()\nseal.at = 7\nrun(85)\na = seal.at\nb = list(switched)\n"
        "journal.newest += 1\nrun(5)\nsay(a, b, switched)"
    )
    assert run(micropython, script) == [-1, [0, 1, 100], [0, 1, 100, 105]]


def test_an_update_on_trial_keeps_it_on(micropython: Run) -> None:
    """Until the update has proved itself, which needs somebody who reads."""
    script = (
        "app.trial = 1\nfor _ in range(12):\n    journal.newest += 1\n    run(5)\na = len(switched)\n"
        "app.trial = None\nrun(5)\nsay(a, *switched)"
    )
    assert run(micropython, script) == [1, 0, 60]


def test_what_anybody_may_look_for_is_always_there(micropython: Run) -> None:
    """A link with services for anybody has no gate."""
    script = "other = Link()\nother.stream.services = 1\nbatch._batch = None\nbatch.every(app, [other], 9)\n"
    assert run(micropython, script + "say(hasattr(other.stream, 'gate'))") == [False]
