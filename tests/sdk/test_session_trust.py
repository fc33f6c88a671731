"""Whom a session believes: form, descriptor, enrolment, numbers used before, times that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sdk.sessions import NOW, SECOND, enrolled, feed, of, only, seqs, started

from vitalwire.session import (
    Duplicate,
    Held,
    Limits,
    NeedDescriptor,
    Quarantined,
    Reason,
    Refused,
    ReplayState,
    SecurityEvent,
    Session,
    Verified,
)
from vitalwire.testing import FakeDevice, flipped, forged, high_s, remade, unprotected
from vitalwire_protocol.spec import Key


@pytest.mark.parametrize(
    ("damage", "reason", "detail"),
    [
        (lambda raw, device: raw[:-1], Reason.MALFORMED, "truncated"),
        (lambda raw, device: b"", Reason.MALFORMED, "truncated"),
        (lambda raw, device: unprotected(raw), Reason.MALFORMED, "unprotected"),
        (lambda raw, device: high_s(raw), Reason.FORGED, "high-s"),
        (lambda raw, device: flipped(raw, -1), Reason.FORGED, "signature"),
        (lambda raw, device: flipped(raw, 8 * 60), Reason.FORGED, "signature"),
        (lambda raw, device: forged(raw), Reason.FORGED, "signature"),
        (lambda raw, device: remade(raw, device.private_key, {Key.BOOT: 0}), Reason.MALFORMED, "range"),
    ],
)
def test_bad_frames_are_refused_and_change_nothing(damage: object, reason: Reason, detail: str) -> None:
    """Malformed and forged frames are refused for their reason, and the true frame still counts afterwards."""
    session, device, _, _ = started()
    true = device.status()
    refused = only(session.receive(damage(true, device), NOW), Refused)  # type: ignore[operator]
    assert (refused.reason, refused.detail) == (reason, detail)
    assert session.head(device.thumbprint)[0] == 3
    assert seqs(session.receive(true, NOW)) == [4]


def test_foreign_devices_are_refused() -> None:
    """A device nobody enrolled gets nothing accepted, before and after its descriptor comes, until it is enrolled."""
    session, _, registry, _ = started()
    stranger = FakeDevice("stranger")
    descriptor, frames = stranger.descriptor(), [stranger.status() for _ in range(4)]
    assert of(Held, session.receive(frames[0], NOW))
    outcomes = session.receive(descriptor, NOW)
    assert [(type(o), o.reason) for o in of(Refused, outcomes)] == [(Refused, Reason.FOREIGN)] * 2
    assert only(session.receive(frames[1], NOW), Refused).device == stranger.thumbprint
    assert session.deadline_us() is None
    registry.enrol(stranger.thumbprint, "no stranger")
    assert [type(o) for o in session.receive(frames[2], NOW)] == [Held, NeedDescriptor]
    assert seqs(session.receive(descriptor, NOW) + session.flush()) == [4, 1]


def test_a_descriptor_must_be_signed_with_its_own_key() -> None:
    """Somebody else's signature on a descriptor of an enrolled device teaches the session nothing."""
    device = FakeDevice("one")
    session = Session(enrolled(device))
    refused = only(session.receive(forged(device.descriptor()), NOW), Refused)
    assert (refused.reason, refused.device) == (Reason.FORGED, device.thumbprint)
    assert of(NeedDescriptor, session.receive(device.status(), NOW))


def test_a_frame_of_one_device_is_no_frame_of_another() -> None:
    """A frame signed by one enrolled device under another's descriptor is forged."""
    one, two = FakeDevice("one"), FakeDevice("two")
    session = Session(enrolled(one, two))
    feed(session, [one.descriptor(), two.descriptor()])
    stolen = remade(one.status(), two.private_key, {})
    assert only(session.receive(stolen, NOW), Refused).reason == Reason.FORGED


def test_a_peer_speaks_only_for_whom_it_may() -> None:
    """A frame whose bringer may not speak for its device is refused, is a security event, and changes nothing."""
    one, two = FakeDevice("one"), FakeDevice("two")
    session = Session(enrolled(one, two))
    mays = {device.name: device.thumbprint.__eq__ for device in (one, two)}
    early = [one.descriptor(), one.status()]
    held = session.receive(early[1], NOW, mays["two"])
    assert len(of(Held, held)) == 1
    out = session.receive(early[0], NOW, mays["one"])
    assert [each.reason for each in of(Refused, out)] == [Reason.UNBOUND]  # what waited is still two's to answer for
    out = session.receive(early[1], NOW, mays["two"])
    assert [each.reason for each in of(Refused, out)] == [Reason.UNBOUND]
    assert of(SecurityEvent, out) == [SecurityEvent(one.thumbprint, 2, Reason.UNBOUND)]
    assert seqs(session.receive(early[1], NOW, mays["one"])) == [1, 2]
    assert seqs(session.receive(one.status(), NOW)) == [3]


def test_frames_wait_for_their_descriptor() -> None:
    """Frames of an unknown descriptor are held and asked for once, and verified in order when it comes."""
    device = FakeDevice("one")
    session = Session(enrolled(device))
    descriptor, first, second = device.descriptor(), device.status(), device.status()
    outcomes = session.receive(second, NOW)
    assert [type(o) for o in outcomes] == [Held, NeedDescriptor]
    assert [type(o) for o in session.receive(first, NOW)] == [Held]
    assert seqs(session.receive(descriptor, NOW)) == [1, 2, 3]


def test_a_descriptor_is_asked_for_again_while_frames_wait() -> None:
    """`deadline_us` says when, `poll` asks, and stops when nothing waits any more."""
    device = FakeDevice("one")
    session = Session(enrolled(device))
    descriptor = device.descriptor()
    feed(session, [device.status()])
    assert session.deadline_us() == NOW + 5 * SECOND
    assert session.poll(NOW + 4 * SECOND) == []
    assert len(of(NeedDescriptor, session.poll(NOW + 5 * SECOND))) == 1
    feed(session, [descriptor], NOW + 6 * SECOND)
    assert not of(NeedDescriptor, session.poll(NOW + 60 * SECOND))


def test_held_frames_are_bounded() -> None:
    """However many frames name unknown descriptors, what is kept stays small, and what gives way is refused aloud."""
    device = FakeDevice("one")
    session = Session(enrolled(device), limits=Limits(held_bytes=20_000))
    held = refused = 0
    for number in range(200):
        raw = remade(device.status(), device.private_key, {Key.DESCRIPTOR: number.to_bytes(8, "big")})
        outcomes = session.receive(raw, NOW)
        held += len(of(Held, outcomes))
        refused += len(of(Refused, outcomes))
    assert held == 200
    assert refused > 150
    left = of(Refused, session.flush())
    assert len(left) + refused == 200
    assert {each.reason for each in left} == {Reason.UNKNOWN_DESCRIPTOR}


def test_the_same_bytes_again_are_a_duplicate() -> None:
    """A resent frame is dropped, and acknowledged again only once the first is durable."""
    session, device, _, made = started()
    outcomes = feed(session, [device.status()])
    again = made[1]
    assert only(session.receive(again, NOW), Duplicate) == Duplicate(device.thumbprint, 2, durable=False)
    assert session.acknowledgements(device.thumbprint) == ()
    session.durable(outcomes)
    assert session.acknowledgements(device.thumbprint) == ((4, 4),)
    assert only(session.receive(again, NOW), Duplicate).durable is False


def test_the_same_number_with_other_bytes_is_a_conflict() -> None:
    """Other bytes under a used number are quarantined with a security event, and nothing else changes."""
    session, device, _, made = started()
    twin = remade(made[1], device.private_key, {Key.TICKS: 77})
    for _ in range(2):
        quarantined, event = session.receive(twin, NOW)
        assert isinstance(quarantined, Quarantined)
        assert (quarantined.reason, quarantined.raw) == (Reason.CONFLICT, twin)
        assert event == SecurityEvent(device.thumbprint, 2, "conflict")
    assert seqs(feed(session, [device.status()])) == [4]


def test_a_forged_frame_is_no_conflict() -> None:
    """Nobody without the key can accuse a device of using a number twice."""
    session, _, _, made = started()
    assert only(session.receive(forged(made[1], {Key.TICKS: 77}), NOW), Refused).reason == Reason.FORGED
    assert only(session.receive(high_s(made[1]), NOW), Refused).reason == Reason.FORGED


def test_a_conflict_is_no_reason_to_acknowledge() -> None:
    """Storing the other bytes of a number does not let the device erase the frame that was accepted under it."""
    session, device, _, made = started()
    outcomes = session.receive(remade(made[1], device.private_key, {Key.TICKS: 77}), NOW)
    session.durable(outcomes)
    assert session.acknowledgements(device.thumbprint) == ()


def test_what_is_too_old_to_compare_is_quarantined(tmp_path: Path) -> None:
    """A good frame under a number whose digest is forgotten is kept aside, never taken for a duplicate."""
    device = FakeDevice("one")
    state = ReplayState(tmp_path / "state.db", window=5)
    session = Session(enrolled(device), state)
    made = [device.descriptor(), *(device.status() for _ in range(20))]
    session.durable(feed(session, made))
    assert isinstance(session.receive(made[19], NOW)[0], Duplicate)
    quarantined = only(session.receive(made[3], NOW), Quarantined)
    assert quarantined.reason == Reason.OLD
    session.acknowledgements(device.thumbprint)
    session.durable([quarantined])
    assert session.acknowledgements(device.thumbprint) == ((4, 4),)


def test_a_frame_from_the_future_is_quarantined_and_not_lost() -> None:
    """It keeps its place in the chain, is told until it is stored, acknowledged then, and verified when fed in time."""
    session, device, _, _ = started()
    device.utc_us = NOW + 301 * SECOND
    early, after = device.status(), device.status()
    quarantined = only(session.receive(early, NOW), Quarantined)
    assert (quarantined.reason, quarantined.raw) == (Reason.FUTURE, early)
    quarantined = only(session.receive(early, NOW), Quarantined)
    later = NOW + 2 * SECOND
    assert seqs(session.receive(after, later)) == [5]
    session.durable([quarantined])
    assert session.acknowledgements(device.thumbprint) == ((4, 4),)
    assert isinstance(session.receive(early, NOW)[0], Duplicate)
    released = only(session.receive(early, later), Verified)
    assert released.late
    assert isinstance(session.receive(early, later)[0], Duplicate)


def test_the_future_begins_behind_accuracy_and_tolerance() -> None:
    """UTC may be ahead by the device's own accuracy and five minutes more, and not by a microsecond beyond."""
    session, device, _, _ = started()
    device.utc_us = NOW + 300 * SECOND + (1 << 14)
    assert seqs(session.receive(device.status(), NOW)) == [4]
    device.utc_us += 1
    assert only(session.receive(device.status(), NOW), Quarantined).reason == Reason.FUTURE
