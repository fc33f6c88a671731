"""What a session acknowledges, and what of it outlives a restart."""

from __future__ import annotations

from pathlib import Path

from tests.sdk.sessions import NOW, SECOND, enrolled, feed, of, only, seqs, started

from vitalwire.session import ChainBreak, Duplicate, Gap, Limits, Reason, Refused, ReplayState, Session, Verified
from vitalwire.testing import FakeDevice


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
