"""A board that nobody reads until its journal is full: what is given up is declared, or nothing is made any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vitalwire.packet import LogLine
from vitalwire.session import ChainBreak, Dropped, SecurityEvent
from vitalwire.verdict import verify
from vitalwire_protocol.spec import Event, EventKey, Kind
from vitalwire_tools.virtual import machine
from vitalwire_tools.virtual.compare import compare

from .board_log import events, number, until
from .conftest import Bench
from .reader import Recorder, captured

SECTORS = 8


def alone(board: Any, seconds: float) -> None:
    """Let a board run unread until so many seconds of its time have passed."""
    while True:
        times = board.played()["lsm6dso_us"]  # which samples whatever the board does
        if len(times) and times[-1] > seconds * 1e6:
            return
        time.sleep(0.1)


def test_the_oldest_are_given_up_and_declared(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Under "drop" the verdict tells what the device dropped from what is missing, and what is left is complete."""
    running = bench(speed=50.0, sectors=SECTORS)
    alone(running.board, 80)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(lambda frames: len(frames) > 15 and frames[-1].frame.ticks > 110_000_000)
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
    running = bench(speed=50.0, sectors=SECTORS)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(12.0))
    before = recorder.frames[-1].frame.ticks / 1e6
    alone(running.board, before + 90)
    recorder.run(until(before + 115))
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device
    assert device.first == 1
    assert device.dropped > 20
    assert device.verified + device.dropped == device.head
    assert not recorder.told(SecurityEvent) + recorder.told(ChainBreak)


def test_a_board_told_to_stop_gives_nothing_up(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Under "stop" a full journal is told and ends sampling; once it was read, recording goes on, nothing dropped."""
    running = bench(settings={"when_full": "stop"}, speed=50.0, sectors=SECTORS)
    alone(running.board, 80)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(lambda frames: len(frames) > 15 and frames[-1].frame.ticks > 110_000_000 and bool(frames[-1].signals))
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
    assert full.ticks < 80_000_000
    before = [frame for frame in data if frame.frame.ticks < full.ticks]
    assert len(before) > 8
    for channel in compare((frame.signals for frame in before), running.board.played()):
        assert channel.different == 0, channel
        assert channel.samples == channel.valid
    assert data[-1].frame.ticks > 110_000_000
    assert not running.board.refused()


BOOTS = """
import sys
from hal.virtual_flash import FlashFile
from journal import Journal
boots = 0
while True:
    journal = Journal(FlashFile(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), lambda kind, n: None), True)
    assert journal.mount()
    if not journal.begin():
        break
    boots += 1
print(boots)
"""


def fill_by_boots(running: Bench, micropython: Callable[..., Any]) -> int:
    """Cut a board's power, start it until its journal has no room for another start, and give it back; the starts."""
    running.board.power_cut()
    flash = running.board.folder / machine.FLASH
    boots = int(micropython(BOOTS, str(flash), *map(str, machine.board_file(SECTORS).partitions["journal"])).stdout)
    assert boots > 100
    running.board.power_on()
    return boots


def test_a_board_without_room_for_a_boot_waits_to_be_read(
    bench: Callable[..., Any], micropython: Callable[..., Any], tmp_path: Path
) -> None:
    """Under "stop", after hundreds of unread boots, a board says so, serves its frames, then records again."""
    running = bench(settings={"when_full": "stop"}, speed=50.0, sectors=SECTORS)
    alone(running.board, 100)
    boots = fill_by_boots(running, micropython)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(5.0, boot=boots + 2))
    assert [line.text for line in recorder.told(LogLine)] == ["journal full: nothing is recorded until it is read"]
    frames = recorder.in_order()
    assert {frame.boot for frame in frames} == {1, boots + 3}
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device
    assert device.dropped == 0
    assert device.verified + device.burned == device.head
    assert not recorder.told(SecurityEvent) + recorder.told(ChainBreak)
    assert not running.board.refused()
