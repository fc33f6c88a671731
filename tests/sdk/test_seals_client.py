"""Policy `seal` as a consumer of the client sees it: what each frame is given out as, and what is said afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sdk.test_seals import digest, enrolled, made, with_mac
from typer.testing import CliRunner

import vitalwire
from vitalwire import Trust
from vitalwire.capture import Writer
from vitalwire.cli.app import app
from vitalwire.client import ClientEvent, Conversation
from vitalwire.control import Controller
from vitalwire.packet import encode_packet
from vitalwire.registry import Registry
from vitalwire.session import Disproved, Sealed, SecurityEvent, Session
from vitalwire_protocol.spec import Key, PacketType

NOW = 1_790_000_000_000_000


def talk(frames: list[bytes], registry: Registry) -> tuple[Conversation, list[ClientEvent]]:
    """Return a conversation that these frames came into before anybody asked for one."""
    told: list[ClientEvent] = []
    talk = Conversation(Session(registry), Controller(registry.secret), registry, told.append, settle=0.0)
    for number, raw in enumerate(frames):
        talk.feed(encode_packet(PacketType.FRAME, number & 255, raw), 0.0, NOW, NOW)
    talk.finish(1.0)
    return talk, told


def test_a_frame_is_given_out_as_what_it_has_become() -> None:
    """Frames that were sealed while they waited for their consumer are given out as sealed, later ones as authentic."""
    device, frames = made(8)
    conversation, told = talk(frames, enrolled(device))
    found = {frame.seq: frame.trust for frame in conversation.frames}
    assert found == {
        1: Trust.SIGNED, 2: Trust.SIGNED, 3: Trust.SEALED, 4: Trust.SEALED, 5: Trust.SEALED, 6: Trust.SIGNED,
        7: Trust.AUTHENTIC, 8: Trust.AUTHENTIC,
    }  # fmt: skip
    assert [(event.first, event.last) for event in told if isinstance(event, Sealed)] == [(3, 5)]


def test_a_disproved_frame_that_still_waits_is_not_given_out() -> None:
    """A forged frame whose number a signed one takes never reaches the consumer, who hears of it."""
    device, frames = made(6)
    lie = with_mac(frames[5], device, {Key.COUNTERS: {1: 666}})
    conversation, told = talk([*frames[:5], lie, frames[5]], enrolled(device))
    assert [frame.raw for frame in conversation.frames] == frames
    assert [event.digest for event in told if isinstance(event, Disproved)] == [digest(lie)]
    assert any(isinstance(event, SecurityEvent) and event.what == "disproved" for event in told)


@pytest.mark.parametrize("sealed_only", [False, True])
def test_a_replay_gives_both_views(tmp_path: Path, sealed_only: bool) -> None:
    """The client gives authentic frames unless told otherwise; `keys` makes up for a registry without secrets."""
    device, frames = made(8)
    path = tmp_path / "one.vwc"
    write(path, frames)
    keys = enrolled(device)
    with (
        enrolled(device, secret=False) as registry,
        vitalwire.connect(
            f"replay:{path}?speed=0", registry=registry, keys=keys, sealed_only=sealed_only, settle=0.0
        ) as client,
    ):
        seqs = [frame.seq for frame in client]
    assert seqs == list(range(1, 7 if sealed_only else 9))


def write(path: Path, frames: list[bytes]) -> None:
    """Write a capture."""
    with Writer(path) as writer:
        for raw in frames:
            writer.write(raw, NOW)


def test_the_commands_name_what_only_a_mac_proves(tmp_path: Path) -> None:
    """`inspect` never says signed of a frame with a MAC, `replay` counts what no seal covers, `monitor` marks it."""
    device, frames = made(8)
    path, store = tmp_path / "one.vwc", tmp_path / "registry"
    write(path, frames)
    with Registry(store) as registry:
        registry.enrol(device.thumbprint, "one", secret=device.secret)
    run = CliRunner().invoke
    with_secret = run(app, ["inspect", str(path), "--seq", "7", "--registry", str(store)]).output
    assert "authentic: the MAC verifies, the frame is not signed" in " ".join(with_secret.split())
    without = run(app, ["inspect", str(path), "--seq", "7", "--fingerprint", device.thumbprint.hex()]).output
    assert "not verified: the registry has no secret" in " ".join(without.split())
    assert "MAC, 32 bytes" in with_secret
    shown = run(app, ["monitor", f"replay:{path}?speed=0", "--registry", str(store)]).output
    lines = [line for line in shown.splitlines() if "one 1/" in line]
    assert [line.split()[1] for line in lines if "authentic only" in line][-2:] == ["1/7", "1/8"]
    assert "sealed: 3 to 5" in shown
    replayed = run(app, ["replay", str(path), "--registry", str(store)]).output
    assert "2 of them, by a MAC alone" in replayed
