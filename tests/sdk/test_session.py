"""The session: what each kind of frame ends as, and that nothing is lost, doubled or believed without proof."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import pytest

from vitalwire.registry import Registry
from vitalwire.session import (
    Burned,
    ChainBreak,
    Dropped,
    Duplicate,
    Gap,
    GapClosed,
    Held,
    Limits,
    NeedDescriptor,
    Outcome,
    Quarantined,
    Reason,
    Refused,
    ReplayState,
    SecurityEvent,
    Session,
    Verified,
)
from vitalwire.testing import FakeDevice, flipped, forged, high_s, remade, unprotected
from vitalwire_protocol.spec import Event, EventKey, Key

T = TypeVar("T")
NOW = 1_790_000_000_000_000
SECOND = 1_000_000


def enrolled(*devices: FakeDevice) -> Registry:
    """Return a registry that trusts these devices."""
    registry = Registry()
    for device in devices:
        registry.enrol(device.thumbprint, device.name)
    return registry


def started(frames: int = 3, limits: Limits | None = None) -> tuple[Session, FakeDevice, Registry, list[bytes]]:
    """Return a session that has seen a device's first frames, with those frames; number n is at n - 1."""
    device = FakeDevice("one")
    registry = enrolled(device)
    session = Session(registry, limits=limits)
    made = [device.descriptor(), *(device.status() for _ in range(frames - 1))]
    assert seqs(feed(session, made)) == list(range(1, frames + 1))
    return session, device, registry, made


def feed(session: Session, frames: Iterable[bytes], now: int = NOW) -> list[Outcome]:
    """Return everything a session says to these frames."""
    return [outcome for raw in frames for outcome in session.receive(raw, now)]


def of(kind: type[T], outcomes: Iterable[Outcome]) -> list[T]:
    """Return the outcomes of one kind."""
    return [outcome for outcome in outcomes if isinstance(outcome, kind)]


def seqs(outcomes: Iterable[Outcome]) -> list[int]:
    """Return the numbers of the verified frames, in order."""
    return [outcome.frame.seq for outcome in of(Verified, outcomes)]


def only(outcomes: list[Outcome], kind: type[T]) -> T:
    """Return the only outcome."""
    (outcome,) = outcomes
    assert isinstance(outcome, kind)
    return outcome


# ---------------------------------------------------------------- trust


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


# ---------------------------------------------------------------- the same number again


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


# ---------------------------------------------------------------- time


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


# ---------------------------------------------------------------- order and gaps


def test_frames_come_out_in_order() -> None:
    """Frames that overtake each other within the window come out by number, none late, without a gap."""
    session, device, _, _ = started()
    frames = [device.status() for _ in range(6)]
    outcomes = feed(session, [frames[n] for n in (2, 0, 1, 5, 4, 3)])
    assert seqs(outcomes) == [4, 5, 6, 7, 8, 9]
    assert not any(each.late for each in of(Verified, outcomes))
    assert not of(Gap, outcomes)


def test_a_gap_is_reported_after_a_while_and_closed_later() -> None:
    """After two seconds the rest goes on with a Gap naming the numbers; late frames close it, proven by the chain."""
    session, device, _, _ = started()
    frames = [device.status() for _ in range(5)]
    assert feed(session, frames[3:]) == []
    assert session.deadline_us() == NOW + 2 * SECOND
    assert session.poll(NOW + 2 * SECOND - 1) == []
    outcomes = session.poll(NOW + 2 * SECOND)
    assert outcomes[0] == Gap(device.thumbprint, 4, 6)
    assert seqs(outcomes) == [7, 8]
    assert session.gaps(device.thumbprint) == ((4, 6),)
    late = feed(session, [frames[1], frames[0]])
    assert all(each.late for each in of(Verified, late))
    last = feed(session, [frames[2]])
    assert last[1:] == [GapClosed(device.thumbprint, 4, 6)]
    assert session.gaps(device.thumbprint) == ()
    assert not of(ChainBreak, late + last)


def test_the_window_is_bounded_in_frames() -> None:
    """No more than the limit waits for a missing frame, however little time passes."""
    session, device, _, _ = started(limits=Limits(reorder_frames=4))
    device.status()
    outcomes = feed(session, [device.status() for _ in range(5)])
    assert outcomes[0] == Gap(device.thumbprint, 4, 4)
    assert seqs(outcomes) == [5, 6, 7, 8, 9]


def test_the_window_is_bounded_in_bytes_over_all_devices() -> None:
    """Frames that wait for order are bounded together; the device with the most gives way."""
    devices = [FakeDevice(f"device {n}") for n in range(3)]
    session = Session(enrolled(*devices), limits=Limits(pending_bytes=1200))
    for device in devices:
        feed(session, [device.descriptor(), device.status()])
        device.status()
    outcomes: list[Outcome] = []
    for device in devices * 6:
        outcomes += session.receive(device.status(), NOW)
        assert sum(track.pending_bytes for track in session._tracks.values()) <= 1200
    assert of(Gap, outcomes)
    assert len(seqs(outcomes)) >= 12


def test_a_clock_set_back_does_not_stop_the_window() -> None:
    """When the reader's clock jumps back by an hour, waiting begins anew instead of lasting an hour."""
    session, device, _, _ = started()
    device.status()
    feed(session, [device.status()])
    past = NOW - 3600 * SECOND
    assert session.poll(past) == []
    assert seqs(session.poll(past + 2 * SECOND)) == [5]


def test_a_wrong_link_is_a_security_event() -> None:
    """A well-signed frame that does not continue the chain is verified and breaks it aloud."""
    session, device, _, _ = started()
    wrong = remade(device.status(), device.private_key, {Key.PREV: bytes(16)})
    outcomes = session.receive(wrong, NOW)
    assert ChainBreak(device.thumbprint, 4, "prev") in outcomes
    assert SecurityEvent(device.thumbprint, 4, "prev") in outcomes


def test_a_record_may_begin_anywhere() -> None:
    """A first contact in mid-life begins with the lowest frame that comes, not with a gap; its old descriptor too."""
    device = FakeDevice("one")
    made = [device.descriptor(), *(device.status() for _ in range(9))]
    session = Session(enrolled(device))
    assert feed(session, [made[0], made[7], made[6], made[8]]) == []
    outcomes = session.poll(NOW + 2 * SECOND)
    assert seqs(outcomes) == [7, 1, 8, 9]
    assert not of(Gap, outcomes)
    assert seqs(feed(session, [made[4], made[5]])) == [5, 6]
    assert session.gaps(device.thumbprint) == ()


# ---------------------------------------------------------------- burned, dropped, missing


def test_a_reboot_names_burned_numbers() -> None:
    """Numbers a signed boot event names are burned, not missing, and nobody waits for them."""
    session, device, _, _ = started()
    outcomes = session.receive(device.reboot(burn=5), NOW)
    assert outcomes[0] == Burned(device.thumbprint, 4, 8)
    assert seqs(outcomes) == [9]
    assert seqs(session.receive(device.status(), NOW)) == [10]


def test_a_reboot_with_a_new_descriptor() -> None:
    """Where a new descriptor comes before the boot event, its link alone shows the numbers before it as burned."""
    session, device, _, _ = started()
    digest, seq = device.digest, device.seq
    device.boot, device.seq = 2, seq + 3
    outcomes = session.receive(device.descriptor(firmware="2.0.0"), NOW)
    assert outcomes[0] == Burned(device.thumbprint, 4, 6)
    assert seqs(outcomes) == [7]
    details = {EventKey.CAUSE: 1, EventKey.FIRST: seq + 1, EventKey.LAST: seq + 3, EventKey.DIGEST: digest[:16]}
    outcomes = session.receive(device.events((Event.BOOT, details)), NOW)
    assert seqs(outcomes) == [8]
    assert len(outcomes) == 1


def test_numbers_skipped_within_a_boot_are_missing() -> None:
    """A device that skips numbers without a reboot explains nothing, even where the links fit."""
    session, device, _, _ = started()
    device.seq += 2
    outcomes = session.receive(device.status(), NOW) + session.poll(NOW + 2 * SECOND)
    assert outcomes[0] == Gap(device.thumbprint, 4, 5)
    assert not of(Burned, outcomes)


def test_burned_dropped_and_missing_are_told_apart() -> None:
    """In one run: what was burned, what was dropped and what nobody explains come out as what they are."""
    session, device, _, _ = started()
    dropped = [device.status() for _ in range(3)]  # 4 to 6
    device.status()  # 7: lost on the way
    kept = device.status()  # 8
    boot = device.reboot(burn=2)  # burns 9 and 10, is 11
    word = device.dropped(dropped)  # 12
    outcomes = feed(session, [kept, boot, word]) + session.poll(NOW + 2 * SECOND)
    assert of(Burned, outcomes) == [Burned(device.thumbprint, 9, 10)]
    assert of(Dropped, outcomes) == [Dropped(device.thumbprint, 4, 6)]
    assert of(Gap, outcomes) == [Gap(device.thumbprint, 7, 7)]
    assert session.gaps(device.thumbprint) == ((7, 7),)
    assert not of(ChainBreak, outcomes)


def test_a_gap_can_be_explained_later() -> None:
    """A gap already reported is closed by the device's signed word that it dropped the frames."""
    session, device, _, _ = started()
    lost = [device.status() for _ in range(2)]
    feed(session, [device.status()])
    assert of(Gap, session.poll(NOW + 2 * SECOND)) == [Gap(device.thumbprint, 4, 5)]
    outcomes = session.receive(device.dropped(lost), NOW)
    assert Dropped(device.thumbprint, 4, 5) in outcomes
    assert GapClosed(device.thumbprint, 4, 5) in outcomes


def test_a_false_word_explains_nothing() -> None:
    """A DROPPED whose digests do not fit leaves the numbers missing and is a security event."""
    session, device, _, _ = started()
    lost = [device.status(), device.status()]
    wrong = remade(lost[0], device.private_key, {Key.PREV: bytes(16)})
    outcomes = feed(session, [device.status(), device.dropped([wrong, lost[1]])])
    outcomes += session.poll(NOW + 2 * SECOND)
    assert of(Gap, outcomes) == [Gap(device.thumbprint, 4, 5)]
    assert SecurityEvent(device.thumbprint, 4, "dropped") in outcomes


# ---------------------------------------------------------------- revocation


def test_a_revoked_device_is_believed_no_further() -> None:
    """Frames above what was accepted are refused after a revocation, however well they are signed."""
    session, device, registry, made = started()
    registry.revoke(device.thumbprint)
    assert only(session.receive(device.status(), NOW), Refused).reason == Reason.REVOKED
    assert isinstance(session.receive(made[1], NOW)[0], Duplicate)


def test_the_chain_still_brings_in_what_came_before_a_revocation() -> None:
    """Missing frames below accepted ones count in any order of arrival, because the chain fixes their digests."""
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)):
        session, device, registry, _ = started()
        frames = [device.status() for _ in range(4)]
        feed(session, [device.status()])
        session.poll(NOW + 2 * SECOND)
        registry.revoke(device.thumbprint)
        outcomes = feed(session, [frames[n] for n in order])
        assert sorted(seqs(outcomes)) == [4, 5, 6, 7]
        assert all(each.by_chain for each in of(Verified, outcomes))
        assert GapClosed(device.thumbprint, 4, 7) in outcomes


def test_a_stolen_key_cannot_fill_the_gaps_of_a_revoked_device() -> None:
    """Whoever has the key after a revocation can sign frames for missing numbers; none of them counts."""
    session, device, registry, _ = started()
    frames = [device.status() for _ in range(4)]
    feed(session, [device.status()])
    session.poll(NOW + 2 * SECOND)
    registry.revoke(device.thumbprint)
    fakes = [remade(raw, device.private_key, {Key.TICKS: 99}) for raw in frames]
    assert seqs(feed(session, fakes)) == []
    assert seqs(feed(session, frames)) == [7, 6, 5, 4]
    assert {each.reason for each in of(Refused, session.flush())} == {Reason.REVOKED}


def test_a_revoked_device_nobody_knew_is_refused() -> None:
    """Without an accepted frame there is no chain to lean on."""
    device = FakeDevice("one")
    registry = enrolled(device)
    registry.revoke(device.thumbprint)
    session = Session(registry)
    outcomes = feed(session, [device.descriptor(), device.status()])
    assert {each.reason for each in of(Refused, outcomes)} == {Reason.REVOKED}
    assert not of(Verified, outcomes)


# ---------------------------------------------------------------- durability


def test_only_durable_frames_are_acknowledged() -> None:
    """Ranges appear when their frames are stored, join, and are taken once."""
    session, device, _, _ = started()
    outcomes = feed(session, [device.status() for _ in range(6)])
    assert session.acknowledgements(device.thumbprint) == ()
    frames = of(Verified, outcomes)
    session.durable([frames[0], frames[1], frames[3]])
    assert session.acknowledgements(device.thumbprint) == ((4, 5), (7, 7))
    assert session.acknowledgements(device.thumbprint) == ()
    session.durable([frames[2]])
    assert session.acknowledgements(device.thumbprint) == ((6, 6),)


def test_a_restart_forgets_only_what_was_not_durable(tmp_path: Path) -> None:
    """After a restart durable frames are duplicates, the others are verified again, and the gap is still known."""
    path = tmp_path / "state.db"
    device = FakeDevice("one")
    registry = enrolled(device)
    made = [device.descriptor(), *(device.status() for _ in range(9))]
    state = ReplayState(path)
    first = Session(registry, state)
    outcomes = feed(first, [*made[:4], *made[6:10]]) + first.poll(NOW + 2 * SECOND)
    assert of(Gap, outcomes) == [Gap(device.thumbprint, 5, 6)]
    first.durable(each for each in of(Verified, outcomes) if each.frame.seq != 8)
    state.close()

    second = Session(registry, ReplayState(path))
    assert second.gaps(device.thumbprint) == ((5, 6), (8, 8))
    again = feed(second, made)
    assert seqs(again) == [5, 6, 8]
    assert {each.seq for each in of(Duplicate, again)} == {1, 2, 3, 4, 7, 9, 10}
    assert all(each.durable for each in of(Duplicate, again))
    assert second.acknowledgements(device.thumbprint) == ((1, 4), (7, 7), (9, 10))
    assert second.gaps(device.thumbprint) == ()
    assert not of(ChainBreak, again)


def test_a_consumer_that_stores_nothing_stops_the_flow() -> None:
    """Beyond the limit of frames not yet durable, new ones are refused as busy, and taken once there is room."""
    session, device, _, made = started(limits=Limits(unstored_frames=5))
    outcomes = feed(session, [device.status() for _ in range(2)])
    refused = device.status()
    assert only(session.receive(refused, NOW), Refused).reason == Reason.BUSY
    session.durable(outcomes)
    assert seqs(session.receive(refused, NOW)) == [6]
    assert len(made) == 3


def test_acknowledgements_nobody_takes_are_bounded() -> None:
    """Untaken ranges are dropped beyond the limit; a resent frame brings its acknowledgement back."""
    session, device, _, _ = started(limits=Limits(ack_ranges=3))
    frames = [device.status() for _ in range(10)]
    outcomes = of(Verified, feed(session, frames))
    session.durable(outcomes[::2])
    assert session.acknowledgements(device.thumbprint) == ((8, 8), (10, 10), (12, 12))
    assert isinstance(session.receive(frames[0], NOW)[0], Duplicate)
    assert session.acknowledgements(device.thumbprint) == ((4, 4),)


def test_descriptors_survive_a_restart(tmp_path: Path) -> None:
    """A restarted reader verifies frames of a stored descriptor without asking for it."""
    device = FakeDevice("one")
    registry = enrolled(device)
    state = ReplayState(tmp_path / "state.db")
    session = Session(registry, state)
    session.durable(feed(session, [device.descriptor(), device.status()]))
    state.close()
    session = Session(registry, ReplayState(tmp_path / "state.db"))
    assert seqs(session.receive(device.status(), NOW)) == [3]


def test_descriptors_are_bounded() -> None:
    """A device that describes itself anew again and again keeps only its latest descriptors known."""
    session, device, _, _ = started(limits=Limits(descriptors=4))
    for number in range(20):
        feed(session, [device.descriptor(firmware=f"2.{number}"), device.status()])
    assert len(session._directory) == 4
