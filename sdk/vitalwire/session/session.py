"""The session: frames in, conclusions out, in the order of SPEC section 8. Sans-IO and without a clock of its own.

One session serves many devices and links. It decides trust (form, enrolment, signature, revocation) and leaves order,
chain and durable state to the files beside it. What a peer can do ends in an outcome, never in an exception.
"""

from __future__ import annotations

from collections.abc import Iterable

from vitalwire.errors import InputError
from vitalwire.frame import parse
from vitalwire.messages import Descriptor, Frame, Trust
from vitalwire.ranges import Ranges
from vitalwire.registry import Device, Registry
from vitalwire.session.aside import Aside
from vitalwire.session.chain import State, link_of
from vitalwire.session.directory import Directory, Known
from vitalwire.session.limits import Limits
from vitalwire.session.outcomes import (
    Duplicate,
    Outcome,
    Quarantined,
    Reason,
    Refused,
    SecurityEvent,
    Verified,
)
from vitalwire.session.proof import IsSigned, Prover
from vitalwire.session.replay_state import ReplayState, Stored
from vitalwire.session.track import Entry, Track, entry_of
from vitalwire.session.waiting import Kept, May
from vitalwire.session.wanted import Wanted
from vitalwire_protocol import spec


class Session:
    """Verifies, orders and counts the frames of enrolled devices.

    `state` outlives the session; without one, nothing does. `sealed_only` lets no frame out that only a MAC proves, as
    if the registry held no secrets; `keys` is where these are, if not in the registry; `is_signed` tells
    of signatures that the caller has verified (`proof.IsSigned`). Times are UTC in microseconds
    since 1970 and are given by the caller, so a replayed capture gives the same outcomes each time.
    """

    def __init__(
        self,
        registry: Registry,
        state: ReplayState | None = None,
        limits: Limits | None = None,
        *,
        sealed_only: bool = False,
        keys: Registry | None = None,
        is_signed: IsSigned | None = None,
    ) -> None:
        self._registry = registry
        self._limits = limits or Limits()
        self._state = state or ReplayState(descriptors=self._limits.descriptors)
        self._tracks: dict[bytes, Track] = {}
        self._ordering: set[bytes] = set()  # devices with frames that wait for order
        self._directory = Directory(registry, self._limits.descriptors)
        self._prover = Prover(keys or registry, self._directory, sealed_only=sealed_only, is_signed=is_signed)
        self._wanted = Wanted(self._limits.held_bytes // 2, self._limits.ask_us)
        self._aside = Aside(self._limits.held_bytes // 2)
        self._now_us = 0
        for raw in self._state.descriptors():
            self._directory.restore(raw)

    # ------------------------------------------------------------ in

    def receive(self, raw: bytes, received_us: int, may: May | None = None) -> list[Outcome]:
        """Take the bytes of one frame from anywhere; return what follows from them, in order.

        `may` says whether whoever brought it may speak for the device of a thumbprint; without it, for each.
        """
        self._set_clock(received_us)
        try:
            frame = parse(raw)
        except InputError as error:
            return [Refused(Reason.MALFORMED, error.reason, raw)]
        return self._judge(frame, received_us, may)

    def poll(self, now_us: int) -> list[Outcome]:
        """Return what follows from time alone: frames that waited long enough, descriptors to ask for again."""
        self._set_clock(now_us)
        out: list[Outcome] = []
        for device in list(self._ordering):
            out += self._drain(self._tracks[device], now_us)
        return out + self._wanted.ask_again(now_us)

    def flush(self) -> list[Outcome]:
        """End the input: deliver what waits for order, refuse what waits for a descriptor or for proof."""
        out: list[Outcome] = []
        for device in list(self._ordering):
            out += self._drain(self._tracks[device], self._now_us, force=True)
        return out + self._wanted.give_up() + self._aside.give_up()

    def deadline_us(self) -> int | None:
        """Return when `poll` will next have something to do, or None."""
        times = [self._tracks[device].deadline_us() for device in self._ordering]
        times.append(self._wanted.deadline_us())
        return min((time for time in times if time is not None), default=None)

    # ------------------------------------------------------------ out

    def durable(self, outcomes: Iterable[Outcome]) -> None:
        """Take the consumer's word that these `Verified` and `Quarantined` are stored; others are skipped.

        Only then do their numbers appear in `acknowledgements`. What this means for the session itself is on the disk
        when it returns.
        """
        kept = [outcome for outcome in outcomes if isinstance(outcome, Verified | Quarantined)]
        self._state.store(
            Stored(outcome.device, outcome.frame, isinstance(outcome, Quarantined), proven)
            for outcome in kept
            if isinstance(outcome, Verified) or outcome.reason == Reason.FUTURE
            if (proven := self._track(outcome.device).is_proven(outcome.frame)) is not None
        )
        for outcome in kept:
            self._track(outcome.device).stored(link_of(outcome.frame))

    def acknowledgements(self, device: bytes) -> tuple[tuple[int, int], ...]:
        """Take the ranges of numbers (first, last; rising, not touching) the device may erase now."""
        acks = self._track(device).acks
        ranges = tuple(acks)
        acks.clear()
        return ranges

    # ------------------------------------------------------------ looking in

    def gaps(self, device: bytes) -> tuple[tuple[int, int], ...]:
        """Return the ranges of numbers that are missing and unexplained."""
        holes = self._track(device).chain.holes
        return tuple((hole.first, hole.last) for hole in holes if hole.state == State.MISSING)

    def head(self, device: bytes) -> tuple[int, bytes]:
        """Return the highest number delivered and the first 16 bytes of its frame's digest; 0 if there is none."""
        chain = self._track(device).chain
        return chain.head, chain.digest

    def authentic(self, device: bytes) -> tuple[tuple[int, int], ...]:
        """Return the ranges of numbers whose frames only a MAC proves so far."""
        ranges = Ranges()
        for seq in self._track(device).unsealed.rows:
            ranges.add(seq, seq)
        return tuple(ranges)

    def trust(self, verified: Verified) -> Trust | None:
        """Return what proves a frame delivered, by now; None: it was disproved, another has its number."""
        proven = self._track(verified.device).is_proven(verified.frame)
        if proven is None:
            return None
        return Trust.SIGNED if verified.frame.signed else Trust.SEALED if proven else Trust.AUTHENTIC

    def descriptor(self, digest: bytes) -> Descriptor | None:
        """Return the descriptor frames call by this digest (8 bytes), if its signature verified."""
        known = self._directory.get(digest)
        return known.descriptor if known else None

    # ------------------------------------------------------------ trust

    def _judge(self, frame: Frame, received_us: int, may: May | None) -> list[Outcome]:
        freed: list[Kept] = []
        need = frame.descriptor or frame.digest[: spec.DIGEST_SIZE]
        if frame.body is not None:
            refused = self._directory.learn(frame, frame.body)
            if refused is None or refused.reason == Reason.FOREIGN:
                freed = self._wanted.take(need)
            if refused is not None:
                return [refused, *(each for kept in freed for each in self._judge(*kept))]
        known = self._directory.get(need)
        if known is None:
            owner = self._directory.foreign(need)
            if owner is not None:
                return [Refused(Reason.FOREIGN, "", frame.raw, owner)]
            return self._wanted.hold(frame, need, received_us, may)
        device = self._registry.get(known.descriptor.thumbprint)
        if device is None:
            return [Refused(Reason.FOREIGN, "", frame.raw, known.descriptor.thumbprint)]
        if may is None or may(device.thumbprint):
            out = self._admit(frame, known, device, received_us)
        else:
            out = [
                Refused(Reason.UNBOUND, "", frame.raw, device.thumbprint),
                SecurityEvent(device.thumbprint, frame.seq, Reason.UNBOUND),
            ]
        for kept in freed:
            out += self._judge(*kept)
        return out

    def _admit(self, frame: Frame, known: Known, device: Device, received_us: int) -> list[Outcome]:
        """Judge a frame of an enrolled device: proof, number, revocation, time."""
        track = self._track(device.thumbprint)
        link = link_of(frame)
        is_open = track.chain.is_open(frame.seq)
        seen = track.recent(frame.seq)
        if seen is None and not is_open:
            seen = self._state.seen(device.thumbprint, frame.seq)
        future = self._is_future(frame, received_us)
        if seen is not None and seen.digest == link.digest:  # these bytes were proven when they came first
            if seen.aside and frame.seq not in track.pending:
                if not future:
                    return track.deliver_again(self._entry(frame, known, received_us, track.trust(frame), future=False))
                if track.recent(frame.seq) is not None:  # nobody kept it so far
                    return [Quarantined(track.device, Reason.FUTURE, frame, received_us)]
            return [self._duplicate(track, frame)]
        trust = self._prover.judge(frame, known, linked=track.unsealed.proves(track.chain, link))
        if isinstance(trust, Refused):
            return [trust]
        if trust is None:
            if seen is not None or not is_open:
                return [Refused(Reason.UNSEALED, "", frame.raw, device.thumbprint)]
            return self._aside.keep(device.thumbprint, frame, received_us)
        entry = self._entry(frame, known, received_us, trust, future=future)
        if seen is not None:
            if trust == Trust.AUTHENTIC or not track.gives_way(frame.seq):
                return track.conflict(entry)
            return self._seal(track, entry) + self._ordered(track, track.replace(entry), received_us)
        if not is_open:
            return [Quarantined(track.device, Reason.OLD, frame, received_us)]
        if track.is_full or (trust == Trust.AUTHENTIC and len(track.unsealed) >= self._limits.unsealed_frames):
            return [Refused(Reason.BUSY, "", frame.raw, device.thumbprint)]
        if device.revoked_us is not None:
            return self._admit_revoked(track, entry)
        return self._seal(track, entry) + self._offer(track, entry)

    def _entry(self, frame: Frame, known: Known, received_us: int, trust: Trust, *, future: bool) -> Entry:
        frame = self._prover.opened(frame, known.descriptor.thumbprint)
        return entry_of(frame, known.descriptor, received_us, trust, aside=future)

    def _duplicate(self, track: Track, frame: Frame) -> Duplicate:
        durable = track.recent(frame.seq) is None
        if durable:
            track.acknowledge(frame.seq)
        return Duplicate(track.device, frame.seq, durable)

    def _is_future(self, frame: Frame, received_us: int) -> bool:
        if frame.utc_us is None or frame.utc_accuracy is None:
            return False
        return frame.utc_us > received_us + (1 << frame.utc_accuracy) + self._limits.future_us

    # ------------------------------------------------------------ proof by links

    def _seal(self, track: Track, seal: Entry) -> list[Outcome]:
        """Let out the frames kept aside that a signed one's links prove, before that one."""
        out: list[Outcome] = []
        for kept in self._aside.group(track.device, seal.frame) if seal.frame.signed else ():
            if track.chain.is_open(kept.frame.seq) and track.recent(kept.frame.seq) is None:
                entry = self._linked(kept)
                out += self._offer(track, entry) if entry else []
        return out

    def _admit_revoked(self, track: Track, entry: Entry) -> list[Outcome]:
        """Accept a frame of a revoked device if the chain of accepted ones fixes it, now or once more is there."""
        link = entry.link
        if track.unsealed.proves(track.chain, link):
            return track.deliver(entry, by_chain=True) + self._prove(track)
        if link.seq > track.chain.head:
            return [Refused(Reason.REVOKED, "", entry.frame.raw, track.device)]
        return self._aside.keep(track.device, entry.frame, entry.received_us)

    def _prove(self, track: Track) -> list[Outcome]:
        """Accept the frames kept aside that the chain fixes now, each of which may fix the next."""
        out: list[Outcome] = []
        while found := self._aside.proven(track):
            for kept in found:
                entry = self._linked(kept)
                if entry is not None and track.unsealed.proves(track.chain, entry.link):
                    device = self._registry.get(track.device)
                    out += track.deliver(entry, by_chain=device is None or device.revoked_us is not None)
        return out

    def _linked(self, kept: Kept) -> Entry | None:
        """Return a frame that links prove, ready to go out; None if its descriptor was forgotten."""
        frame, received_us, _ = kept
        known = self._directory.get(frame.descriptor or frame.digest[: spec.DIGEST_SIZE])
        if known is None:
            return None
        trust = Trust.SIGNED if frame.signed else Trust.SEALED
        return self._entry(frame, known, received_us, trust, future=self._is_future(frame, received_us))

    # ------------------------------------------------------------ order

    def _offer(self, track: Track, entry: Entry) -> list[Outcome]:
        return self._ordered(track, track.offer(entry), entry.received_us)

    def _ordered(self, track: Track, out: list[Outcome], received_us: int) -> list[Outcome]:
        out += self._prove(track)
        if track.pending:
            self._ordering.add(track.device)
            waiting = [self._tracks[device] for device in self._ordering]
            while sum(each.pending_bytes for each in waiting) > self._limits.pending_bytes:
                out += self._drain(max(waiting, key=lambda each: each.pending_bytes), received_us, force=True)
        else:
            self._ordering.discard(track.device)
        return out

    def _drain(self, track: Track, now_us: int, *, force: bool = False) -> list[Outcome]:
        out = list(track.drain(now_us, force=force))
        out += self._prove(track)
        if not track.pending:
            self._ordering.discard(track.device)
        return out

    def _track(self, device: bytes) -> Track:
        track = self._tracks.get(device)
        if track is None:
            state = self._state
            track = self._tracks[device] = Track(state.chain(device), state.unsealed(device), self._limits)
        return track

    def _set_clock(self, now_us: int) -> None:
        if now_us < self._now_us:
            for device in self._ordering:
                self._tracks[device].rebase(now_us)
            self._wanted.rebase(now_us)
        self._now_us = now_us
