"""What a client lets the device erase: what its user has taken, or what is on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakeboard import Board
from tests.sdk.client.reading import Connect, take, work

from vitalwire.capture import Record, Writer, read
from vitalwire.client import ClientEvent
from vitalwire.session import Duplicate, ReplayState


def test_only_frames_asked_beyond_are_acknowledged(board: Board, connect: Connect) -> None:
    """Asking for the next frame acknowledges the ones before; the one in hand stays on the device."""
    with connect() as client:
        board.send(*(board.device.sampled() for _ in range(4)))
        assert [frame.seq for frame in take(client, 5)] == [1, 2, 3, 4, 5]
    assert board.acknowledged == {1, 2, 3, 4}
    assert set(board.journal) == {5, 6}


def test_with_manual_acknowledgement_nothing_is_acknowledged_untold(board: Board, connect: Connect) -> None:
    """Iterating says nothing; `durable` does, for exactly the frames it is given."""
    with connect(auto_acknowledge=False) as client:
        board.send(*(board.device.sampled() for _ in range(4)))
        frames = take(client, 6)
        work(client, lambda: len(board.commands) > 6)
        assert board.acknowledged == set()
        client.durable([frames[0], frames[2]])
    assert board.acknowledged == {1, 3}


def test_a_consumer_that_fails_loses_nothing(board: Board, connect: Connect, state: ReplayState) -> None:
    """A frame in hand when the consumer dies is given again to the next one, and the ones before are not."""

    def consume() -> None:
        with connect() as client:
            for frame in client:
                if frame.seq == 3:
                    raise RuntimeError("the disk is full")

    board.send(*(board.device.sampled() for _ in range(4)))
    with pytest.raises(RuntimeError):
        consume()
    with connect() as client:
        assert [frame.seq for frame in take(client, 4)] == [3, 4, 5, 6]


def test_frames_sent_again_are_acknowledged_again(board: Board, connect: Connect, events: list[ClientEvent]) -> None:
    """A device that lost our acknowledgement gets it again, and the consumer gets no frame twice."""
    frames = [board.device.sampled() for _ in range(3)]
    with connect() as client:
        board.send(*frames)
        take(client, 5)
        work(client, lambda: 5 in board.acknowledged)
        board.acknowledged.clear()
        board.send(*frames)
        work(client, lambda: board.acknowledged >= {3, 4, 5})
    assert sum(isinstance(event, Duplicate) for event in events) >= 3


def test_recording_acknowledges_what_is_on_the_disk(board: Board, connect: Connect, tmp_path: Path) -> None:
    """A recorder writes, syncs and then says durable: what the device erased is in the capture."""
    path = tmp_path / "a.cbor"
    board.send(*(board.device.sampled() for _ in range(8)))
    with connect(auto_acknowledge=False) as client, Writer(path) as writer:
        frames = take(client, 10)
        for frame in frames[:6]:
            writer.write(frame.raw, frame.verified.received_us)
        writer.sync()
        client.durable(frames[:6])
        work(client, lambda: len(board.acknowledged) == 6)
    kept = [item.raw for item in read(path) if isinstance(item, Record)]
    assert kept == [frame.raw for frame in frames[:6]]
    assert set(board.journal) == {7, 8, 9, 10}
