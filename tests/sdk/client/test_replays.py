"""A capture is read as if its device were there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sdk.client.reading import some

import vitalwire
from vitalwire.client import ClientEvent
from vitalwire.errors import CaptureError, TransportError, UsageError
from vitalwire.registry import Registry
from vitalwire.session import Duplicate, Refused
from vitalwire_protocol.spec import Command


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
