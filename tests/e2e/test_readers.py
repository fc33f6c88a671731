"""What readers do to a board: come late, come one after the other, command it, or have no right to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest

from vitalwire.client import Client, VerifiedFrame
from vitalwire.control import Acknowledged, AcknowledgeRefused, Confirmed
from vitalwire.errors import CommandError
from vitalwire.registry import Registry
from vitalwire.session import Reason, Refused
from vitalwire.verdict import verify
from vitalwire_protocol.spec import Command, Counter, Event, EventKey, Kind

from .board_log import events, number, unharmed, until
from .reader import Recorder, captured
from .test_full_journal import alone


def test_a_backlog_comes_while_live_frames_go_on(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Minutes that nobody read come whole, and faster than new frames are made: the reader catches up."""
    running = bench(speed=20.0)
    alone(running.board, 120)
    recorder = Recorder(running.board.url, running.registry, tmp_path)

    def caught_up(frames: list[VerifiedFrame]) -> bool:
        newest = frames[-1].frame.ticks if frames and frames[-1].kind == Kind.DATA else 0
        return newest > 130_000_000 and running.board.played()["lsm6dso_us"][-1] - newest < 8_000_000

    recorder.run(caught_up)
    frames = recorder.in_order()
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device
    assert device.verified == device.head
    assert unharmed(frames, running.board.played()) > 60_000


def test_two_readers_one_after_the_other(bench: Callable[..., Any], tmp_path: Path) -> None:
    """A second reader with the first one's state takes up where that ended: nothing twice, nothing missing."""
    running = bench(speed=20.0)
    first = Recorder(running.board.url, running.registry, tmp_path)
    first.run(until(20.0))
    second = Recorder(running.board.url, running.registry, tmp_path)
    second.capture = tmp_path / "second.vwc"
    second.run(until(40.0))
    one, two = ({frame.seq for frame in reader.frames} for reader in (first, second))
    assert not one & two
    assert one | two == set(range(1, max(two) + 1))
    whole = [*captured(first.capture), *captured(second.capture)]
    (device,) = verify(whole, running.registry).devices
    assert device.ok
    assert device.duplicates == 0


def test_a_revoked_device_is_not_believed(bench: Callable[..., Any], tmp_path: Path) -> None:
    """After its revocation a device's new frames are refused, and not acknowledged."""
    running = bench(speed=20.0)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(6.0))
    running.registry.revoke(running.thumbprint)
    late: list[Any] = []
    with Client(
        running.board.url, registry=running.registry, state=tmp_path / "state.db", settle=0.0, on_event=late.append
    ) as client:
        while not any(isinstance(event, Refused) for event in late):
            assert client.receive(timeout=0.1) is None
    refused = [event for event in late if isinstance(event, Refused)]
    assert {event.reason for event in refused} == {Reason.REVOKED}
    assert not any(isinstance(event, Acknowledged) for event in late)


def test_a_forged_acknowledgement_deletes_nothing(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Who has another secret can neither acknowledge nor command; the true reader still gets every frame."""
    running = bench(speed=20.0)
    with Registry() as wrong:
        wrong.enrol(running.thumbprint, "mine", secret=token_bytes(32))
        forger = Recorder(running.board.url, wrong, tmp_path / "forger", state=None)
        forger.capture.parent.mkdir()
        forger.run(lambda frames: len(frames) > 12, whole=False)  # what it cannot acknowledge stands in its way
        assert not forger.told(Acknowledged) + forger.told(AcknowledgeRefused) + forger.told(Confirmed)
        assert len(forger.frames) > 5
        frames = len(forger.frames)
    true = Recorder(running.board.url, running.registry, tmp_path)
    true.run(lambda all_of: len(all_of) > frames and any(frame.kind == Kind.STATUS for frame in all_of))
    assert [frame.seq for frame in true.in_order()][:frames] == list(range(1, frames + 1))
    (device,) = verify(captured(true.capture), running.registry).devices
    assert device.verified == device.head
    told = list(events(true.in_order(), Event.COMMAND_REFUSED))
    assert sum(number(event, EventKey.COUNT) for event in told) >= 1


def test_commands(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Channels stop and start whole streams at a time, with events; log levels are taken; nonsense is refused."""
    running = bench(speed=20.0)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(6.0))
    recorder.ask(Command.STOP, (1, 2))
    before = recorder.frames[-1].frame.ticks / 1e6
    recorder.run(until(before + 12.0))
    recorder.ask(Command.START, (1, 2))
    recorder.ask(Command.LOG_LEVEL, 1)
    with pytest.raises(CommandError, match="BAD_ARGUMENT"):
        recorder.ask(Command.STOP, (1,))  # half a FIFO
    with pytest.raises(CommandError, match="BAD_ARGUMENT"):
        recorder.ask(Command.LOG_LEVEL, 99)
    recorder.run(until(recorder.frames[-1].frame.ticks / 1e6 + 12.0))
    frames = recorder.in_order()
    switched = events(frames, Event.CHANNEL_STOPPED, Event.CHANNEL_STARTED)
    assert [(event.code, number(event, EventKey.CHANNEL)) for event in switched] == [
        (Event.CHANNEL_STOPPED, 1), (Event.CHANNEL_STOPPED, 2), (Event.CHANNEL_STARTED, 1), (Event.CHANNEL_STARTED, 2),
    ]  # fmt: skip
    has = [{"ppg_red", "ppg_ir"} <= frame.signals.keys() for frame in frames if frame.kind == Kind.DATA]
    assert has[0]
    assert has[-1]
    assert not all(has)
    unharmed(frames, running.board.played(), but=["max30102"])
    status = [frame.status for frame in frames if frame.kind == Kind.STATUS]
    assert all(counters[Counter.SENSORS_DOWN] == 0 for counters in status)
