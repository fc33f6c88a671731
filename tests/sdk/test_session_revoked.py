"""What a session still believes of a device that is revoked: what the chain fixes, no more."""

from __future__ import annotations

from tests.sdk.sessions import NOW, SECOND, enrolled, feed, of, only, seqs, started

from vitalwire.session import Duplicate, GapClosed, Reason, Refused, Session, Verified
from vitalwire.testing import FakeDevice, remade
from vitalwire_protocol.spec import Key


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
