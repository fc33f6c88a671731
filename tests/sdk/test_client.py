"""The public client against a device behind a real socket: what it gives, acknowledges, reports and survives."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.fakeboard import Board

import vitalwire
from vitalwire import paths
from vitalwire.capture import Record, Writer, read
from vitalwire.client import ClientEvent, Connected, Disconnected
from vitalwire.control import Confirmed, TimeTold
from vitalwire.errors import BlockError, CaptureError, CommandError, TransportError, UsageError
from vitalwire.packet import LogLine
from vitalwire.registry import Registry
from vitalwire.session import Duplicate, Gap, GapClosed, Quarantined, Reason, Refused, ReplayState, SecurityEvent
from vitalwire.testing import FakeDevice, flipped, forged, remade
from vitalwire_protocol.spec import Command, Counter, Event, EventKey, Key, Kind, LogLevel, Result

FAR = 10.0  # seconds a test waits at most for what must come
SECRET = bytes(range(32))


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry in memory."""
    registry = Registry()
    yield registry
    registry.close()


@pytest.fixture
def board(registry: Registry) -> Iterator[Board]:
    """A provisioned and enrolled board with two frames in its journal: descriptor and status."""
    with Board(secret=SECRET) as board:
        registry.enrol(board.device.thumbprint, "anna", secret=SECRET)
        board.send(board.device.descriptor(), board.device.status())
        yield board


@pytest.fixture
def state() -> Iterator[ReplayState]:
    """What a reader remembers, in memory."""
    state = ReplayState()
    yield state
    state.close()


Connect = Callable[..., vitalwire.Client]


@pytest.fixture
def events() -> list[ClientEvent]:
    """What `on_event` was told."""
    return []


@pytest.fixture
def connect(board: Board, registry: Registry, state: ReplayState, events: list[ClientEvent]) -> Connect:
    """Connect to the board with the fixtures' registry and state."""

    def connecting(**options: object) -> vitalwire.Client:
        chosen = {"registry": registry, "state": state, "settle": 0.0, "on_event": events.append, **options}
        return vitalwire.connect(board.url, **chosen)  # type: ignore[arg-type]

    return connecting


def take(client: vitalwire.Client, count: int) -> list[vitalwire.VerifiedFrame]:
    """Return so many frames, or fail."""
    until, frames = time.monotonic() + FAR, []
    while len(frames) < count and time.monotonic() < until:
        if frame := client.receive(0.2):
            frames.append(frame)
    assert len(frames) == count
    return frames


def work(client: vitalwire.Client, done: Callable[[], bool]) -> None:
    """Let the client work until something is so, or fail; frames are taken and forgotten."""
    until = time.monotonic() + FAR
    while not done() and time.monotonic() < until:
        client.receive(0.05)
    assert done()


def some(events: list[ClientEvent], kind: type) -> Callable[[], bool]:
    """Return a question: was there an event of this kind?"""
    return lambda: any(isinstance(event, kind) for event in events)


# ------------------------------------------------------------ frames


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


# ------------------------------------------------------------ acknowledgements


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


# ------------------------------------------------------------ events


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


# ------------------------------------------------------------ connection


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
        for _ in range(8):
            assert client.receive(0.1) is None
        assert client._failures >= 2
        assert client._open_at > time.monotonic() - 0.1


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


# ------------------------------------------------------------ commands


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


# ------------------------------------------------------------ replays


@pytest.fixture
def recording(tmp_path: Path, registry: Registry) -> tuple[Path, list[bytes]]:
    """A capture of forty frames and what is in it."""
    device, path = FakeDevice(), tmp_path / "a.cbor"
    registry.enrol(device.thumbprint, "recorded")
    device.utc_us = 1_700_000_000_000_000
    frames = [device.descriptor(), *(device.sampled() for _ in range(39))]
    with Writer(path) as writer:
        for frame in frames:
            writer.write(frame, device.utc_us)
    return path, frames


def test_a_replay_ends(recording: tuple[Path, list[bytes]], registry: Registry) -> None:
    """Iterating over a replay gives every frame and stops; again, because a replay remembers nothing."""
    path, frames = recording
    for _ in range(2):
        with vitalwire.connect(f"replay:{path}?speed=0", registry=registry) as client:
            assert [frame.raw for frame in client] == frames
            assert client.ended
            assert client.receive() is None
            with pytest.raises(UsageError):
                client.command(Command.REBOOT)


def test_a_replay_with_faults_tells_every_loss(
    recording: tuple[Path, list[bytes]], registry: Registry, events: list[ClientEvent]
) -> None:
    """Lost, damaged, doubled and disordered frames: what comes is right and in order, and the rest is a gap."""
    path, frames = recording
    url = f"replay:{path}?speed=0&loss=0.1&reorder=0.2&duplicate=0.2&flip=0.1&truncate=0.1&seed=4"
    with vitalwire.connect(url, registry=registry, on_event=events.append) as client:
        found = list(client)
        gaps = client.session.gaps(found[0].device)
    missing = {seq for first, last in gaps for seq in range(first, last + 1)}
    assert [frame.raw for frame in found if not frame.late] == [frames[f.seq - 1] for f in found if not f.late]
    assert {frame.seq for frame in found} | missing >= set(range(1, 38))
    assert not {frame.seq for frame in found} & missing
    assert missing
    assert some(events, Refused)()
    assert some(events, Duplicate)()


def test_a_replay_of_no_capture_is_an_error(tmp_path: Path, registry: Registry) -> None:
    """Another file's bytes are refused and not tried again for ever."""
    (tmp_path / "a.cbor").write_bytes(b"not a capture")
    with (
        vitalwire.connect(f"replay:{tmp_path / 'a.cbor'}", registry=registry) as client,
        pytest.raises(CaptureError),
    ):
        client.receive()
    with pytest.raises(TransportError):
        vitalwire.connect(f"replay:{tmp_path / 'none.cbor'}", registry=registry)


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


# ------------------------------------------------------------ asyncio


def test_async_frames_come_the_same(board: Board, registry: Registry, state: ReplayState) -> None:
    """The asynchronous client gives the same frames, acknowledges the same way and leaves the loop free."""
    events: list[ClientEvent] = []

    async def reading() -> tuple[list[int], int]:
        ticks = 0

        async def ticking() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        beside = asyncio.create_task(ticking())
        found = []
        async with vitalwire.aconnect(
            board.url, registry=registry, state=state, settle=0.0, on_event=events.append
        ) as client:
            async for frame in client:
                found.append(frame.seq)
                if frame.seq == 5:
                    break
                board.send(board.device.sampled())
            assert (await client.receive(FAR)).seq == 6  # type: ignore[union-attr]
            assert await client.receive(0.3) is None
            await client.command(Command.STOP, [1])
        beside.cancel()
        return found, ticks

    found, ticks = asyncio.run(asyncio.wait_for(reading(), 2 * FAR))
    assert found == [1, 2, 3, 4, 5]
    assert board.acknowledged == {1, 2, 3, 4, 5, 6}
    assert ticks > 10
    assert isinstance(events[0], Connected)


def test_async_cancelling_loses_no_frame(board: Board, registry: Registry, state: ReplayState) -> None:
    """A wait that is cancelled over and over gives the frame that comes meanwhile to the next wait."""

    async def reading() -> list[int]:
        found: list[int] = []
        async with vitalwire.aconnect(board.url, registry=registry, state=state, settle=0.0) as client:
            board.send(*(board.device.sampled() for _ in range(8)))
            while len(found) < 10:
                try:
                    found.append((await asyncio.wait_for(anext(client), 0.003)).seq)
                except TimeoutError:
                    continue
        return found

    assert asyncio.run(asyncio.wait_for(reading(), 2 * FAR)) == list(range(1, 11))


def test_async_errors_are_the_same(board: Board, registry: Registry, state: ReplayState) -> None:
    """A broken stream, a wrong address and a client that is not open raise what the synchronous client raises."""

    async def reading() -> None:
        with pytest.raises(TransportError):
            async with vitalwire.aconnect("tcp://127.0.0.1:1", registry=registry, state=state):
                pass
        with pytest.raises(UsageError):
            await vitalwire.aconnect(board.url, registry=registry, state=state).receive()
        async with vitalwire.aconnect(board.url, registry=registry, state=state, settle=0.0, reconnect=False) as client:
            assert [(await anext(client)).seq for _ in "ab"] == [1, 2]
            board.unplug()
            with pytest.raises(TransportError):
                await client.receive(FAR)

    asyncio.run(asyncio.wait_for(reading(), 3 * FAR))


def test_async_replays_end(recording: tuple[Path, list[bytes]], registry: Registry) -> None:
    """`async for` over a replay gives every frame and stops."""
    path, frames = recording

    async def reading() -> list[bytes]:
        async with vitalwire.aconnect(f"replay:{path}?speed=0", registry=registry) as client:
            return [frame.raw async for frame in client]

    assert asyncio.run(asyncio.wait_for(reading(), FAR)) == frames
