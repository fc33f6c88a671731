"""Replays: every frame at its time or at once, and faults that are the same for the same seed."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from vitalwire import transports
from vitalwire.capture import Writer
from vitalwire.errors import CaptureError, TransportError
from vitalwire.packet import PacketDecoder
from vitalwire.testing import FakeDevice
from vitalwire.transports.faults import FURTHEST, Faults
from vitalwire.transports.replay import MAX_CLOCKS, Replay, Timed
from vitalwire_protocol.spec import PacketType


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        """Pass."""
        self.now += seconds


@pytest.fixture
def device() -> FakeDevice:
    """A device at its first boot."""
    return FakeDevice()


@pytest.fixture
def frames(device: FakeDevice) -> list[bytes]:
    """A descriptor and thirty frames, two seconds apart."""
    return [device.descriptor(), *(device.sampled() for _ in range(30))]


@pytest.fixture
def path(tmp_path: Path, frames: list[bytes]) -> Path:
    """A capture of them, each a second after the one before."""
    path = tmp_path / "a night.cbor"
    with Writer(path) as writer:
        for number, frame in enumerate(frames):
            writer.write(frame, 1_800_000_000_000_000 + number * 1_000_000)
    return path


def play(url: str) -> list[bytes]:
    """Return the frames a replay gives, in their order."""
    transport, decoder, found = transports.from_url(url), PacketDecoder(), []
    transport.open()
    while (data := transport.read(1.0)) is not None:
        found += decoder.feed(data)
    transport.close()
    assert decoder.counters.bad == 0
    assert {packet.type for packet in found} <= {PacketType.FRAME}
    return [packet.body for packet in found]


def test_a_replay_gives_every_frame_as_a_packet(path: Path, frames: list[bytes]) -> None:
    """At speed 0 the frames come at once, in order and unchanged, and then the end."""
    assert play(f"replay:{path}?speed=0") == frames


def test_a_replay_tells_when_frames_had_arrived(path: Path) -> None:
    """The notes of arrival come through, so that a replay is judged by the time of its recording."""
    transport = transports.from_url(f"replay:{path}?speed=0")
    transport.open()
    assert transport.read(1.0)
    assert transport.arrived_us == 1_800_000_000_000_000
    assert transport.read(1.0)
    assert transport.arrived_us == 1_800_000_001_000_000


@pytest.mark.parametrize(("options", "seconds"), [("speed=1", 60.0), ("speed=10", 6.0), ("pace=received", 30.0)])
def test_a_replay_keeps_its_pace(
    path: Path, monkeypatch: pytest.MonkeyPatch, frames: list[bytes], options: str, seconds: float
) -> None:
    """Frames come as far apart as the device made them, or as they arrived, divided by the speed."""
    clock = Clock(monkeypatch)
    assert play(f"replay:{path}?{options}") == frames
    assert clock.now - 1000 == pytest.approx(seconds, abs=2.1 * seconds / 60)


def test_a_replay_does_not_wait_longer_than_asked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that is not due yet is no bytes after the time-out, and comes in its turn."""
    clock = Clock(monkeypatch)
    transport = transports.from_url(f"replay:{path}")
    transport.open()
    assert transport.read(1.0)
    assert transport.read(1.0)
    assert transport.read(0.5) == b""
    assert clock.now == 1000.5
    assert transport.read(5.0)
    assert clock.now == 1002.0


def test_another_boot_or_device_is_due_at_once(
    tmp_path: Path, device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clocks that have nothing to do with each other are not waited for; old frames among new ones neither."""
    clock = Clock(monkeypatch)
    other = FakeDevice("other")
    other.ticks = 10**12
    early = [device.descriptor(), device.sampled(), device.sampled()]
    device.ticks += 10**10
    with Writer(tmp_path / "a.cbor") as writer:
        for frame in [*early[:2], other.descriptor(), other.sampled(), device.reboot(), device.sampled(), early[2]]:
            writer.write(frame)
    assert len(play(f"replay:{tmp_path / 'a.cbor'}")) == 7
    assert clock.now - 1000 == pytest.approx(2, abs=0.1)


def test_clocks_are_bounded() -> None:
    """A capture of boots without end does not fill the memory."""
    replay = Replay(lambda: (Timed(b"x", clock=number) for number in range(1000)))
    replay.open()
    while replay.read(1.0):
        pass
    assert len(replay._origins) == MAX_CLOCKS


def test_a_replay_begins_again_when_opened_again(path: Path, frames: list[bytes]) -> None:
    """Closing forgets, opening begins, and reading in between is an error."""
    transport = transports.from_url(f"replay:{path}?speed=0")
    with pytest.raises(TransportError):
        transport.read(0)
    for _ in range(2):
        transport.open()
        transport.write(b"nobody reads this")
        assert frames[0] in PacketDecoder().feed(transport.read(0) or b"")[0].body
        transport.close()


def test_a_rotated_capture_is_one_replay(tmp_path: Path, frames: list[bytes]) -> None:
    """The files of one recording are played one after the other."""
    with Writer(tmp_path / "a.cbor", max_bytes=20_000) as writer:
        for frame in frames:
            writer.write(frame)
    played = play(f"replay:{tmp_path / 'a.cbor'}?speed=0")
    assert [frame for frame in played if frame != frames[0]] == frames[1:]
    assert played.count(frames[0]) > 1


def test_what_cannot_be_played_is_a_typed_error(tmp_path: Path) -> None:
    """No file, and no capture."""
    with pytest.raises(TransportError, match="no such file"):
        play(f"replay:{tmp_path / 'none.cbor'}")
    (tmp_path / "a.cbor").write_bytes(b"something else")
    with pytest.raises(CaptureError):
        play(f"replay:{tmp_path / 'a.cbor'}")


# ------------------------------------------------------------ faults


def test_the_same_seed_gives_the_same_faults(path: Path, frames: list[bytes]) -> None:
    """Faults repeat with their seed, differ with another, and spare the descriptor."""
    options = "speed=0&loss=0.2&reorder=0.2&duplicate=0.2&flip=0.2&truncate=0.2"
    first = play(f"replay:{path}?{options}&seed=1")
    assert first == play(f"replay:{path}?{options}&seed=1")
    assert first != play(f"replay:{path}?{options}&seed=2")
    assert first != frames
    assert first[0] == frames[0]


MESSAGES = [Timed(bytes([number % 256, number // 256] * 50), at=number) for number in range(2000)]


def bytes_of(faults: Faults) -> list[bytes]:
    """Return what faults make of the messages."""
    return [message.data for message in faults.apply(MESSAGES)]


SENT = [message.data for message in MESSAGES]


def test_loss_only_loses() -> None:
    """The lost share is what was asked for; the rest keeps its order."""
    found = bytes_of(faults := Faults(loss=0.1, seed=3))
    assert len(SENT) - len(found) == faults.done["loss"] == pytest.approx(200, abs=50)
    assert found == sorted(found, key=SENT.index)
    assert len(set(found)) == len(found)


def test_reordering_only_reorders() -> None:
    """Every message comes once, some of them late, none later than the limit."""
    found = bytes_of(faults := Faults(reorder=0.1, seed=3))
    assert Counter(found) == Counter(SENT)
    assert found != SENT
    assert faults.done["reorder"] == pytest.approx(200, abs=50)
    assert max(abs(found.index(data) - SENT.index(data)) for data in SENT) <= FURTHEST + 1 + FURTHEST


def test_duplicates_come_again() -> None:
    """Every message comes, some of them twice and none changed."""
    found = Counter(bytes_of(faults := Faults(duplicate=0.1, seed=3)))
    assert set(found) == set(SENT)
    assert Counter(found.values()) == {1: 2000 - faults.done["duplicate"], 2: faults.done["duplicate"]}


def test_flips_change_one_bit() -> None:
    """A flipped message differs from what was sent in one bit, anywhere."""
    found = bytes_of(faults := Faults(flip=1.0, seed=3))
    bits = [int.from_bytes(a) ^ int.from_bytes(b) for a, b in zip(found, SENT, strict=True)]
    assert {bit.bit_count() for bit in bits} == {1}
    assert len({bit.bit_length() for bit in bits}) > 600
    assert faults.done["flip"] == 2000


def test_truncation_only_shortens() -> None:
    """A truncated message is a beginning of what was sent, of any length."""
    found = bytes_of(Faults(truncate=1.0, seed=3))
    assert all(sent.startswith(data) and len(data) < len(sent) for data, sent in zip(found, SENT, strict=True))
    assert {len(data) for data in found} == set(range(100))


def test_a_fault_more_does_not_move_the_others() -> None:
    """Losing messages as well leaves the flipped ones the same: each fault draws for itself."""
    flipped = bytes_of(Faults(flip=0.3, seed=9))
    both = bytes_of(Faults(flip=0.3, loss=0.3, seed=9))
    assert set(both) < set(flipped)


def test_pinned_messages_are_spared() -> None:
    """What is pinned passes every fault in its place."""
    pinned = [replace(message, pinned=True) for message in MESSAGES]
    faults = Faults(loss=1.0, reorder=1.0, flip=1.0, truncate=1.0, duplicate=1.0)
    assert list(faults.apply(pinned)) == pinned


def test_empty_messages_survive_all_faults() -> None:
    """There is no bit to flip and nothing to cut in no bytes."""
    assert [m.data for m in Faults(flip=1.0, truncate=1.0).apply([Timed(b"")])] == [b""]
