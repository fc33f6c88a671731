"""Frames come verified, in order, with their signals and their times."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest
from tests.fakeboard import Board
from tests.sdk.client.reading import SECRET, Connect, some, take, work
from tests.waiting import FAR

import vitalwire
from vitalwire import paths
from vitalwire.client import ClientEvent
from vitalwire.control import TimeTold
from vitalwire.errors import BlockError
from vitalwire.registry import Registry
from vitalwire.session import ReplayState
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Command, Counter, Event, EventKey, Key, Kind


def test_public_names() -> None:
    """The package offers these names and no others."""
    assert sorted(vitalwire.__all__) == [
        "AsyncClient",
        "CaptureWriter",
        "Client",
        "Registry",
        "Session",
        "Signal",
        "Trust",
        "VerifiedFrame",
        "VitalwireError",
        "aconnect",
        "connect",
        "read_capture",
    ]
    assert all(hasattr(vitalwire, name) for name in vitalwire.__all__)


def test_frames_come_verified_and_in_order(board: Board, connect: Connect) -> None:
    """Whatever is in the journal and comes later is given once, in order, under the name in the registry."""
    with connect() as client:
        board.send(*(board.device.sampled() for _ in range(3)))
        frames = take(client, 5)
        board.send(*(board.device.sampled() for _ in range(3)))
        frames += take(client, 3)
    assert [frame.seq for frame in frames] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [frame.kind for frame in frames] == [Kind.DESCRIPTOR, Kind.STATUS] + [Kind.DATA] * 6
    assert {frame.name for frame in frames} == {"anna"}
    assert {frame.device for frame in frames} == {board.device.thumbprint}
    assert {frame.descriptor.device for frame in frames} == {"fake"}


def test_signals_are_what_the_device_sampled(board: Board, connect: Connect) -> None:
    """Counts are the same integers, values follow the descriptor's scale, times rise, marks make samples invalid."""
    counts = {"ecg_lead_i": np.arange(-256, 256), "ppg_red": np.arange(200), "ppg_ir": np.arange(200)[::-1]}
    counts |= {axis: np.arange(104) for axis in ("accel_x", "accel_y", "accel_z")}
    with connect() as client:
        board.device.utc_us = 1_700_000_000_000_000
        board.send(board.device.data(counts, marks=[(0, 1, 10, 5)], scalars=[(6, -500_000, 8000), (6, 0, 8001)]))
        frame = take(client, 3)[2]
    assert set(frame.signals) == {*counts, "temperature_skin"}
    for name, expected in counts.items():
        signal = frame.signals[name]
        assert signal.counts.tolist() == expected.tolist()
        assert signal.time is not None
        assert signal.time.shape == (len(expected),)
        assert (np.diff(signal.time) > 0).all()
        assert signal.time[-1] == pytest.approx(1_700_000_000 + 2, abs=0.05)
    ecg = frame.signals["ecg_lead_i"]
    assert ecg.unit == "mV"
    assert ecg.values == pytest.approx(counts["ecg_lead_i"] * 25 / 65536)
    assert np.flatnonzero(~ecg.valid).tolist() == [10, 11, 12, 13, 14]
    temperature = frame.signals["temperature_skin"]
    assert temperature.values == pytest.approx([31.25, 31.25390625])
    assert temperature.time is not None
    assert np.diff(temperature.time) == pytest.approx([0.5])
    assert frame.signals is frame.signals


def test_events_and_status_come_as_frames(board: Board, connect: Connect) -> None:
    """Event frames carry their events with details and times, status frames their counters."""
    with connect() as client:
        board.device.utc_us = 1_700_000_000_000_000
        board.send(
            board.device.events((Event.LEAD_OFF, {EventKey.CHANNEL: 0})), board.device.status({Counter.FRAMES: 9})
        )
        _, _, event, status = take(client, 4)
    assert [(one.code, dict(one.details)) for one in event.events] == [(Event.LEAD_OFF, {EventKey.CHANNEL: 0})]
    assert event.time_of(event.events[0].ticks) == pytest.approx(1_700_000_000, abs=0.05)
    assert status.status == {Counter.FRAMES: 9}
    assert (event.signals, status.events, event.status) == ({}, (), {})


def test_a_frame_that_is_signed_but_does_not_decode_is_an_error_on_use(board: Board, connect: Connect) -> None:
    """A device's nonsense reaches the consumer as a verified frame; only asking for its samples raises, typed."""
    with connect() as client:
        board.send(board.device.make(Kind.DATA, {Key.BLOCKS: b"\xff\xff"}))
        frame = take(client, 3)[2]
        with pytest.raises(BlockError):
            _ = frame.signals
        board.send(board.device.sampled())
        assert take(client, 1)[0].signals


def test_times_come_from_measuring_the_device(board: Board, connect: Connect, events: list[ClientEvent]) -> None:
    """A device that knows no UTC is measured and told; its frames get times that fit this computer's."""
    with connect() as client:
        work(client, some(events, TimeTold))
        board.send(board.device.sampled())
        frame = take(client, 1)[0]
    assert frame.frame.utc_us is None
    assert frame.time == pytest.approx(time.time() + 2, abs=1)  # the device's clock went on by the frame's two seconds
    assert frame.uncertainty < 0.2
    told = [argument[1] for command, argument in board.commands if command == Command.SET_TIME]
    assert told[0] == pytest.approx(time.time() * 1e6, abs=FAR * 1e6)


def test_first_frames_wait_for_the_first_measurement(board: Board, connect: Connect) -> None:
    """Frames that arrive before the device was asked for its time are given with it all the same."""
    with connect(settle=60.0) as client:
        assert {frame.uncertainty < 0.2 for frame in take(client, 2)} == {True}


def test_without_a_secret_frames_come_all_the_same(board: Board, connect: Connect, registry: Registry) -> None:
    """A device whose secret nobody gave us is read and verified; it gets no commands it would refuse."""
    other = FakeDevice("other")
    registry.enrol(other.thumbprint, "unprovisioned")
    with Board(other) as second:
        second.send(other.descriptor(), other.sampled())
        with vitalwire.connect(second.url, registry=registry, state=ReplayState(), settle=0.0) as client:
            frames = take(client, 2)
    assert frames[1].uncertainty == math.inf
    assert frames[1].time == pytest.approx(time.time(), abs=5)
    assert {command for command, _ in second.commands} == {Command.IDENTIFY, Command.DESCRIBE}


def test_first_frames_wait_until_their_times_are_good(board: Board, connect: Connect) -> None:
    """With `settle` the first frame is given only when others have shown the clocks, but no more than a few."""
    with connect(settle=60.0) as client:
        board.send(board.device.sampled())
        frames = take(client, 2)
        assert client.receive(0.5) is None
        board.send(*(board.device.sampled() for _ in range(6)))
        frames += take(client, 3)
    assert [frame.seq for frame in frames] == [1, 2, 3, 4, 5]


def test_registry_and_state_are_the_users_own_by_default(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without being told otherwise the client trusts and remembers what is in the user's folder."""
    monkeypatch.setenv("VITALWIRE_HOME", str(tmp_path / "home"))
    with Registry(paths.registry_file()) as own:
        own.enrol(board.device.thumbprint, "anna", secret=SECRET)
    for expected in ([1, 2], [2, 3]):
        with vitalwire.connect(board.url, settle=0.0) as client:
            assert [frame.seq for frame in take(client, 2)] == expected
        board.send(board.device.sampled())
    assert {path.name for path in (tmp_path / "home").iterdir()} >= {"registry.db", "state.db"}
    assert paths.data_dir() == tmp_path / "home"
