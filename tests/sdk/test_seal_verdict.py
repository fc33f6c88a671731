"""The verdict on records of policy `seal`: what signatures cover, what only MACs prove, and that both paths agree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.sdk.test_seals import enrolled, made, with_mac
from typer.testing import CliRunner

from vitalwire.capture import Writer
from vitalwire.cli.app import app
from vitalwire.messages import Trust
from vitalwire.offline import Reader
from vitalwire.registry import Registry
from vitalwire.session import Reason, Sealed, Session, Verified
from vitalwire.testing import FakeDevice, flipped
from vitalwire.verdict import Conclusion, DeviceVerdict, Verdict, conclude, verify
from vitalwire_protocol.spec import Key, Policy

NOW = 1_790_000_000_000_000


def judged(frames: Iterable[bytes], registry: Registry) -> Verdict:
    """Return the verdict, after holding that the chain says what checking frame by frame says."""
    raws = list(frames)
    by_chain = verify(raws, registry)
    assert by_chain == verify(raws, registry, by_chain=False)
    return by_chain


def told(frames: Iterable[bytes], registry: Registry) -> DeviceVerdict:
    """Return the verdict on the one device."""
    (device,) = judged(frames, registry).devices
    return device


def test_a_record_that_ends_with_a_seal_is_complete() -> None:
    """Every frame counts as verified, with and without the secret: the chain needs none."""
    device, frames = made(14)
    for secret in (True, False):
        verdict = judged(frames, enrolled(device, secret=secret))
        assert conclude(verdict) == Conclusion.COMPLETE
        assert (verdict.verified, verdict.unsealed) == (14, 0)


def test_an_unsealed_tail_has_a_word_of_its_own() -> None:
    """Frames behind the last signature are authentic with the secret, unchecked without, and never verified."""
    device, frames = made(13)
    with_secret, without = (told(frames, enrolled(device, secret=secret)) for secret in (True, False))
    assert (with_secret.verified, with_secret.authentic, with_secret.unchecked) == (10, 3, 0)
    assert (without.verified, without.authentic, without.unchecked) == (10, 0, 3)
    assert with_secret.head == without.head == 10
    assert not with_secret.ok
    assert conclude(judged(frames, enrolled(device))) == Conclusion.UNSEALED
    assert conclude(judged(frames, enrolled(device, secret=False))) == Conclusion.UNSEALED
    assert conclude(judged(frames[:12], enrolled(device)), damaged=1) == Conclusion.INCOMPLETE


def test_any_order_gives_the_same_verdict() -> None:
    """Late frames, late seals, repetitions: the verdict depends on what is there, not on when it came."""
    device, frames = made(22)
    frames += [device.reboot(burn=4), *(device.status() for _ in range(6))]
    registry = enrolled(device)
    expected = told(frames, registry)
    assert (expected.verified, expected.authentic, expected.burned) == (27, 2, 4)
    chance = np.random.default_rng(5)
    for _ in range(20):
        mixed = [frames[place] for place in chance.permutation(len(frames))]
        assert told([frames[0], *mixed[:40]], registry).verified == expected.verified
        twice = told([frames[0], *mixed, *mixed], registry)
        assert (twice.verified, twice.authentic, twice.missing) == (27, 2, ())
        assert twice.duplicates == len(frames) + 1


@pytest.mark.parametrize("secret", [True, False])
def test_tampering_is_found_at_every_position(secret: bool) -> None:
    """A bit of any frame flipped: neither it nor what stands between it and the signature before counts."""
    device, frames = made(14)
    registry = enrolled(device, secret=secret)
    chance = np.random.default_rng(7)
    for place in range(1, len(frames)):
        raw, seq = frames[place], place + 1
        lost = seq - max(each for each in (1, 2, 6, 10) if each < seq)
        for bit in chance.integers(80, 8 * len(raw), 4):
            verdict = judged([*frames[:place], flipped(raw, int(bit)), *frames[place + 1 :]], registry)
            assert conclude(verdict) == Conclusion.REFUSED, (place, bit)
            assert verdict.verified == 14 - lost, (place, bit)


def test_a_missing_frame_leaves_those_before_it_authentic() -> None:
    """What no links lead to from a signature is not verified, though all MACs are right."""
    device, frames = made(14)
    verdict = told([*frames[:7], *frames[8:]], enrolled(device))
    assert verdict.missing == ((8, 8),)
    assert (verdict.verified, verdict.authentic) == (12, 1)
    assert conclude(judged([*frames[:7], *frames[8:]], enrolled(device))) == Conclusion.INCOMPLETE


def test_who_has_only_the_mac_key_forges_nothing_that_counts() -> None:
    """A forged frame beside or in the place of a true one is a conflict or breaks the chain; it is never verified."""
    device, frames = made(14)
    registry = enrolled(device)
    for place in range(2, 14):
        lie = with_mac(frames[place], device, {Key.COUNTERS: {1: 666}})
        beside = told([*frames, lie], registry)
        assert (beside.verified, beside.conflicts) == (14, 1)
        instead = judged([*frames[:place], lie, *frames[place + 1 :]], registry)
        assert conclude(instead) == (Conclusion.REFUSED if place < 13 else Conclusion.UNSEALED)
        assert instead.verified < 14
    tail = [with_mac(frames[12], device, {Key.SEQ: 15, Key.PREV: bytes(16)})]
    assert conclude(judged([*frames, *tail], registry)) == Conclusion.REFUSED


def test_a_downgrade_is_refused() -> None:
    """A MAC of a device that announces signatures is refused, and one that names a descriptor of before."""
    device = FakeDevice(policy=Policy.SIGN)
    frames = [device.descriptor(), device.status(), device.status()]
    verdict = told([*frames, with_mac(device.status(), device, {})], enrolled(device))
    assert verdict.refused == {Reason.DOWNGRADE: 1}
    device, frames = made(6)
    old = frames[0]
    device.policy = Policy.SIGN
    frames += [device.descriptor("2.0.0"), device.status()]
    lie = device.status()
    fields = {Key.DESCRIPTOR: named(old)}
    verdict = told([*frames, with_mac(lie, device, fields)], enrolled(device))
    assert verdict.refused == {Reason.DOWNGRADE: 1}
    assert verdict.verified == 8


def named(raw: bytes) -> bytes:
    """Return what frames call a descriptor."""
    return hashlib.sha256(raw).digest()[:8]


def test_the_session_and_the_verdict_agree() -> None:
    """What a session delivers as signed or sealed in the end is what the verdict counts as verified."""
    device, frames = made(30, group=7)
    registry = enrolled(device)
    chance = np.random.default_rng(11)
    for _ in range(10):
        some = [frames[0], *(frames[place] for place in sorted(chance.choice(range(1, 30), 24, replace=False)))]
        session = Session(registry)
        outcomes = [outcome for raw in some for outcome in session.receive(raw, NOW)] + session.flush()
        proven = sum(isinstance(each, Verified) and each.trust != Trust.AUTHENTIC for each in outcomes)
        proven += sum(each.last - each.first + 1 for each in outcomes if isinstance(each, Sealed))
        verdict = told(some, registry)
        assert (verdict.verified, verdict.authentic) == (proven, len(some) - proven)


def test_the_command_says_unsealed_and_the_export_leaves_it_out(tmp_path: Path) -> None:
    """`verify` ends with 8 for an authentic tail, in words and JSON; reading offline gives only what is sealed."""
    device, frames = made(13)
    path, store = tmp_path / "one.vwc", tmp_path / "registry"
    write(path, frames)
    with Registry(store) as registry:
        registry.enrol(device.thumbprint, "one", secret=device.secret)
        read = list(Reader(path, registry).frames())
    assert [(frame.seq, frame.trust) for frame in read] == [
        (seq, Trust.SIGNED if seq in (1, 2, 6, 10) else Trust.SEALED) for seq in range(1, 11)
    ]
    done = CliRunner().invoke(app, ["verify", str(path), "--registry", str(store), "--json"])
    assert done.exit_code == 8, done.output
    said = json.loads(done.stdout)
    assert (said["conclusion"], said["verified"], said["unsealed"]) == ("unsealed", 10, 3)
    done = CliRunner().invoke(app, ["verify", str(path), "--registry", str(store)])
    assert done.exit_code == 8
    assert "3  by a MAC alone" in done.output
    assert "unsealed" in done.output


def write(path: Path, frames: Sequence[bytes]) -> None:
    """Write a capture."""
    with Writer(path) as writer:
        for raw in frames:
            writer.write(raw, NOW)
