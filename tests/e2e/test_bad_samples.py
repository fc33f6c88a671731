"""Samples that are no measurements: marked, told by events, never taken for good ones; their neighbours are good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwire_protocol.spec import Event, EventKey, Mark

from .board_log import events, gather, marked, number, unharmed, until
from .reader import Recorder

ECG_DEPTH = 32  # words of the MAX30003's FIFO


def aligned(counts: NDArray[Any], valid: NDArray[np.bool_], played: NDArray[Any], starts: NDArray[Any]) -> int:
    """Return where in what was played a channel's samples begin, all valid ones being equal."""
    for start in starts.tolist():
        log = played[start : start + len(counts)]
        if len(log) == len(counts) and not (log != counts)[valid].any():
            return int(start)
    raise AssertionError("not what was played")


def test_lead_off(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Exactly the samples without electrodes are not valid, within a FIFO's depth, and two events say when."""
    running = bench(speed=50.0, faults=[{"chip": "max30003", "fault": "lead_off", "at_s": 6, "for_s": 5.3}])
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(16.0))
    frames, played = recorder.in_order(), running.board.played()
    told = list(events(frames, Event.LEAD_OFF, Event.LEAD_ON))
    assert [event.code for event in told] == [Event.LEAD_OFF, Event.LEAD_ON]
    assert all(number(event, EventKey.CHANNEL) == 0 for event in told)
    counts, valid = gather(frames, "ecg_lead_i"), gather(frames, "ecg_lead_i", "valid")
    start = aligned(counts, valid, played["ecg_lead_i"], played["max30003_starts"])
    when = played["max30003_us"][start : start + len(counts)]
    off = (when >= 6_000_000) & (when < 11_300_000)
    wrong = np.flatnonzero(off == valid)
    edges = np.flatnonzero(np.diff(off)) + 1
    assert len(edges) == 2
    assert all(np.abs(edges - index).min() <= ECG_DEPTH for index in wrong), edges - wrong[:, None]
    # Until the chip is sure that electrodes are off (115 ms, data sheet), its samples are just at the rail.
    assert (marked(frames, "ecg_lead_i", Mark.LEAD_OFF, Mark.SATURATED) == ~valid).all()
    assert marked(frames, "ecg_lead_i", Mark.LEAD_OFF).sum() > 1280
    unharmed(frames, played, but=["max30003"])


def test_a_board_that_stalls(bench: Callable[..., Any], tmp_path: Path) -> None:
    """After a stall each FIFO's loss is told, exactly where the chip counts it, and samples on both sides are right."""
    running = bench(speed=50.0, faults=[{"chip": "board", "fault": "stall", "at_s": 6, "for_s": 0.45}])
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(12.0))
    frames, played = recorder.in_order(), running.board.played()
    told = {number(event, EventKey.STREAM): event for event in events(frames, Event.OVERRUN)}
    assert sorted(told) == [0, 1]  # an LSM6DSO holds a second and more
    for stream, name, part, mark in (
        (0, "ecg_lead_i", "max30003", Mark.ESTIMATED),
        (1, "ppg_red", "max30102", Mark.LOST),
        (1, "ppg_ir", "max30102", Mark.LOST),
    ):
        counts, valid = gather(frames, name), gather(frames, name, "valid")
        lost = marked(frames, name, mark)
        assert (lost == ~valid).all()
        assert told[stream].details[EventKey.ESTIMATED] == (mark == Mark.ESTIMATED)
        assert number(told[stream], EventKey.COUNT) == lost.sum()
        first, last = np.flatnonzero(lost)[[0, -1]]
        assert lost[first : last + 1].all()
        log, gone = played[name], played[f"{part}_lost"]
        start = aligned(counts[:first], valid[:first], log, played[f"{part}_starts"])
        behind = counts[last + 1 :]
        if mark == Mark.LOST:
            assert (log[start + last + 1 :][: len(behind)] == behind).all()
            assert gone[start + first : start + last + 1].all()
            assert not gone[start : start + first].any()
        else:
            found = aligned(behind, np.ones(len(behind), np.bool_), log, np.arange(start + first, start + last + 40))
            # The clock's estimate is right to a few samples: it cannot know where between two of them it stands.
            assert abs(found - (start + last + 1)) <= 2
    unharmed(frames, played, but=["max30003", "max30102"])


def test_saturation(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Samples at a converter's rail are marked as that, and all of them are; the others are not."""
    script = [
        {"chip": "max30003", "fault": "saturate", "rail": 1, "at_s": 5, "for_s": 1},
        {"chip": "max30102", "fault": "saturate", "rail": 1, "at_s": 7, "for_s": 1},
        {"chip": "lsm6dso", "fault": "saturate", "rail": -1, "at_s": 6, "for_s": 1},
    ]
    running = bench(speed=50.0, faults=script)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(12.0))
    frames, played = recorder.in_order(), running.board.played()
    for name, part, rate in (
        ("ecg_lead_i", "max30003", 256), ("ppg_red", "max30102", 100), ("ppg_ir", "max30102", 100),
        ("accel_x", "lsm6dso", 52), ("accel_z", "lsm6dso", 52),
    ):  # fmt: skip
        counts, valid = gather(frames, name), gather(frames, name, "valid")
        everything = np.ones(len(counts), np.bool_)
        aligned(counts, everything, played[name], played[f"{part}_starts"])
        high, low = counts.max(), counts.min()
        at_rail = counts == (high if (counts == high).sum() > (counts == low).sum() else low)
        assert abs(int(at_rail.sum()) - rate) <= 2
        assert (marked(frames, name, Mark.SATURATED) == at_rail).all()
        assert (valid == ~at_rail).all()
