"""What a device keeps private: opened by who has the key, verified, counted and passed on by who has not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vitalwire.capture import Writer
from vitalwire.cli.app import app
from vitalwire.crypto import encryption_key
from vitalwire.encryption import encrypt
from vitalwire.errors import FrameError, SignatureError
from vitalwire.frame import opened, parse
from vitalwire.offline import Reader
from vitalwire.registry import Registry
from vitalwire.session import Session, Verified
from vitalwire.signals import decode
from vitalwire.testing import FakeDevice
from vitalwire.verdict import Conclusion, conclude, verify
from vitalwire_protocol.spec import Event, EventKey, Key, Policy

NOW = 1_790_000_000_000_000
COUNTS = np.arange(512) % 97


def made() -> tuple[FakeDevice, list[bytes]]:
    """Return a private device and its frames: descriptor, boot, data, events of both sides, status."""
    device = FakeDevice(policy=Policy.PRIVATE)
    booted = (Event.BOOT, {EventKey.CAUSE: 1})
    frames = [
        device.descriptor(),
        device.events(booted),
        device.data({"ecg_lead_i": COUNTS}, scalars=[(6, 0, 77)], marks=[(0, 1, 0, 5)]),
        device.events((Event.FALL, {}), (Event.BUTTON, {})),
        device.status(),
        device.reboot(burn=2),
        device.sampled(),
    ]
    return device, frames


def received(registry: Registry, frames: list[bytes]) -> list[Verified]:
    """Return what a session believes."""
    session = Session(registry)
    outcomes = [outcome for raw in frames for outcome in session.receive(raw, NOW)]
    found = [outcome for outcome in outcomes if isinstance(outcome, Verified)]
    session.durable(found)
    assert not session.gaps(found[0].device)
    assert session.acknowledgements(found[0].device)[-1][1] == found[-1].frame.seq
    return found


def test_with_the_key_all_is_there() -> None:
    """Samples, marks, readings and events come out as they went in, and the bytes stay those that were signed."""
    device, frames = made()
    with Registry() as registry:
        registry.enrol(device.thumbprint, "one", secret=device.secret)
        found = received(registry, frames)
    assert [each.frame.raw for each in found] == frames
    assert not any(each.frame.opaque for each in found)
    signals = decode(found[2].frame, found[2].descriptor)
    assert signals["ecg_lead_i"].counts.tolist() == COUNTS.tolist()
    assert signals["ecg_lead_i"].valid.sum() == len(COUNTS) - 5
    assert signals["temperature_skin"].counts.tolist() == [77]
    assert [event.code for event in found[3].frame.events] == [Event.FALL, Event.BUTTON]


@pytest.mark.parametrize("secret", [None, bytes(32)])
def test_without_the_key_all_is_verified_and_nothing_is_told(secret: bytes | None) -> None:
    """Without a secret, or with a wrong one, every frame is believed and acknowledged, order and burned numbers are
    clear, and there are no samples and no events but the device's own."""
    device, frames = made()
    with Registry() as registry:
        registry.enrol(device.thumbprint, "one", secret=secret)
        found = received(registry, frames)
        verdict = verify(frames, registry)
    assert [each.frame.raw for each in found] == frames
    assert [each.frame.seq for each in found if each.frame.opaque] == [3, 4, 9]
    assert decode(found[2].frame, found[2].descriptor) == {}
    assert [event.code for each in found for event in each.frame.events] == [Event.BOOT, Event.BOOT]
    assert conclude(verdict) == Conclusion.COMPLETE
    assert verdict.devices[0].burned == 2


def test_private_bytes_show_nothing_of_the_samples() -> None:
    """Two frames of the same samples have nothing in common where the samples are, not even their first bytes."""
    device = FakeDevice(policy=Policy.PRIVATE)
    one, two = (parse(device.data({"ecg_lead_i": COUNTS})).opaque for _ in range(2))
    assert one is not None
    assert two is not None
    assert len(one) == len(two)
    assert sum(a == b for a, b in zip(one, two, strict=True)) < len(one) // 16


def test_events_on_both_sides_are_bounded() -> None:
    """More events on both sides together than a frame may have, and keys on both sides, are refused."""
    device = FakeDevice(policy=Policy.SIGN)
    device.descriptor()
    key = encryption_key(device.secret, device.thumbprint)

    def holding(plaintext: bytes, fields: dict[int, object]) -> bytes:
        private = encrypt(key, device.boot, device.seq + 1, plaintext)
        return device.make(3 if Key.EVENTS in fields else 2, {**fields, Key.PRIVATE: private})

    row = [int(Event.BUTTON), 0, {}]
    full = holding(bytes.fromhex("a10c81830400a0"), {Key.EVENTS: [row] * 16})
    with pytest.raises(FrameError) as refused:
        opened(parse(full), key)
    assert refused.value.reason == "items"
    both = holding(bytes.fromhex("a10b80"), {Key.SCALARS: [[6, 0, 1]]})
    with pytest.raises(FrameError) as refused:
        opened(parse(both), key)
    assert refused.value.reason == "duplicate-key"
    with pytest.raises(SignatureError):
        opened(parse(both), bytes(16))


def test_captures_are_judged_without_and_read_with_the_key(tmp_path: Path) -> None:
    """`verify` needs no key for its verdict; the offline reader gives samples with it, and opaque frames without."""
    device, frames = made()
    path = tmp_path / "private.vwc"
    with Writer(path) as writer:
        for raw in frames:
            writer.write(raw, NOW)
    for secret, opaque in ((None, 3), (device.secret, 0)):
        store = tmp_path / f"registry{opaque}"
        with Registry(store) as registry:
            registry.enrol(device.thumbprint, "one", secret=secret)
            read = list(Reader(path, registry).frames())
        assert sum(frame.opaque for frame in read) == opaque
        assert ("ecg_lead_i" in read[2].signals) == (not opaque)
        done = CliRunner().invoke(app, ["verify", str(path), "--registry", str(store), "--json"])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["conclusion"] == "complete"


def test_inspect_shows_what_is_private_as_such(tmp_path: Path) -> None:
    """`inspect` names algorithm and ciphertext of a private frame, each byte in one row."""
    device, frames = made()
    path = tmp_path / "private.vwc"
    with Writer(path) as writer:
        for raw in frames:
            writer.write(raw, NOW)
    done = CliRunner().invoke(
        app, ["inspect", str(path), "--seq", "3", "--json", "--fingerprint", device.thumbprint.hex()]
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert bytes.fromhex("".join(field["hex"] for field in told["fields"])) == frames[2]
    assert "ciphertext and tag, AES-CCM" in done.stdout
    assert told["trust"].startswith("the signature verifies")
