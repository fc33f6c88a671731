"""In which order a session lets frames out, and what its chain says of those that are missing."""

from __future__ import annotations

from tests.sdk.sessions import NOW, SECOND, enrolled, feed, of, seqs, started

from vitalwire.session import (
    Burned,
    ChainBreak,
    Dropped,
    Gap,
    GapClosed,
    Limits,
    Outcome,
    SecurityEvent,
    Session,
    Verified,
)
from vitalwire.testing import FakeDevice, remade
from vitalwire_protocol.spec import Event, EventKey, Key


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
