"""Policy `seal` in the session: authentic first, sealed by links alone, and what the MAC key is not enough for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import pytest

from vitalwire import cbor, crypto
from vitalwire.messages import Trust
from vitalwire.registry import Registry
from vitalwire.session import (
    Burned,
    ChainBreak,
    Disproved,
    Dropped,
    Duplicate,
    Gap,
    Held,
    Limits,
    Outcome,
    Quarantined,
    Reason,
    Refused,
    ReplayState,
    Sealed,
    SecurityEvent,
    Session,
    Verified,
)
from vitalwire.testing import FakeDevice, flipped, remade
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Event, EventKey, Key, Policy

T = TypeVar("T")
NOW = 1_790_000_000_000_000
AUTHENTIC, SEALED, SIGNED = Trust.AUTHENTIC, Trust.SEALED, Trust.SIGNED


def made(frames: int = 13, group: int = 4) -> tuple[FakeDevice, list[bytes]]:
    """Return a device that seals and its frames: descriptor, boot event, then 3 with a MAC and 1 signed in turns."""
    device = FakeDevice(policy=Policy.SEAL, group=group)
    raws = [device.descriptor(), device.events((Event.BOOT, {EventKey.CAUSE: 1}))]
    return device, raws + [device.status() for _ in range(frames - 2)]


def enrolled(device: FakeDevice, *, secret: bool = True) -> Registry:
    """Return a registry that trusts a device."""
    registry = Registry()
    registry.enrol(device.thumbprint, device.name, secret=device.secret if secret else None)
    return registry


def feed(session: Session, frames: Iterable[bytes]) -> list[Outcome]:
    """Return everything a session says to these frames."""
    return [outcome for raw in frames for outcome in session.receive(raw, NOW)]


def of(kind: type[T], outcomes: Iterable[Outcome]) -> list[T]:
    """Return the outcomes of one kind."""
    return [outcome for outcome in outcomes if isinstance(outcome, kind)]


def trusts(outcomes: Iterable[Outcome]) -> dict[int, Trust]:
    """Return the trust each frame was delivered with, by number."""
    return {outcome.frame.seq: outcome.trust for outcome in of(Verified, outcomes)}


def ranges(outcomes: Iterable[Outcome]) -> list[tuple[int, int]]:
    """Return what was sealed afterwards."""
    return [(outcome.first, outcome.last) for outcome in of(Sealed, outcomes)]


def with_mac(raw: bytes, device: FakeDevice, changes: dict[int, object]) -> bytes:
    """Return a frame as somebody who has only the key of the MACs would make it."""
    fields = cbor.decode(crypto.frame_payload(raw))
    assert isinstance(fields, dict)
    payload = cbor.encode({**fields, **changes})
    return crypto.mac0(crypto.frame_key(device.secret, device.thumbprint), payload, spec.AAD_FRAME)


def digest(raw: bytes) -> bytes:
    """Return what the next frame's PREV is."""
    return hashlib.sha256(raw).digest()[: spec.PREV_SIZE]


# ---------------------------------------------------------------- authentic, then sealed


def test_frames_are_authentic_first_and_sealed_by_the_next_signature() -> None:
    """Frames with a MAC come out at once as authentic; a signed one reports all before it as sealed, and no others."""
    device, frames = made()
    session = Session(enrolled(device))
    outcomes = feed(session, frames)
    expected = {seq: SIGNED if seq in (1, 2, 6, 10) else AUTHENTIC for seq in range(1, 14)}
    assert trusts(outcomes) == expected
    assert ranges(outcomes) == [(3, 5), (7, 9)]
    assert session.authentic(device.thumbprint) == ((11, 13),)
    assert not of(SecurityEvent, outcomes)


def test_without_the_key_frames_come_sealed_and_in_order() -> None:
    """A reader without the secret, or who wants sealed ones only, gets whole groups in order and nothing authentic."""
    device, frames = made()
    for session in (Session(enrolled(device, secret=False)), Session(enrolled(device), sealed_only=True)):
        outcomes = feed(session, frames)
        assert list(trusts(outcomes).items()) == [
            (seq, SIGNED if seq in (1, 2, 6, 10) else SEALED) for seq in range(1, 11)
        ]
        assert not of(Gap, outcomes)
        assert [held.frame.seq for held in of(Held, outcomes)] == [3, 4, 5, 7, 8, 9, 11, 12, 13]
        assert {outcome.reason for outcome in of(Refused, session.flush())} == {Reason.UNSEALED}


def test_what_waits_for_a_seal_is_bounded() -> None:
    """Without the key no more is kept aside than the limit allows, the oldest gives way, and is refused by name."""
    device, frames = made(60, group=100)
    session = Session(enrolled(device, secret=False), limits=Limits(held_bytes=2 * 20 * 700))
    outcomes = feed(session, frames)
    refused = of(Refused, outcomes)
    assert {outcome.reason for outcome in refused} == {Reason.UNSEALED}
    assert 20 < len(refused) < 50


@pytest.mark.parametrize("secret", [True, False])
def test_late_frames_are_sealed_as_they_come(secret: bool) -> None:
    """Frames that come after their seal are sealed at once if links lead to them, in whatever order they come."""
    device, frames = made()
    session = Session(enrolled(device, secret=secret), limits=Limits(reorder_frames=0))
    first = feed(session, [*frames[:2], frames[5], frames[9]])
    assert trusts(first) == dict.fromkeys((1, 2, 6, 10), SIGNED)
    outcomes = feed(session, [frames[6], frames[7], frames[8], frames[4], frames[3], frames[2]])
    assert {seq for seq, trust in trusts(outcomes).items() if trust == SEALED} | {
        seq for a, b in ranges(outcomes) for seq in range(a, b + 1)
    } == {3, 4, 5, 7, 8, 9}
    assert not session.authentic(device.thumbprint)
    assert not session.gaps(device.thumbprint)
    assert not of(SecurityEvent, outcomes)


def test_a_missing_frame_keeps_those_before_it_authentic() -> None:
    """No seal covers what lies beyond a hole; when the hole is filled, it does."""
    device, frames = made()
    session = Session(enrolled(device), limits=Limits(reorder_frames=0))
    outcomes = feed(session, [*frames[:3], *frames[4:6]])
    assert ranges(outcomes) == [(5, 5)]
    assert session.authentic(device.thumbprint) == ((3, 3),)
    outcomes = feed(session, [frames[3]])
    assert trusts(outcomes) == {4: SEALED}
    assert ranges(outcomes) == [(3, 3)]


def test_a_reboot_seals_what_the_last_boot_left() -> None:
    """The boot event is signed: across burned numbers it proves the frames before it."""
    device, frames = made(5)
    session = Session(enrolled(device))
    outcomes = feed(session, [*frames, device.reboot(burn=3), device.status()])
    assert ranges(outcomes) == [(3, 5)]
    assert of(Burned, outcomes) == [Burned(device.thumbprint, 6, 8)]


def test_a_drop_is_declared_under_a_signature_and_seals_what_it_names() -> None:
    """A seal that the device gave up is no loss: the declaration's PREV proves the frames before the dropped ones."""
    device, frames = made(13)
    session = Session(enrolled(device))
    outcomes = feed(session, frames[:4])
    outcomes += feed(session, [device.dropped(frames[4:13])])
    assert of(Dropped, outcomes) == [Dropped(device.thumbprint, 5, 13)]
    assert ranges(outcomes) == [(3, 4)]
    assert not session.authentic(device.thumbprint)


def test_a_group_cut_by_a_drop_is_sealed_from_its_rest_on() -> None:
    """What a full journal leaves of a group is sealed: its seal comes last."""
    device, frames = made(10)
    dropped = device.dropped(frames[2:4])
    session = Session(enrolled(device, secret=False))
    outcomes = feed(session, [frames[0], frames[1], *frames[4:10], dropped]) + session.poll(NOW + 10_000_000)
    assert trusts(outcomes) == {seq: SIGNED if seq in (1, 2, 6, 10, 11) else SEALED for seq in (1, 2, *range(5, 12))}
    assert of(Dropped, outcomes) == [Dropped(device.thumbprint, 3, 4)]


# ---------------------------------------------------------------- durable


def test_what_is_sealed_stays_so_across_restarts(tmp_path: Path) -> None:
    """What only a MAC proves is remembered with the chain, and a seal after a restart covers it."""
    device, frames = made()
    registry = enrolled(device)
    for stop in (4, 5, 8, 13):
        state = ReplayState(tmp_path / "state.db")
        session = Session(registry, state)
        outcomes = feed(session, frames[:stop])
        assert not of(SecurityEvent, outcomes)
        session.durable(outcomes)
        before = session.authentic(device.thumbprint)
        state.close()
        state = ReplayState(tmp_path / "state.db")
        again = Session(registry, state)
        assert again.authentic(device.thumbprint) == before
        assert all(isinstance(each, Duplicate) for each in feed(again, frames[:stop]))
        if stop == 5:
            assert ranges(feed(again, frames[5:6])) == [(3, 5)]
        state.close()
    assert before == ((11, 13),)


def test_frames_made_durable_after_their_seal_are_remembered_as_sealed(tmp_path: Path) -> None:
    """The order in which a consumer stores does not matter."""
    device, frames = made(6)
    state = ReplayState(tmp_path / "state.db")
    session = Session(enrolled(device), state)
    outcomes = of(Verified, feed(session, frames))
    for outcome in (outcomes[0], outcomes[1], outcomes[5], outcomes[3], outcomes[2], outcomes[4]):
        session.durable([outcome])
    assert session.acknowledgements(device.thumbprint) == ((1, 6),)
    assert not Session(enrolled(device), state).authentic(device.thumbprint)
    assert not state.unsealed(device.thumbprint).rows


# ---------------------------------------------------------------- what must not be believed


def test_a_mac_under_another_policy_is_a_downgrade() -> None:
    """A device that announces signatures, or encryption, is not believed on a MAC, however right."""
    for policy in (Policy.SIGN, Policy.PRIVATE):
        device = FakeDevice(policy=policy)
        session = Session(enrolled(device))
        feed(session, [device.descriptor(), device.status()])
        (refused,) = feed(session, [with_mac(device.status(), device, {})])
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.detail) == (Reason.DOWNGRADE, "tag")
        assert session.head(device.thumbprint)[0] == 2


def test_an_old_descriptor_does_not_bring_the_old_policy_back() -> None:
    """After a descriptor that announces signatures, a MAC that names the one before is a downgrade; before it, not."""
    device, frames = made(4)
    session = Session(enrolled(device), limits=Limits(reorder_frames=0))
    feed(session, frames[:3])
    old = hashlib.sha256(frames[0]).digest()[: spec.DIGEST_SIZE]
    device.policy = Policy.SIGN
    new = [device.descriptor("2.0.0"), device.status()]
    feed(session, new)
    forged = with_mac(device.status(), device, {Key.DESCRIPTOR: old})
    assert [outcome.reason for outcome in of(Refused, feed(session, [forged]))] == [Reason.DOWNGRADE]
    assert trusts(feed(session, [frames[3]])) == {4: SEALED}


@pytest.mark.parametrize("damage", ["payload", "mac", "key"])
def test_a_wrong_mac_is_refused(damage: str) -> None:
    """A flipped bit of payload or MAC, or another device's key, and nothing of the frame is used."""
    device, frames = made(4)
    session = Session(enrolled(device))
    feed(session, frames[:2])
    raw = frames[2]
    bad = {
        "payload": flipped(raw, 8 * 70),
        "mac": flipped(raw, 8 * len(raw) - 1),
        "key": with_mac(raw, FakeDevice(), {}),
    }[damage]
    (refused,) = feed(session, [bad])
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.detail) == (Reason.FORGED, "mac")
    assert trusts(feed(session, frames[2:])) == {3: AUTHENTIC, 4: AUTHENTIC}


def test_events_in_a_frame_with_a_mac_explain_nothing() -> None:
    """A boot or drop declared without a signature leaves its numbers missing."""
    device, frames = made(3)
    session = Session(enrolled(device), limits=Limits(reorder_frames=0))
    feed(session, frames)
    row = [int(Event.DROPPED), 0, {4: 4, 5: 8, 6: bytes(16), 13: digest(frames[2])}]
    lie = with_mac(device.status(), device, {Key.KIND: 3, Key.EVENTS: [row], Key.SEQ: 9, Key.PREV: bytes(16)})
    outcomes = feed(session, [lie])
    assert not of(Dropped, outcomes)
    assert of(Gap, outcomes) == [Gap(device.thumbprint, 4, 8)]


@pytest.mark.parametrize("place", range(3))
def test_a_forged_authentic_frame_is_never_sealed(place: int) -> None:
    """Whoever has the MAC key can have one frame believed as authentic; the seal disproves it, says so, and the true
    frame takes its place."""
    device, frames = made(10)
    session = Session(enrolled(device))
    seq = 3 + place
    lie = with_mac(frames[seq - 1], device, {Key.COUNTERS: {1: 666}})
    outcomes = feed(session, [*frames[: seq - 1], lie])
    assert trusts(outcomes)[seq] == AUTHENTIC
    rest = feed(session, frames[seq - 1 : 6])
    assert [outcome.reason for outcome in of(Quarantined, rest)] == [Reason.CONFLICT]  # the true one, so far
    assert of(SecurityEvent, rest)
    sealed = [number for a, b in ranges(rest) for number in range(a, b + 1)]
    assert seq not in sealed
    assert session.authentic(device.thumbprint)[0][1] == seq
    again = feed(session, [frames[seq - 1]])
    assert of(Disproved, again) == [Disproved(device.thumbprint, seq, digest(lie))]
    assert trusts(again) == {seq: SEALED}
    assert not session.authentic(device.thumbprint)
    assert not of(SecurityEvent, feed(session, frames[6:]))
    assert [outcome.reason for outcome in of(Quarantined, feed(session, [lie]))] == [Reason.CONFLICT]


def test_a_signed_frame_beats_an_authentic_one_of_its_number() -> None:
    """A forger cannot keep a seal out by taking its number first."""
    device, frames = made(10)
    session = Session(enrolled(device))
    lie = with_mac(frames[5], device, {Key.COUNTERS: {1: 666}})
    outcomes = feed(session, [*frames[:5], lie, frames[5]])
    assert of(Disproved, outcomes) == [Disproved(device.thumbprint, 6, digest(lie))]
    assert trusts(outcomes)[6] == SIGNED
    assert ranges(outcomes) == [(3, 5)]
    assert [event.what for event in of(SecurityEvent, outcomes)] == ["disproved"]
    assert not of(SecurityEvent, feed(session, frames[6:]))
    assert not of(ChainBreak, outcomes)


def test_an_authentic_frame_must_fit_what_is_proven() -> None:
    """A MAC is not enough where proven neighbours demand other bytes: the frame is set aside and reported."""
    device, frames = made(10)
    session = Session(enrolled(device), limits=Limits(reorder_frames=0))
    feed(session, [*frames[:2], *frames[3:6]])
    above = with_mac(frames[2], device, {Key.COUNTERS: {1: 666}})
    beyond = with_mac(frames[6], device, {Key.PREV: bytes(16)})
    for lie in (above, beyond):
        outcomes = feed(session, [lie])
        assert [outcome.reason for outcome in of(Quarantined, outcomes)] == [Reason.CONFLICT]
        assert of(SecurityEvent, outcomes)
        assert not of(Verified, outcomes)
    assert trusts(feed(session, [frames[2], *frames[6:7]])) == {3: SEALED, 7: AUTHENTIC}


def test_a_restart_does_not_make_a_forged_frame_sealed(tmp_path: Path) -> None:
    """A forged authentic frame that was made durable is still disproved after a restart, and replaced in the state."""
    device, frames = made(6)
    lie = with_mac(frames[3], device, {Key.COUNTERS: {1: 666}})
    for sent in ([*frames[:3], lie], frames[4:]):
        state = ReplayState(tmp_path / "state.db")
        session = Session(enrolled(device), state)
        session.durable(feed(session, sent))
        state.close()
    state = ReplayState(tmp_path / "state.db")
    session = Session(enrolled(device), state)
    assert session.authentic(device.thumbprint) == ((3, 4),)
    outcomes = feed(session, [frames[3]])
    assert of(Disproved, outcomes)
    session.durable(outcomes)
    state.close()
    state = ReplayState(tmp_path / "state.db")
    assert not Session(enrolled(device), state).authentic(device.thumbprint)
    assert isinstance(feed(Session(enrolled(device), state), [frames[3]])[0], Duplicate)


def test_frames_that_no_seal_covers_are_bounded() -> None:
    """A device, or a forger, that never seals is refused beyond the limit, and believed again after a seal."""
    device, frames = made(40, group=30)
    session = Session(enrolled(device), limits=Limits(unsealed_frames=10, reorder_frames=0))
    outcomes = feed(session, frames[:31])
    assert len(trusts(outcomes)) == 12
    assert {outcome.reason for outcome in of(Refused, outcomes)} == {Reason.BUSY}
    assert trusts(feed(session, frames[31:32])) == {32: SIGNED}
    assert all(trust == SEALED for trust in trusts(feed(session, frames[30:11:-1])).values())
    assert not session.authentic(device.thumbprint)


def test_a_revoked_device_is_believed_as_far_as_proven_links_lead() -> None:
    """After revocation the secret is gone; frames with a MAC count only if a sealed chain demands them."""
    device, frames = made(10)
    registry = enrolled(device)
    session = Session(registry, limits=Limits(reorder_frames=0))
    feed(session, [*frames[:3], frames[5]])
    registry.revoke(device.thumbprint)
    outcomes = feed(session, [frames[4], frames[3], *frames[6:]])
    assert trusts(outcomes) == {4: SEALED, 5: SEALED}
    assert all(outcome.by_chain for outcome in of(Verified, outcomes))
    assert not session.authentic(device.thumbprint)


def test_a_seal_of_another_key_seals_nothing() -> None:
    """Only the device's own signature seals."""
    device, frames = made(6)
    session = Session(enrolled(device))
    feed(session, frames[:5])
    forged = remade(frames[5], FakeDevice().private_key, {})
    assert [outcome.reason for outcome in of(Refused, feed(session, [forged]))] == [Reason.FORGED]
    assert session.authentic(device.thumbprint) == ((3, 5),)
