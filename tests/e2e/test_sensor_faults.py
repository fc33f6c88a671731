"""Chips that are missing, wrong, wedged or silent: an event, then samples again, and the other chips lose nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vitalwire.session import SecurityEvent
from vitalwire_protocol.spec import Event, Fault, Kind
from vitalwire_tools.virtual.compare import compare

from .board_log import faults, unharmed, until
from .reader import Recorder

STREAMS = {"max30003": 0, "max30102": 1, "lsm6dso": 2, "max30205": 3}


@pytest.mark.parametrize(
    ("chip", "kind", "found"),
    [
        ("max30003", "missing", [Fault.BUS, Fault.MISSING]),
        ("max30102", "missing", [Fault.BUS, Fault.MISSING]),
        ("lsm6dso", "wedged", [Fault.WEDGED]),
        ("max30003", "wedged", [Fault.WEDGED]),
        ("max30205", "nak", [Fault.BUS, Fault.MISSING]),
        ("lsm6dso", "nak", [Fault.BUS, Fault.MISSING]),
    ],
)
def test_a_chip_that_fails_and_comes_back(
    bench: Callable[..., Any], tmp_path: Path, chip: str, kind: str, found: list[Fault]
) -> None:
    """Each thing wrong with a chip is said once, and once that it is back; no other chip loses a sample meanwhile."""
    script = [{"chip": chip, "fault": kind, "at_s": 6, "for_s": 7}]
    running = bench(speed=50.0, faults=script)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(32.0))
    frames, played = recorder.in_order(), running.board.played()
    stream = STREAMS[chip]
    told = [(Event.SENSOR_FAULT, stream, fault) for fault in found]
    assert faults(frames) == [*told, (Event.SENSOR_OK, stream, 0)]
    assert unharmed(frames, played, but=[chip]) > 5000
    assert not recorder.told(SecurityEvent)
    assert not running.board.refused()
    # The chip's own samples: those before and those after are each in one piece.
    data = [frame for frame in frames if frame.kind == Kind.DATA]
    names = {channel.name for channel in frames[0].descriptor.channels if channel.part.lower() == chip}
    having = [names <= frame.signals.keys() for frame in data]
    first, back = having.index(False), having.index(True, having.index(False))
    assert all(having[:first])
    assert all(having[back:])
    for stretch in (data[:first], data[back:]):
        own = [{name: frame.signals[name] for name in names} for frame in stretch]
        for channel in compare(own, played):
            assert channel.different == 0, channel
            assert (channel.samples > 4) == (channel.channel in names)


@pytest.mark.parametrize(
    ("chip", "kind", "fault"),
    [("max30102", "missing", Fault.MISSING), ("lsm6dso", "wrong_part", Fault.WRONG_PART)],
)
def test_a_chip_that_is_not_there_at_boot(
    bench: Callable[..., Any], tmp_path: Path, chip: str, kind: str, fault: Fault
) -> None:
    """A board with a missing or another chip records the others, and begins with that one when it can."""
    running = bench(speed=50.0, faults=[{"chip": chip, "fault": kind, "for_s": 5}])
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(20.0))
    frames, played = recorder.in_order(), running.board.played()
    stream = STREAMS[chip]
    assert faults(frames) == [(Event.SENSOR_FAULT, stream, fault), (Event.SENSOR_OK, stream, 0)]
    unharmed(frames, played)


def test_a_short_silence_loses_nothing(bench: Callable[..., Any], tmp_path: Path) -> None:
    """A bus that does not answer for less than a FIFO's time is no fault: every sample comes, and no event."""
    script = [{"chip": chip, "fault": "nak", "at_s": 5.0, "for_s": 0.1} for chip in ("max30102", "lsm6dso")]
    running = bench(speed=50.0, faults=script)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(12.0))
    frames = recorder.in_order()
    assert not faults(frames)
    unharmed(frames, running.board.played())
