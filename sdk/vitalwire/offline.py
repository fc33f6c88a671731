"""Whole captures as their devices made them: verified frames in the order of their numbers, with samples and times.

Reads a capture twice: once for where its frames stand (34 bytes of memory a frame), once in order, so that frames that
came late or twice stand where they belong. Every signature is verified; writes nothing and remembers nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from vitalwire.ahead import Ahead
from vitalwire.capture import Damage, Record, read
from vitalwire.client import VerifiedFrame
from vitalwire.clock import DeviceClock, Pending
from vitalwire.crew import Crew
from vitalwire.errors import ForeignError, InputError, RevokedError, UsageError
from vitalwire.frame import readouts
from vitalwire.registry import Device, Registry
from vitalwire.session import Outcome, Quarantined, Reason, Session, Verified
from vitalwire.signals import decode_many
from vitalwire.survey import Watch, files, survey
from vitalwire.verdict import DeviceVerdict

ADVICE = "`--state FILE` names the replay state of whoever read it then"
HELD = 32  # frames that wait, at most, until the clocks of their chips are known well
TOGETHER = 64  # frames decoded in one pass


class Reader:
    """One capture; `total` frames stand in it, `damage` is what is no frame, `verdict` is on all that is there.

    `read` counts the frames that `frames` has looked at so far.
    """

    def __init__(
        self,
        path: str | Path,
        registry: Registry,
        *,
        anchors: Mapping[bytes, tuple[int, bytes]] | None = None,
        crew: Crew | None = None,
        watch: Watch | None = None,
    ) -> None:
        """Find the frames and judge them all, with the workers of `crew` if given; `watch` hears how far that is.

        The workers help `frames` too, so they must be there as long as it is asked.

        `anchors` are as in `verdict.verify`: without one, nothing of a revoked device is to be believed.
        Raises CaptureError or TransportError if there is no capture to read.
        """
        self.files = files(path)
        self.read = 0
        self._now_us = time.time_ns() // 1000  # stands in where nobody noted when a frame arrived
        self._registry = registry
        self._crew = crew
        self._survey = survey(self.files, registry, anchors=anchors, placed=True, crew=crew, watch=watch)
        self.verdict = self._survey.verdict
        self.damage = [damage for _, damage in self._survey.damage]
        places = self._survey.places
        self.total = len(places.numbers)
        self._places, self._notes, self._which = (
            np.frombuffer(each, each.typecode) for each in (places.offsets, places.received, places.which)
        )
        self._order = np.argsort(np.frombuffer(places.numbers, "q"), kind="stable")

    @property
    def devices(self) -> list[Device]:
        """The devices of which frames are verified."""
        found = (self._registry.get(each.device) for each in self.verdict.devices if each.verified)
        return [device for device in found if device is not None]

    def device(self, name: str | None = None) -> Device:
        """Return the one device to read: the only one there is, or that of this name or thumbprint.

        Raises UsageError where that is none or not clear.
        """
        found = self.devices
        if name is not None:
            wanted = self._registry.find(name)
            if wanted in found:
                return wanted
            raise UsageError(f"the capture holds nothing of {name}")
        if not found:
            for each in self._revoked():
                raise RevokedError(f"{each.name} is revoked, and nothing here was accepted before", advice=ADVICE)
            raise ForeignError(
                "the capture holds nothing that an enrolled device signed", advice=self._survey.stranger(self._registry)
            )
        if len(found) > 1:
            names = ", ".join(device.name for device in found)
            raise UsageError(f"the capture holds {len(found)} devices: {names}", advice="choose one with --device")
        return found[0]

    def _revoked(self) -> list[DeviceVerdict]:
        """Return the verdicts on revoked devices."""
        found = ((each, self._registry.get(each.device)) for each in self.verdict.devices)
        return [each for each, device in found if device is not None and device.revoked_us is not None]

    def frames(
        self, device: bytes | None = None, tell: Callable[[Outcome], None] | None = None
    ) -> Iterator[VerifiedFrame]:
        """Yield the verified frames, only those of `device` if given; `tell` hears of everything else.

        Signals are decoded already; asking for those of a frame that does not decode raises its error. Of a revoked
        device, which must be named, come the frames that the verdict counts as verified; RevokedError if one of their
        numbers stands for two frames.
        """
        revoked = next((each for each in self._revoked() if each.device == device), None)
        if revoked is None:
            yield from self._frames(self._registry, device, tell)
            return
        with Registry() as only:
            only.enrol(revoked.device, revoked.name)
            for frame in self._frames(only, device, _refuse_conflicts(tell)):
                if revoked.first <= frame.seq <= revoked.head:
                    yield frame

    def _frames(
        self, registry: Registry, device: bytes | None, tell: Callable[[Outcome], None] | None
    ) -> Iterator[VerifiedFrame]:
        clocks: dict[bytes, DeviceClock] = {}
        held: deque[tuple[Verified, Pending]] = deque()
        done: list[VerifiedFrame] = []
        ahead = None if self._crew is None else Ahead(self._crew)
        for outcome in self._outcomes(registry, ahead):
            if not isinstance(outcome, Verified):
                if tell is not None:
                    tell(outcome)
                continue
            if device not in (None, outcome.device):
                continue
            held.append((outcome, self._observe(outcome, clocks.setdefault(outcome.device, DeviceClock()))))
            while held and (len(held) > HELD or held[0][1].settled):
                done.append(self._timed(*held.popleft()))
            if len(done) >= TOGETHER:
                yield from _decoded(done, ahead)
                done = []
        yield from _decoded(done + [self._timed(*each) for each in held], ahead)

    def _outcomes(self, registry: Registry, ahead: Ahead | None) -> Iterator[Outcome]:
        # What is not sealed at the end never will be.
        session = Session(registry, sealed_only=True, is_signed=None if ahead is None else ahead.is_signed)
        kept: list[Outcome] = []
        for raw, received_us in self._sorted() if ahead is None else ahead.frames(self._sorted()):
            self.read += 1
            for outcome in session.receive(raw, received_us):
                if ahead is not None and isinstance(outcome, Verified):
                    ahead.learn(outcome.descriptor)
                yield outcome
                kept.append(outcome)
            if len(kept) >= TOGETHER:
                session.durable(kept)  # nobody is told: the session only forgets what it waited for
                for each in {outcome.device for outcome in kept if isinstance(outcome, Verified)}:
                    session.acknowledgements(each)
                kept = []
        yield from session.flush()

    def _sorted(self) -> Iterator[tuple[bytes, int]]:
        """Yield the frames by number, each stretch that already stands in order by one reading."""
        order, places, which = self._order, self._places, self._which
        if not len(order):
            return
        breaks = np.flatnonzero(np.diff(order) != 1) + 1
        for start, stop in pairwise([0, *breaks.tolist(), len(order)]):
            first, last = int(order[start]), int(order[stop - 1])
            while first <= last:
                here = which[first]
                end = min(last, int(np.searchsorted(which, here, "right")) - 1)
                records = read(self.files[here], int(places[first]), int(places[end]) + 1)
                for number, item in zip(range(first, end + 1), _frames_only(records), strict=False):
                    arrived_us = int(self._notes[number])
                    yield item.raw, self._now_us if arrived_us < 0 else arrived_us
                first = end + 1

    def _observe(self, verified: Verified, clock: DeviceClock) -> Pending:
        frame, descriptor = verified.frame, verified.descriptor
        try:
            delivered = readouts(frame, descriptor)
        except InputError:
            delivered = ()
        arrived_us = None if verified.received_us == self._now_us else verified.received_us
        return clock.observe(frame, descriptor, delivered, arrived_us)

    def _timed(self, verified: Verified, pending: Pending) -> VerifiedFrame:
        frame, times = verified.frame, pending.times()
        time, uncertainty = pending.clock.utc(frame.boot, frame.ticks)
        uncertainty = max((found.uncertainty for found in times.values()), default=uncertainty)
        device = self._registry.get(verified.device)
        return VerifiedFrame(verified, device.name if device else "", time, uncertainty, times)


def _refuse_conflicts(tell: Callable[[Outcome], None] | None) -> Callable[[Outcome], None]:
    """Hear of everything for `tell`; where two frames have one number, nobody knows any more which the links meant."""

    def hear(outcome: Outcome) -> None:
        if isinstance(outcome, Quarantined) and outcome.reason == Reason.CONFLICT:
            raise RevokedError(f"number {outcome.frame.seq} of a revoked device stands for two frames")
        if tell is not None:
            tell(outcome)

    return hear


def _frames_only(items: Iterable[Record | Damage]) -> Iterator[Record]:
    return (item for item in items if isinstance(item, Record))


def _decoded(frames: list[VerifiedFrame], ahead: Ahead | None) -> Iterator[VerifiedFrame]:
    known = [None if ahead is None else ahead.signals(frame.raw, frame.descriptor) for frame in frames]
    rest = [(each.frame, each.descriptor) for each, signals in zip(frames, known, strict=True) if signals is None]
    signals = decode_many(rest)
    for frame, decoded in zip(frames, known, strict=True):
        found = next(signals) if decoded is None else decoded
        if not isinstance(found, InputError):
            frame.take(found)
        yield frame
