"""A drift that was learnt in one boot makes the UTC of the next one sharp, from its first fix on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vitalwire_protocol.spec import Command

from .board_log import Frames, until
from .reader import Recorder

UTC = 1_790_000_000_000_000
PPM = 40  # that the board's crystal is slow
EXACT = 6  # 64 us
ENOUGH = 5  # frames: at the end of the first, what was learnt is kept


def utc(ticks: int) -> int:
    """Return what time it really was."""
    return UTC + ticks + ticks * PPM // 1_000_000


def tell(recorder: Recorder, ticks: int) -> None:
    """Tell the board the time of a tick that has passed."""
    recorder.ask(Command.SET_TIME, (ticks, utc(ticks), EXACT))


def learnt(frames: Frames) -> bool:
    """Return whether some frames have a bound that no single fix gives: 50 ppm of the time since the first one."""
    sharp = [
        frame
        for frame in (each.frame for each in frames)
        if frame.utc_accuracy is not None and 1 << frame.utc_accuracy < (frame.ticks - 1_000_000) * PPM // 1_000_000
    ]
    return len(sharp) > ENOUGH


def last(frames: Frames) -> tuple[int, int, int]:
    """Return ticks, error of the UTC and its bound, in microseconds, of the newest frame that has one."""
    frame = max((each for each in frames if each.frame.utc_us is not None), key=lambda each: each.seq).frame
    assert frame.utc_us is not None
    assert frame.utc_accuracy is not None
    return frame.ticks, abs(frame.utc_us - utc(frame.ticks)), 1 << frame.utc_accuracy


def test_a_learnt_drift_outlives_the_boot(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Two fixes a minute apart teach 40 ppm; after a reset one fix is enough for a bound that 50 ppm would break."""
    running = bench({"status_s": 5}, speed=30.0)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(64.0))
    tell(recorder, 1_000_000)
    tell(recorder, 61_000_000)
    recorder.run(learnt)
    running.board.reset()
    recorder.run(until(4.0, boot=2))
    assert all(frame.frame.utc_us is None for frame in recorder.frames if frame.boot == 2)
    tell(recorder, 1_000_000)
    recorder.run(until(90.0, boot=2))
    ticks, error, bound = last([frame for frame in recorder.frames if frame.boot == 2])
    elapsed = ticks - 1_000_000
    assert error <= bound < elapsed * PPM // 1_000_000
