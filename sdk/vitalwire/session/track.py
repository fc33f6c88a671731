"""One device's frames after trust was decided: into order, into the chain, each once, out to the consumer.

Frames come here proven or authentic and go out as `Verified` or `Quarantined`. Time is only what the caller says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vitalwire.messages import Descriptor, Frame, Trust
from vitalwire.ranges import Ranges
from vitalwire.session.chain import Chain, Declaration, Finding, Link, declarations, link_of
from vitalwire.session.limits import Limits
from vitalwire.session.outcomes import (
    ChainBreak,
    Disproved,
    GapClosed,
    Outcome,
    Quarantined,
    Reason,
    Sealed,
    SecurityEvent,
    Verified,
)
from vitalwire.session.replay_state import Seen
from vitalwire.session.unsealed import Unsealed, demands
from vitalwire_protocol.spec import Kind


@dataclass(slots=True)
class Entry:
    """A frame to believe on its way out; `aside`: it goes into quarantine, its UTC is in the future."""

    frame: Frame
    descriptor: Descriptor
    received_us: int
    aside: bool
    trust: Trust
    link: Link
    declared: tuple[Declaration, ...]
    since_us: int  # waiting for order


def entry_of(
    frame: Frame, descriptor: Descriptor, received_us: int, trust: Trust = Trust.SIGNED, *, aside: bool = False
) -> Entry:
    """Return an entry that begins to wait now."""
    return Entry(frame, descriptor, received_us, aside, trust, link_of(frame), declarations(frame), received_us)


class Track:
    """The frames of one device between the link and the consumer."""

    __slots__ = ("acks", "chain", "device", "limits", "pending", "pending_bytes", "unsealed", "unstored")

    def __init__(self, chain: Chain, unsealed: Unsealed, limits: Limits) -> None:
        self.device = chain.device
        self.chain = chain
        self.unsealed = unsealed
        self.limits = limits
        self.pending: dict[int, Entry] = {}  # by number, in order of arrival
        self.pending_bytes = 0
        self.unstored: dict[int, Seen] = {}  # delivered, not durable
        self.acks = Ranges()

    @property
    def is_full(self) -> bool:
        """Whether the consumer must first make something durable."""
        return len(self.unstored) + len(self.pending) >= self.limits.unstored_frames

    def recent(self, seq: int) -> Seen | None:
        """Return what is known of a number that is on its way or delivered and not yet durable."""
        entry = self.pending.get(seq)
        return Seen(entry.link.digest, entry.aside) if entry else self.unstored.get(seq)

    # ------------------------------------------------------------ in

    def offer(self, entry: Entry) -> list[Outcome]:
        """Take a frame whose number is open; return what may go out now."""
        seq = entry.link.seq
        if seq <= self.chain.head or (seq == self.chain.head + 1 and seq > 1 and not self.pending):
            return self.deliver(entry)
        self.pending[seq] = entry
        self.pending_bytes += len(entry.frame.raw)
        return list(self.drain(entry.received_us))

    def deliver(self, entry: Entry, *, by_chain: bool = False) -> list[Outcome]:
        """Let a frame out now, wherever it stands in the order."""
        link = entry.link
        if entry.trust == Trust.AUTHENTIC and self.unsealed.contradicts(self.chain, link):
            return self.conflict(entry)
        if entry.trust == Trust.AUTHENTIC and self.unsealed.proves(self.chain, link):
            entry.trust = Trust.SEALED
        late = link.seq <= self.chain.head
        known = [word for other in self.pending.values() for word in other.declared] if self.pending else ()
        found = self.chain.add(link, entry.declared, known)
        out = list(explain(finding for finding in found if not isinstance(finding, GapClosed)))
        out += self._out(entry, late, by_chain)
        out += [finding for finding in found if isinstance(finding, GapClosed)]
        return out

    def _out(self, entry: Entry, late: bool, by_chain: bool = False) -> Iterator[Outcome]:
        link = entry.link
        self.unstored[link.seq] = Seen(link.digest, entry.aside)
        if entry.aside:
            yield Quarantined(self.device, Reason.FUTURE, entry.frame, entry.received_us)
        else:
            yield Verified(
                self.device, entry.frame, entry.descriptor, entry.received_us, late, by_chain, entry.trust
            )  # fmt: skip
        if entry.trust == Trust.AUTHENTIC:
            self.unsealed.add(link)
            return
        sealed = Ranges()
        for seq in self.unsealed.cover(demands(entry.frame)):
            sealed.add(seq, seq)
        for first, last in sealed:
            yield Sealed(self.device, first, last)

    def replace(self, entry: Entry) -> list[Outcome]:
        """Let a proven frame out in the place of an authentic one that has its number."""
        seq = entry.link.seq
        waiting = self.pending.get(seq)
        if waiting is not None:
            self._take(seq)
            return self.conflict(waiting) + self.offer(entry)
        old = self.unsealed.rows.pop(seq)
        self.chain.replace(entry.link)
        out: list[Outcome] = [Disproved(self.device, seq, old.digest), SecurityEvent(self.device, seq, "disproved")]
        return out + list(self._out(entry, late=True))

    def conflict(self, entry: Entry) -> list[Outcome]:
        """Set a frame aside that contradicts another."""
        return [
            Quarantined(self.device, Reason.CONFLICT, entry.frame, entry.received_us),
            SecurityEvent(self.device, entry.link.seq, Reason.CONFLICT),
        ]

    def is_proven(self, frame: Frame) -> bool | None:
        """Return whether a frame delivered is more than authentic by now; None: another one took its place."""
        if frame.signed:
            return True
        seen = self.unstored.get(frame.seq)
        if seen is None or seen.digest != link_of(frame).digest:
            return None
        return frame.seq not in self.unsealed

    def trust(self, frame: Frame) -> Trust:
        """Return what proves a frame that is accepted already."""
        if frame.signed:
            return Trust.SIGNED
        return Trust.AUTHENTIC if frame.seq in self.unsealed else Trust.SEALED

    def gives_way(self, seq: int) -> bool:
        """Return whether the frame of this number is authentic only."""
        entry = self.pending.get(seq)
        return entry.trust == Trust.AUTHENTIC if entry else seq in self.unsealed

    def deliver_again(self, entry: Entry) -> list[Outcome]:
        """Let out a frame that was quarantined for its time and is in time now; its place in the chain stays."""
        self.unstored[entry.link.seq] = Seen(entry.link.digest, aside=False)
        return [Verified(self.device, entry.frame, entry.descriptor, entry.received_us, late=True, trust=entry.trust)]

    # ------------------------------------------------------------ order

    def drain(self, now_us: int, *, force: bool = False) -> Iterator[Outcome]:
        """Let out what follows on the head, and what has waited too long for what does not come."""
        if not self.chain.head:
            first = self._start(now_us, force)
            if first is None:
                return
            yield from self.deliver(self._take(first))
        while self.pending:
            seq = min(self.pending)
            if seq > self.chain.head + 1 and not force and not self._is_due(now_us):
                declared = (word for entry in self.pending.values() for word in entry.declared)
                if not self.chain.explains(self.pending[seq].link, declared):
                    return
            yield from self.deliver(self._take(seq))

    def _start(self, now_us: int, force: bool) -> int | None:
        """Return the number this reader's record begins with, once that is clear; None: wait.

        A descriptor is repeated for every new reader and may be much older than what follows: it begins no record.
        """
        begun = [entry.link.seq for entry in self._waiting()]
        if not begun:
            return min(self.pending, default=None) if force else None
        first = min(begun)
        while first - 1 in self.pending:
            first -= 1
        return first if first == 1 or force or self._is_due(now_us) else None

    def _waiting(self) -> Iterator[Entry]:
        """Yield the frames that wait for order, in order of arrival: before the record begins, no descriptors."""
        begun = self.chain.head > 0
        return (entry for entry in self.pending.values() if begun or entry.frame.kind != Kind.DESCRIPTOR)

    def _is_due(self, now_us: int) -> bool:
        """Return whether the missing frames have been waited for long enough."""
        deadline = self.deadline_us()
        return len(self.pending) > self.limits.reorder_frames or (deadline is not None and now_us >= deadline)

    def deadline_us(self) -> int | None:
        """Return when the next frame will have waited too long."""
        oldest = next(self._waiting(), None)
        return oldest.since_us + self.limits.reorder_us if oldest else None

    def rebase(self, now_us: int) -> None:
        """Begin all waiting anew: the clock was set back."""
        for entry in self.pending.values():
            entry.since_us = min(entry.since_us, now_us)

    def _take(self, seq: int) -> Entry:
        entry = self.pending.pop(seq)
        self.pending_bytes -= len(entry.frame.raw)
        return entry

    # ------------------------------------------------------------ done

    def stored(self, link: Link) -> None:
        """Note that a frame is durable; its number may be acknowledged unless another frame has it and is not yet."""
        seen = self.recent(link.seq)
        if seen is not None and seen.digest == link.digest:
            self.unstored.pop(link.seq, None)
        if self.recent(link.seq) is None:
            self.acknowledge(link.seq)

    def acknowledge(self, seq: int) -> None:
        """Put a number among those to acknowledge."""
        self.acks.add(seq, seq)
        if len(self.acks) > self.limits.ack_ranges:  # nobody takes them; the device will ask again
            self.acks.discard(*next(iter(self.acks)))


def explain(findings: Iterable[Finding]) -> Iterator[Outcome]:
    """Yield the findings of a chain, each break followed by the security event it is."""
    for finding in findings:
        yield finding
        if isinstance(finding, ChainBreak):
            yield SecurityEvent(finding.device, finding.seq, finding.why)
