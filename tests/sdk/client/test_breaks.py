"""Breaks, silence and reboots lose nothing, and are told."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from tests.fakeboard import Board
from tests.sdk.client.reading import Connect, some, take, work
from tests.waiting import FAR

import vitalwire
from vitalwire.client import ClientEvent, Connected, Disconnected
from vitalwire.client.client import FIRST_WAIT
from vitalwire.control import Confirmed
from vitalwire.errors import TransportError, UsageError
from vitalwire.registry import Registry
from vitalwire.session import Gap, ReplayState


def test_an_unplugged_device_is_connected_again(board: Board, connect: Connect, events: list[ClientEvent]) -> None:
    """After a break the client opens the stream again and gets what was made meanwhile, nothing twice."""
    with connect() as client:
        board.send(board.device.sampled())
        frames = take(client, 3)
        for _ in range(3):
            board.unplug()
            board.send(board.device.sampled(), board.device.sampled())
            frames += take(client, 2)
    assert [frame.seq for frame in frames] == list(range(1, 10))
    assert sum(isinstance(event, Disconnected) for event in events) == 3
    assert sum(isinstance(event, Connected) for event in events) == 4


def test_half_a_packet_before_a_break_does_no_harm(board: Board, connect: Connect) -> None:
    """What was begun before a break is not joined with what comes after."""
    with connect() as client:
        take(client, 2)
        board.noise(b"\x00\x20 begun and never")
        board.unplug()
        board.send(board.device.sampled())
        assert [frame.seq for frame in take(client, 1)] == [3]


def test_a_device_that_is_gone_does_not_block(board: Board, connect: Connect, events: list[ClientEvent]) -> None:
    """While nobody is there `receive` returns in time, and the pauses between attempts grow."""
    with connect() as client:
        take(client, 2)
        board.vanish()
        work(client, some(events, Disconnected))
        until, tries = time.monotonic() + FAR, [client._open_at]
        while len(tries) < 4 and time.monotonic() < until:
            assert client.receive(0.1) is None
            tries += [client._open_at] if client._open_at != tries[-1] else []
    pauses = [later - sooner for sooner, later in pairwise(tries)]
    assert all(pause >= FIRST_WAIT * 2**number for number, pause in enumerate(pauses)), pauses


def test_without_reconnecting_a_break_is_an_error(board: Board, connect: Connect) -> None:
    """Who does not want to wait gets a TransportError."""
    with connect(reconnect=False) as client:
        take(client, 2)
        board.unplug()
        with pytest.raises(TransportError, match="lost"):
            client.receive(FAR)


def test_connecting_to_nothing_is_an_error_at_once(registry: Registry) -> None:
    """The first connection is not tried for ever: a wrong address shows at once."""
    with pytest.raises(TransportError):
        vitalwire.connect("tcp://127.0.0.1:1", registry=registry, state=ReplayState())
    with pytest.raises(UsageError):
        vitalwire.connect("nowhere", registry=registry, state=ReplayState())


def test_a_reboot_is_survived(board: Board, connect: Connect, events: list[ClientEvent]) -> None:
    """A device that reboots under another nonce is recognised, and burned numbers are no gap."""
    with connect() as client:
        take(client, 2)
        work(client, some(events, Confirmed))
        events.clear()
        board.send(board.reboot(burn=3), board.device.sampled())
        frames = take(client, 2)
        work(client, lambda: {2, 6, 7} <= board.acknowledged)
    assert [(frame.boot, frame.seq) for frame in frames] == [(2, 6), (2, 7)]
    assert not some(events, Gap)()
