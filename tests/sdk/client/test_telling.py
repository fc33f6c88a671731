"""What a client tells beside frames, and what never becomes one; commands are carried out or raise."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest
from tests.fakeboard import Board
from tests.sdk.client.reading import Connect, some, take, work

from vitalwire.capture import Record, read
from vitalwire.client import ClientEvent
from vitalwire.errors import CommandError, UsageError
from vitalwire.packet import LogLine
from vitalwire.session import Gap, GapClosed, Quarantined, Reason, Refused, SecurityEvent
from vitalwire.testing import FakeDevice, flipped, forged, remade
from vitalwire_protocol.spec import Command, Key, LogLevel, Result


def test_gaps_are_reported_and_closed(board: Board, connect: Connect, events: list[ClientEvent]) -> None:
    """Numbers that do not come are an event, and another when they come late; late frames say so."""
    frames = [board.device.sampled() for _ in range(6)]
    with connect() as client:
        take(client, 2)
        board.send(frames[0], *frames[3:])
        assert [frame.seq for frame in take(client, 4)] == [3, 6, 7, 8]
        assert [(gap.first, gap.last) for gap in events if isinstance(gap, Gap)] == [(4, 5)]
        assert client.session.gaps(board.device.thumbprint) == ((4, 5),)
        board.send(*frames[1:3])
        late = take(client, 2)
    assert [(frame.seq, frame.late) for frame in late] == [(4, True), (5, True)]
    assert some(events, GapClosed)()


def test_frames_that_are_not_to_be_believed_never_come(
    board: Board, connect: Connect, events: list[ClientEvent]
) -> None:
    """Forged, flipped and foreign frames and noise are events and counters; the good frames around them come."""
    good = [board.device.sampled() for _ in range(2)]
    stranger = FakeDevice("stranger")
    with connect() as client:
        take(client, 2)
        board.send(good[0])
        bad = [forged(good[1]), flipped(good[1], 4000), stranger.descriptor(), stranger.sampled(), b"", bytes(100)]
        board.send(*bad, keep=False)
        board.noise(b"\x00" + bytes(range(256)) * 40 + b"\x00>>> \x03\x00")
        board.send(good[1])
        assert [frame.seq for frame in take(client, 2)] == [3, 4]
    reasons = [event.reason for event in events if isinstance(event, Refused)]
    assert reasons.count(Reason.FORGED) >= 1
    assert Reason.FOREIGN in reasons
    assert Reason.MALFORMED in reasons


def test_a_conflict_is_quarantined_and_kept(
    board: Board, connect: Connect, events: list[ClientEvent], tmp_path: Path
) -> None:
    """Another frame under a used number is a security event and goes into the quarantine, not to the consumer."""
    path = tmp_path / "quarantine.cbor"
    first = board.device.sampled()
    twin = remade(first, board.device.private_key, {Key.TICKS: 5})
    with connect(quarantine=path) as client:
        board.send(first)
        take(client, 3)
        board.send(twin, keep=False)
        work(client, some(events, SecurityEvent))
        assert some(events, Quarantined)()
    assert [item.raw for item in read(path) if isinstance(item, Record)] == [twin]


def test_a_frame_from_the_future_waits_in_quarantine(
    board: Board, connect: Connect, events: list[ClientEvent], tmp_path: Path
) -> None:
    """A frame whose UTC is to come is kept and only then acknowledged; without a quarantine it stays on the device."""
    board.device.utc_us = time.time_ns() // 1000 + 3_600_000_000
    future = board.device.sampled()
    with connect() as client:
        board.send(future)
        take(client, 2)
        work(client, some(events, Quarantined))
    assert 3 in board.journal
    events.clear()
    with connect(quarantine=tmp_path / "quarantine.cbor") as client:
        work(client, lambda: 3 in board.acknowledged)
    assert [item.raw for item in read(tmp_path / "quarantine.cbor") if isinstance(item, Record)] == [future]


def test_log_lines_are_events(board: Board, connect: Connect, events: list[ClientEvent]) -> None:
    """What the device logs arrives with its level, its control characters made harmless."""
    with connect() as client:
        take(client, 2)
        board.log(LogLevel.WARNING, "lead off\x1b[2J")
        work(client, some(events, LogLine))
    assert [event for event in events if isinstance(event, LogLine)] == [LogLine(LogLevel.WARNING, "lead off\ufffd[2J")]


def test_a_failing_callback_costs_nothing(board: Board, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """An exception in `on_event` is logged and no frame is lost by it."""

    def fail(event: ClientEvent) -> None:
        raise RuntimeError("my bug")

    with caplog.at_level(logging.ERROR, "vitalwire"), connect(on_event=fail) as client:
        board.send(board.device.sampled())
        assert len(take(client, 3)) == 3
    assert "my bug" in caplog.text


def test_commands_are_carried_out_or_raise(board: Board, connect: Connect) -> None:
    """A command returns when the device has done it and raises when it refuses; frames go on arriving."""
    with connect() as client:
        take(client, 2)
        board.send(board.device.sampled())
        client.command(Command.STOP, [0, 2])
        assert (Command.STOP, [0, 2]) in board.commands
        board.refuse[Command.REBOOT] = Result.NOT_ALLOWED
        with pytest.raises(CommandError, match="NOT_ALLOWED"):
            client.command(Command.REBOOT)
        assert [frame.seq for frame in take(client, 1)] == [3]
        with pytest.raises(UsageError):
            client.command(Command.IDENTIFY)


def test_a_silent_device_does_not_answer_commands(
    board: Board, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command nobody answers ends in an error."""
    with connect() as client:
        take(client, 2)
        board.deaf = True
        monkeypatch.setattr(client._controller, "_patience", 0.3)
        with pytest.raises(CommandError, match="not answered"):
            client.command(Command.START, [0])
