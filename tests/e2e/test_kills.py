"""Power taken away at random moments: nothing acknowledged is lost, nothing comes twice, no number is used again."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

from vitalwire.session import SecurityEvent
from vitalwire.verdict import verify
from vitalwire_protocol import spec
from vitalwire_tools.virtual.compare import compare

from .reader import Recorder, captured


def test_power_cuts_lose_nothing_that_was_made(
    bench: Callable[..., Any], tmp_path: Path, long: bool, results: Callable[..., None]
) -> None:
    """Over many cuts every frame number is delivered once or burned, and every boot's samples are those played."""
    cycles, seed = (300, 20260101) if long else (8, 1)
    chance = random.Random(seed)
    running = bench(speed=20.0)
    board = running.board
    recorder = Recorder(board.url, running.registry, tmp_path)

    def cut() -> None:
        for _ in range(cycles):
            stop.wait(chance.uniform(0.15, 1.6))
            board.power_cut()
            board.power_on()

    stop = threading.Event()
    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        recorder.run(
            lambda frames: not cutter.is_alive() and bool(frames) and frames[-1].boot == cycles + 1
            and frames[-1].kind == spec.Kind.DATA and frames[-1].frame.ticks > 10_000_000,
            patience=cycles * 4 + 60,
        )  # fmt: skip
    finally:
        stop.set()
        cutter.join()
    verdict = verify(captured(recorder.capture), running.registry)
    (device,) = verdict.devices
    assert verdict.ok, device
    assert device.duplicates == 0
    assert device.verified + device.burned == device.head
    assert device.burned == cycles
    assert not recorder.told(SecurityEvent)
    played = board.played()
    samples = 0
    for _, frames in groupby(recorder.in_order(), key=lambda frame: frame.boot):
        for channel in compare((frame.signals for frame in frames), played):
            assert channel.different == 0, channel
            samples += channel.samples
    assert not board.refused()
    assert [e["cause"] for e in board.events if e["event"] == "boot"] == [1] * (cycles + 1)
    results("power cuts at random moments", cuts=cycles, seed=seed, frames=device.verified, burned=device.burned,
            lost=0, twice=0, samples_compared=samples)  # fmt: skip
