"""Frames kept aside until links prove them: of revoked devices, and with MACs that nobody here can check. Bounded."""

from __future__ import annotations

from vitalwire.messages import Frame
from vitalwire.session.chain import link_of
from vitalwire.session.outcomes import Held, Outcome, Reason, Refused
from vitalwire.session.track import Track
from vitalwire.session.unsealed import demands
from vitalwire.session.waiting import Kept, Waiting


class Aside:
    """All devices' frames that wait for proof, by device, number and digest."""

    def __init__(self, max_bytes: int) -> None:
        self._kept: Waiting[tuple[bytes, int, bytes]] = Waiting(max_bytes)

    def keep(self, device: bytes, frame: Frame, received_us: int) -> list[Outcome]:
        """Keep a frame; those that have to give way for it are refused."""
        gone = self._kept.add((device, frame.seq, link_of(frame).digest), frame, received_us)
        return [Held(frame, device), *(_refused(kept, device) for kept in gone)]

    def group(self, device: bytes, seal: Frame) -> list[Kept]:
        """Take the frames that a signed one's links prove, oldest first."""
        group: list[Kept] = []
        for seq, digest in demands(seal):
            while found := self._kept.take((device, seq, digest)):
                group += found
                seq, digest = seq - 1, found[0].frame.prev
        return sorted(group, key=lambda kept: kept.frame.seq)

    def proven(self, track: Track) -> list[Kept]:
        """Take the frames that the chain demands now; each of them may prove another."""
        if not len(self._kept):
            return []
        return [
            kept
            for hole in track.chain.holes
            if (need := (track.device, hole.last, hole.after)) in self._kept
            for kept in self._kept.take(need)
        ]

    def give_up(self) -> list[Outcome]:
        """Refuse everything that still waits."""
        return [_refused(kept) for kept in self._kept.take_all()]


def _refused(kept: Kept, device: bytes | None = None) -> Refused:
    return Refused(Reason.REVOKED if kept.frame.signed else Reason.UNSEALED, "", kept.frame.raw, device)
