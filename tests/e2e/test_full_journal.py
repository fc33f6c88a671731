"""A board that nobody reads until its journal is full: what is given up is declared, or nothing is made any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vitalwire.session import ChainBreak, Dropped, SecurityEvent
from vitalwire.verdict import verify
from vitalwire_protocol.spec import Event, EventKey, Kind
from vitalwire_tools.virtual.compare import compare

from .board_log import events, number, until
from .reader import Recorder, captured

SECTORS = 16


def alone(board: Any, seconds: float) -> None:
    """Let a board run unread until so many seconds of its time have passed."""
    while True:
        times = board.played()["lsm6dso_us"]  # which samples whatever the board does
        if len(times) and times[-1] > seconds * 1e6:
            return
        time.sleep(0.1)


def test_the_oldest_are_given_up_and_declared(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Under "drop" the verdict tells what the device dropped from what is missing, and what is left is complete."""
    running = bench(speed=50.0, heap=1 << 20, sectors=SECTORS)
    alone(running.board, 150)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(lambda frames: len(frames) > 25 and frames[-1].frame.ticks > 200_000_000)
    verdict = verify(captured(recorder.capture), running.registry)
    (device,) = verdict.devices
    assert verdict.ok, device
    assert device.dropped > 3
    told = list(events(recorder.in_order(), Event.DROPPED))
    assert number(told[-1], EventKey.LAST) >= device.dropped
    assert recorder.told(Dropped)
    assert not recorder.told(SecurityEvent) + recorder.told(ChainBreak)
    # What is left is what was played when its ticks say.
    played = running.board.played()
    log, times = played["ecg_lead_i"], played["max30003_us"]
    for frame in recorder.in_order():
        if frame.kind == Kind.DATA:
            signal = frame.signals["ecg_lead_i"]
            end = int(np.searchsorted(times, signal.ticks, "right"))
            assert any((log[at - len(signal) : at] == signal.counts).all() for at in (end, end + 1, end - 1))


def test_a_reader_that_comes_back_is_told_all_that_was_dropped(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Though the events that declare drops are dropped themselves, in the end nothing is missing unexplained."""
    running = bench(speed=50.0, heap=1 << 20, sectors=SECTORS)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(12.0))
    before = recorder.frames[-1].frame.ticks / 1e6
    alone(running.board, before + 200)
    recorder.run(until(before + 250))
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device
    assert device.first == 1
    assert device.dropped > 60
    assert device.verified + device.dropped == device.head
    assert not recorder.told(SecurityEvent) + recorder.told(ChainBreak)


def test_a_board_told_to_stop_gives_nothing_up(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Under "stop" a full journal is told and ends sampling; once it was read, recording goes on, nothing dropped."""
    running = bench(settings={"when_full": "stop"}, speed=50.0, heap=1 << 20, sectors=SECTORS)
    alone(running.board, 150)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(lambda frames: len(frames) > 25 and frames[-1].frame.ticks > 200_000_000 and bool(frames[-1].signals))
    frames = recorder.in_order()
    verdict = verify(captured(recorder.capture), running.registry)
    (device,) = verdict.devices
    assert verdict.ok, device
    assert device.dropped == 0
    assert device.verified == device.head
    full, *more = events(frames, Event.JOURNAL_FULL)
    assert len(more) <= 3  # not one for each frame refused
    assert not list(events(frames, Event.DROPPED))
    data = [frame for frame in frames if frame.kind == Kind.DATA]
    assert full.ticks < 150_000_000
    before = [frame for frame in data if frame.frame.ticks < full.ticks]
    assert len(before) > 10
    for channel in compare((frame.signals for frame in before), running.board.played()):
        assert channel.different == 0, channel
        assert channel.samples == channel.valid
    assert data[-1].frame.ticks > 200_000_000
    assert not running.board.refused()
