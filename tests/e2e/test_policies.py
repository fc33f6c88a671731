"""Each policy from the virtual board's chips through client, capture and verdict to the samples that were played."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vitalwire.client import Client
from vitalwire.offline import Reader
from vitalwire.registry import Registry
from vitalwire.verdict import Conclusion, conclude, verify
from vitalwire_protocol.spec import Kind, Policy
from vitalwire_tools.virtual.machine import FLASH, board_file

from .board_log import unharmed, until
from .reader import Recorder, captured


def test_private_samples_arrive_with_the_key_and_are_proven_without(bench: Callable[..., Any], tmp_path: Path) -> None:
    """With the secret every sample is as it was played; without it the capture is complete and tells none."""
    running = bench(settings={"policy": "private"}, speed=20.0)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(20.0))
    frames = recorder.in_order()
    assert frames[0].descriptor.policy == Policy.PRIVATE
    assert unharmed(frames, running.board.played()) > 8_000
    with Registry() as stranger:
        stranger.enrol(running.thumbprint, "virtual")
        assert conclude(verify(captured(recorder.capture), stranger)) == Conclusion.COMPLETE
        blind = list(Reader(recorder.capture, stranger).frames())
    assert len(blind) == len(frames)
    data = [frame for frame in blind if frame.kind == Kind.DATA]
    assert all(frame.opaque and not frame.signals for frame in data)
    whole = recorder.capture.read_bytes()
    assert all(frame.frame.blocks is not None and frame.frame.blocks not in whole for frame in frames if frame in data)


def test_a_board_without_its_counters_makes_nothing(bench: Callable[..., Any], tmp_path: Path) -> None:
    """With the journal gone and the old key still there, no number could be told from a used one: no frame is made."""
    running = bench(settings={"policy": "private"}, speed=20.0)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(6.0))
    running.board.power_cut()
    offset, size = board_file().partitions["journal"]
    with (running.board.folder / FLASH).open("r+b") as flash:
        flash.seek(offset)
        flash.write(b"\xff" * size)
    running.board.power_on()
    with Client(running.board.url, registry=running.registry, state=tmp_path / "state.db", settle=0.0) as client:
        end = time.monotonic() + 3.0
        while time.monotonic() < end:
            assert client.receive(timeout=0.1) is None
