"""Each policy from the virtual board's chips through client, capture and verdict to the samples that were played."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vitalwire.cli.app import app
from vitalwire.client import Client
from vitalwire.errors import UsageError
from vitalwire.messages import Trust
from vitalwire.offline import Reader
from vitalwire.registry import Registry
from vitalwire.session import ChainBreak, Disproved, Sealed, SecurityEvent
from vitalwire.verdict import Conclusion, conclude, verify
from vitalwire_protocol.spec import Kind, Policy
from vitalwire_tools.provision import filesystem_image, new_identity, reconfigured
from vitalwire_tools.virtual.machine import FLASH, board_file

from .board_log import unharmed, until
from .reader import Recorder, captured
from .test_full_journal import alone


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


def test_sealed_samples_arrive_authentic_and_become_sealed(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Every sample is as it was played; the reader hears what is sealed, over a reset too; the verdict needs no secret,
    and says of the rest that only MACs prove it."""
    running = bench(settings={"policy": "seal", "seal_frames": 8}, speed=20.0)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(31.0))
    running.board.reset()
    recorder.run(until(10.0, boot=2))
    frames = recorder.in_order()
    assert frames[0].descriptor.policy == Policy.SEAL
    assert unharmed([frame for frame in frames if frame.boot == 1], running.board.played()) > 10_000
    signed = {frame.seq for frame in frames if frame.frame.signed}
    assert 4 <= len(signed) < len(frames) / 3
    assert {frame.kind for frame in frames if frame.frame.signed} >= {Kind.DESCRIPTOR, Kind.EVENT, Kind.DATA}
    sealed = {seq for event in recorder.told(Sealed) for seq in range(event.first, event.last + 1)}
    sealed |= {frame.seq for frame in frames if frame.trust == Trust.SEALED}
    sealed = {seq for seq in sealed if seq < max(signed)}  # a client may have heard more than it gave when it ended
    assert sealed == {frame.seq for frame in frames if frame.seq < max(signed)} - signed
    tail = len(frames) - len(sealed) - len(signed)
    assert not recorder.told(SecurityEvent) + recorder.told(ChainBreak) + recorder.told(Disproved)
    with Registry() as stranger:
        stranger.enrol(running.thumbprint, "virtual")
        (unknowing,) = verify(captured(recorder.capture), stranger).devices
    (knowing,) = verify(captured(recorder.capture), running.registry).devices
    assert (knowing.verified, knowing.authentic, knowing.unchecked) == (len(frames) - tail, tail, 0)
    assert (unknowing.verified, unknowing.authentic, unknowing.unchecked) == (len(frames) - tail, 0, tail)
    assert knowing.complete
    read = list(Reader(recorder.capture, running.registry).frames())
    assert [frame.seq for frame in read] == [frame.seq for frame in frames if frame.seq <= max(signed)]


def test_a_full_journal_leaves_sealed_groups(bench: Callable[..., Any], tmp_path: Path) -> None:
    """What a full journal gave up is declared under a signature; what is left is sealed, but for the tail and what had
    left the board when the rest of its group was given up."""
    running = bench(settings={"policy": "seal", "seal_frames": 6}, speed=50.0, sectors=16)
    alone(running.board, 90)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(lambda frames: any(frame.kind == Kind.STATUS for frame in frames[20:]))
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.dropped > 10
    assert device.complete, device
    numbers = device.verified + device.authentic + device.dropped + device.burned
    assert numbers == max(frame.seq for frame in recorder.frames), device
    assert device.authentic < device.verified, device


def test_who_believes_seals_alone_reads_what_was_made_before(bench: Callable[..., Any], tmp_path: Path) -> None:
    """A reader that acknowledges nothing until a signature seals it is sent whole groups, however many wait for it."""
    running = bench(settings={"policy": "seal", "seal_frames": 16}, speed=20.0)
    alone(running.board, 80)
    recorder = Recorder(running.board.url, running.registry, tmp_path, sealed_only=True)
    recorder.run(lambda frames: len(frames) > 40)
    frames = recorder.in_order()
    assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))
    assert {frame.trust for frame in frames} == {Trust.SIGNED, Trust.SEALED}
    assert not recorder.told(SecurityEvent) + recorder.told(ChainBreak) + recorder.told(Disproved)


def test_the_command_sets_the_policy(tmp_path: Path) -> None:
    """`board run virtual --policy` makes and changes a board's policy and refuses what is none."""
    with pytest.raises(UsageError, match="policy cannot be"):
        reconfigured(filesystem_image(new_identity("one"), {}, 1 << 16), {"policy": "none"})
    done = CliRunner().invoke(app, ["board", "run", "virtual", "--folder", str(tmp_path / "b"), "--policy", "none"])
    assert isinstance(done.exception, UsageError) or done.exit_code == 2


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
