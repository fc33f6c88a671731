"""A configuration that arrives while something else is to be done at a frame's end: it waits, and displaces nothing."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path
from typing import Any

from vitalwire_protocol.spec import Cause, Result

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"

DEVICE = """
import sys
from control import Control
from recorder import Recorder
from wire import *

class Twin:
    def take(self, app, document, now):
        yield ("long", 0)
        told.append(document)

class App:
    reported = b"said"

told = []
app = App()
sys.modules["twin"] = Twin()
control = Control(bytes(32), (), bytes(32), 1, bytes(8), None, None, {COMMAND_CONFIGURE: app})
app.recorder = recorder = Recorder(None, control, [], [], 2000000, 60000000, None)

def ask(command, argument=None):
    fields = {}
    result = control._configure({COMMANDKEY_COMMAND: command, COMMANDKEY_ARGUMENT: argument}, fields)
    return result or fields.get(COMMANDKEY_PENDING)

def due(name, follows=None):
    # what a start leaves to be done, as between.prove and duty.begin are
    def step(now):
        yield ("long", 0)
        told.append(name)
        return follows
    return step

def frame(arriving=None):
    # the end of a frame of data, in whose slices a configuration may arrive; says what was done, and what waits
    for _ in recorder.data(0):
        if arriving:
            ask(COMMAND_CONFIGURE, arriving)
    done, told[:] = told[:], []
    return done, ask(COMMAND_CONFIGURATION)

"""


def frames(code: str) -> Any:
    """Return what the code's `print` said."""
    done = subprocess.run(
        ["micropython", "-c", DEVICE + code],
        env={**os.environ, "MICROPYPATH": f"{FIRMWARE}:.frozen"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert not done.returncode, done.stdout + done.stderr
    return ast.literal_eval(done.stdout)


def test_a_configuration_displaces_nothing_that_a_start_left_to_be_done() -> None:
    """The proof of the one before, or a duty cycle's begin, comes first; only then is what arrived looked at."""
    code = "recorder.step = due('proof')\nask(COMMAND_CONFIGURE, b'forged')\nprint((frame(), frame(), frame()))"
    assert frames(code) == ((["proof"], True), ([b"forged"], False), ([], False))


def test_a_configuration_that_arrives_amid_a_step_waits_for_what_follows_it() -> None:
    """One that is being taken is kept and proven whole before the next is looked at; it is pending all along."""
    code = "recorder.step = due('take', due('keep'))\nprint((frame(b'second'), frame(), frame(), frame()))"
    assert frames(code) == ((["take"], True), (["keep"], True), ([b"second"], False), ([], False))


def test_one_configuration_waits_at_most() -> None:
    """Whoever sends many before a frame ends takes no more room than one: the last is looked at."""
    code = "[ask(COMMAND_CONFIGURE, bytes([n])) for n in range(9)]\nprint((frame(), frame()))"
    assert frames(code) == (([b"\x08"], False), ([], False))


KEEPING = """
import json, os
import twin

class Between:
    def put(self, *_):
        raise MemoryError

class Hal:
    def files(self):
        return FOLDER

class Board:
    hal = Hal()
    reported = None
    asked = []
    def reboot(self, cause):
        self.asked.append(cause)
    def report(self, *event):
        self.asked.append(event)

sys.modules["between"] = Between()
board = Board()
for _ in twin._keep(board, 7, {"status_s": 9}, 0):
    pass
from cbor import decode
outcome = decode(board.reported)[REPORTEDKEY_OUTCOME]
with open(FOLDER + "/desired") as f:
    print((outcome, board.asked, json.load(f)))
"""


def test_what_is_kept_is_never_said_to_have_failed(tmp_path: Path) -> None:
    """Once it is in flash a configuration is taken: where there is no room to go on with it, a start brings it."""
    code = "del sys.modules['twin']\n" + f"FOLDER = {str(tmp_path)!r}\n" + KEEPING
    taken = {"newest": 7, "now": [0, {}], "next": [7, {"status_s": 9}, 0]}
    assert frames(code) == (Result.OK, [Cause.CONFIGURATION], taken)
