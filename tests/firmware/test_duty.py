"""Sensors on for a part of the time, under real MicroPython: when chips convert, who is serviced, who hears a link."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vitalwire_protocol.spec import Counter, Event
from vitalwire_tools.codegen.boardfile import load
from vitalwire_tools.folders import BOARDS, FIRMWARE
from vitalwire_tools.virtual.hardware import Hardware, load_signals
from vitalwire_tools.virtual.rig import run

BOARD = load(BOARDS / "virtual" / "board.toml")
SIGNALS = load_signals(BOARDS / "virtual" / "signals")

# 2 s of every 6 s, for 21 s, with what App has around it; at 8.5 s, in a pause, somebody switches the oximeter (stream
# 1) off, and a reader is there from 14 s on. `trial`: an update is on trial until 10 s.
SCRIPT = """
import json, sys
from hal import virtual as hal
import board, wiring
from app import App
from duty import Duty
from sensors.battery import Battery
from stream import Stream

class Recorder:
    step = None
    counters = None

class Link:
    def linked(self, wall):
        return hal.ticks() > 14000000

told = []
app = App(hal)
app.recorder = Recorder()
app.links = [Link()]
app.report = lambda code, details, ticks: told.append((code, ticks))
app.streams = [Stream(k, wiring.make(hal, row), 2000, app.report) for k, row in enumerate(board.sensors())]
app.scalars = [Stream(0, Battery(hal.adc(board.BATTERY[0]), board.BATTERY[1], board.BATTERY[2]), 2000, app.report)]
app.counters = lambda now: {17: sum([not s.up and not s.off for s in app.streams])}
class Later:
    # an update that waits for its hour
    def at(self, hour):
        pass

    def check(self, now):
        pass

app.trial = Later() if sys.argv[1] == "waits" else sys.argv[1] == "trial"
Duty(app, 2, 6, ["serial"])
read, cells, asleep, switched = [[] for _ in app.streams], 0, [], False
while hal.ticks() < 21000000:
    if hal.ticks() > 10000000 and app.trial is True:
        app.trial = False
    if hal.ticks() > 8500000 and not switched:
        switched = True
        app.streams[1].switch(True)
    app.sense(hal.ticks(), False)
    for stream, times in zip(app.streams + app.scalars, read + [None]):
        n = stream.ring.head - stream.ring.tail
        if times is None:
            cells += n
        elif n:
            times.append(hal.ticks())
        stream.ring.consume(n)
    counters = app.recorder.counters(hal.ticks())
    asleep.append((hal.ticks(), counters[19], counters[17]))
    hal.idle(min(app.due, hal.ticks() + 500000))
print(json.dumps({"told": told, "read": read, "cells": cells, "asleep": asleep}))
"""


def drive(tmp_path: Path, how: str, *faults: dict[str, Any]) -> tuple[dict[str, Any], Hardware]:
    """Return what the script saw and the hardware it ran on."""
    hardware = Hardware(BOARD, SIGNALS, list(faults))
    done = run(hardware, BOARD, SCRIPT, tmp_path, FIRMWARE, [how])
    assert done.code == 0, done.output + done.errors
    assert hardware.refused == []
    return json.loads(done.output), hardware


def within(times: Any, spans: list[tuple[float, float]]) -> bool:
    """Whether all times, in microseconds, lie in one of the spans, in seconds."""
    return all(any(first <= time / 1e6 <= last for first, last in spans) for time in times)


def test_chips_convert_in_windows_only(tmp_path: Path) -> None:
    """Each pause is told at both ends, no chip samples within one, each does within each window, the cell goes on."""
    said, hardware = drive(tmp_path, "plain")
    pauses = [(code, round(at / 1e6, 2)) for code, at in said["told"] if code in {38, 39}]
    begun, ended = Event.PAUSE_BEGUN, Event.PAUSE_ENDED
    assert [code for code, _ in pauses] == [begun, ended, begun, ended, begun, ended, begun]
    assert [at for _, at in pauses] == pytest.approx([2, 6, 8, 12, 14, 18, 20], abs=0.1)
    windows = [(0.0, 2.1), (5.9, 8.1), (11.9, 14.1), (17.9, 20.1)]
    for part in ("max30003", "max30102", "lsm6dso"):
        times = hardware.played[part].times
        assert len(times) > 100
        assert within(times, windows), part
    assert all(within(times, windows) for times in said["read"])
    for stream, times in enumerate(said["read"]):
        reached = [any(first <= time / 1e6 <= last for time in times) for first, last in windows]
        # switched off in the second pause, it stays off
        assert reached == ([True, True, False, False] if stream == 1 else [True] * 4), stream
    assert said["cells"] >= 2


def test_the_processor_sleeps_in_pauses_without_a_reader(tmp_path: Path) -> None:
    """Asleep for all of a pause, not in a window, and not while somebody reads; those that rest are not down."""
    said, _ = drive(tmp_path, "plain")
    slept = {round(at / 1e6, 1): seconds for at, seconds, _ in said["asleep"]}
    assert max(seconds for at, seconds in slept.items() if at <= 2) == 0
    assert max(seconds for at, seconds in slept.items() if at <= 8) in {3, 4}
    assert max(seconds for at, seconds in slept.items() if at <= 14) in {7, 8}
    assert max(slept.values()) in {7, 8}
    assert {down for at, _, down in said["asleep"] if 2.1e6 < at < 5.9e6} == {0}
    assert Counter.ASLEEP_S == 19


def test_an_update_that_waits_for_its_hour_keeps_pauses(tmp_path: Path) -> None:
    """Cycles go on as if there were none."""
    said, _ = drive(tmp_path, "waits")
    begun = [at / 1e6 for code, at in said["told"] if code == Event.PAUSE_BEGUN]
    assert begun == pytest.approx([2, 8, 14, 20], abs=0.1)


def test_an_update_on_trial_is_not_paused(tmp_path: Path) -> None:
    """It proves itself by sensors that work, so pauses wait until it has."""
    said, _ = drive(tmp_path, "trial")
    assert next(at for code, at in said["told"] if code == Event.PAUSE_BEGUN) >= 10e6


def test_a_chip_that_fails_is_down_in_a_pause_too(tmp_path: Path) -> None:
    """A fault of a window is told, counts as down through the pause, and is over in the window where it ends."""
    said, _ = drive(tmp_path, "plain", {"chip": "max30003", "fault": "missing", "at_s": 6.5, "for_s": 5})
    codes = [code for code, _ in said["told"] if code in {Event.SENSOR_FAULT, Event.SENSOR_OK}]
    assert codes[-1] == Event.SENSOR_OK
    assert set(codes[:-1]) == {Event.SENSOR_FAULT}
    assert {down for at, _, down in said["asleep"] if 8.2e6 < at < 11.9e6} == {1}
    assert any(12e6 <= time <= 14.1e6 for time in said["read"][0])
