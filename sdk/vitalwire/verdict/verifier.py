"""What a whole record proves: frames in any order in, one verdict out, in memory that does not grow with the record.

Frames that follow each other are verified by the last one's signature and the hash chain back over them (SPEC section
8): each frame's bytes are fixed by the PREV of the next, so one signature proves the run. Every other rule, the form
of each frame included, is checked for each frame, so the verdict is that of checking every signature. It would differ
only for a device that continues its chain from a frame it did not sign itself, which nobody without its key can make.
Frames with MACs wait in `Loose` for the signed one that covers them; of those left at the end only the MAC is checked.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vitalwire.crypto import frame_key, verify_sign1
from vitalwire.errors import InputError, SignatureError
from vitalwire.frame.form import parse_any
from vitalwire.frame.scan import scan
from vitalwire.messages import Descriptor, Frame
from vitalwire.registry import Registry
from vitalwire.session.chain import declarations
from vitalwire.session.limits import FUTURE_US
from vitalwire.session.outcomes import Reason
from vitalwire.verdict.lane import Lane
from vitalwire.verdict.run import PLAIN, Part, Run, Words
from vitalwire.verdict.tally import DeviceVerdict, Tally
from vitalwire_protocol import spec

MAX_DESCRIPTORS = 4096  # of enrolled devices, in one record
_RUN = 512  # frames verified by one signature; what a wrong one makes us verify one by one
_MAX_OPEN = 4096  # frames in all devices' runs together
_MAX_HELD = 1024  # frames whose descriptor has not come yet
_MAX_FOREIGN = 1024  # descriptors of others
_PREV = spec.PREV_SIZE


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in `frames` items; `refused` counts those no device answers for, by reason."""

    frames: int
    devices: tuple[DeviceVerdict, ...]
    refused: Mapping[Reason, int] = field(default_factory=dict)

    @property
    def verified(self) -> int:
        """How many frames are to be believed."""
        return sum(device.verified for device in self.devices)

    @property
    def unsealed(self) -> int:
        """How many frames no signature covers, but a MAC."""
        return sum(device.authentic + device.unchecked for device in self.devices)

    @property
    def ok(self) -> bool:
        """Whether there is something, all of it is to be believed, and nothing is missing."""
        return self.verified > 0 and not self.refused and all(device.ok for device in self.devices)


def verify(
    frames: Iterable[bytes | tuple[bytes, int | None]],
    registry: Registry,
    *,
    by_chain: bool = True,
    anchors: Mapping[bytes, tuple[int, bytes]] | None = None,
) -> Verdict:
    """Return the verdict on frames, each its bytes or (bytes, time of arrival in UTC microseconds or None).

    `by_chain` false verifies every signature. `anchors` names for a revoked device (by thumbprint) one frame accepted
    before its revocation: number and digest (16 bytes or more); frames that links lead back to from it still count.
    """
    verifier = Verifier(registry, by_chain=by_chain, anchors=anchors)
    for item in frames:
        if isinstance(item, tuple):
            verifier.feed(*item)
        else:
            verifier.feed(item)
    return verifier.result()


class Known(NamedTuple):
    """Whose a verified descriptor is: thumbprint and public key (uncompressed point); its number and policy."""

    thumbprint: bytes
    point: bytes
    seq: int
    policy: int


class Verifier:
    """The same, one frame at a time, for whoever shows progress; `result` is asked once, at the end."""

    def __init__(
        self,
        registry: Registry,
        *,
        by_chain: bool = True,
        anchors: Mapping[bytes, tuple[int, bytes]] | None = None,
        tolerance_us: int = FUTURE_US,
    ) -> None:
        self._registry = registry
        self._max_run = _RUN if by_chain else 1
        self._anchors = anchors or {}
        self._tolerance_us = tolerance_us
        self._frames = 0
        self._open = 0  # frames in runs
        self._refused: Counter[Reason] = Counter()
        self._lanes: dict[bytes, Lane] = {}  # by thumbprint
        self._known: dict[bytes, Lane] = {}  # by the digest frames name a verified descriptor by
        self._forgot = False  # some of these
        self._foreign: dict[bytes, None] = {}
        self._held: list[tuple[bytes, bytes, int | None]] = []

    def feed(self, raw: bytes, received_us: int | None = None) -> None:
        """Take one frame."""
        self._frames += 1
        self._take(raw, received_us)

    def result(self) -> Verdict:
        """Return the verdict on everything fed."""
        self._refused[Reason.UNKNOWN_DESCRIPTOR] += len(self._held)
        self._held.clear()
        verdicts = []
        for thumbprint, lane in self._lanes.items():
            lane.finish()
            device = self._registry.get(thumbprint)
            revoked = device is None or device.revoked_us is not None
            secret = self._registry.secret(thumbprint)
            lane.settle(None if secret is None else frame_key(secret, thumbprint), revoked=revoked)
            verdicts.append(lane.tally.verdict(device.name if device else "", revoked=revoked))
        return Verdict(self._frames, tuple(verdicts), {reason: n for reason, n in self._refused.items() if n})

    # ------------------------------------------------------------ parts judged elsewhere

    def cut(self) -> None:
        """End the runs: what was fed is proven or refused, whatever comes."""
        for lane in self._lanes.values():
            self._finish(lane)

    def known(self) -> dict[bytes, Known]:
        """Return the descriptors frames may name, by digest."""
        return {
            digest: Known(lane.tally.device, lane.point, *lane.described[digest])
            for digest, lane in self._known.items()
        }

    def learn(self, known: Mapping[bytes, Known]) -> None:
        """Take descriptors for verified."""
        for digest, each in known.items():
            self._known[digest] = self._lane(each.thumbprint, each.point)
            self._known[digest].described[digest] = each.seq, each.policy

    def take(self, part: Part) -> bool:
        """Count a part that was judged apart, behind what was fed; False, and nothing is counted, if it cannot be."""
        if self._forgot:
            return False
        self.cut()
        self._frames += part.frames
        for thumbprint, runs in part.runs.items():
            for run in runs:
                self._lanes[thumbprint].accept(run)
        return True

    # ------------------------------------------------------------ into runs

    def _take(self, raw: bytes, received_us: int | None) -> None:
        scanned = scan(raw)
        digest = hashlib.sha256(raw).digest()
        frame: Frame | None = None
        if scanned is not None:
            seq, boot, prev, need, utc_us, accuracy, _, _, _, _ = scanned
        else:
            try:
                frame = parse_any(raw)
            except InputError:
                self._refused[Reason.MALFORMED] += 1
                return
            if frame.body is not None and not self._learn(frame, frame.body):
                return
            seq, boot, prev, utc_us, accuracy = frame.seq, frame.boot, frame.prev, frame.utc_us, frame.utc_accuracy
            need = digest[: spec.DIGEST_SIZE] if frame.descriptor is None else frame.descriptor
        lane = self._known.get(need)
        if lane is None:
            self._hold(raw, need, received_us)
            return
        if frame is not None and not frame.signed and lane.described[need][1] != spec.Policy.SEAL:
            lane.tally.refused[Reason.DOWNGRADE] += 1
            return
        run = lane.run
        if run is None or prev != lane.prev or seq != lane.seq or boot < lane.boot:
            self._finish(lane)
            run = lane.run = Run(seq, prev)
        lane.prev, lane.seq, lane.boot = digest[:_PREV], seq + 1, boot
        run.raws.append(raw)
        run.digests.append(lane.prev)
        run.boots.append(boot)
        self._open += 1
        if received_us is not None and self._is_future(utc_us, accuracy, received_us):
            run.future.add(seq)
        if frame is not None and (words := Words(declarations(frame), frame.body is not None)) != PLAIN:
            run.words[seq] = words
        if frame is not None and not frame.signed:
            run.maced.add(seq)
        if len(run.raws) >= self._max_run:
            self._finish(lane)
        elif self._open > _MAX_OPEN:
            self.cut()

    def _is_future(self, utc_us: int | None, accuracy: int | None, received_us: int) -> bool:
        if utc_us is None or accuracy is None:
            return False
        return utc_us > received_us + (1 << accuracy) + self._tolerance_us

    def _learn(self, frame: Frame, body: Descriptor) -> bool:
        """Check a descriptor by its own key; return whether it may be used."""
        if body.digest in self._known:
            return True
        if self._registry.get(body.thumbprint) is None:
            self._refused[Reason.FOREIGN] += 1 + len(self._take_held(body.digest))
            if len(self._foreign) < _MAX_FOREIGN:
                self._foreign[body.digest] = None
            return False
        lane = self._lane(body.thumbprint, body.public_key)
        try:
            verify_sign1(frame.raw, lane.key)
        except SignatureError:
            lane.tally.refused[Reason.FORGED] += 1
            return False
        while len(self._known) >= MAX_DESCRIPTORS:
            digest = next(iter(self._known))
            del self._known.pop(digest).described[digest]
            self._forgot = True
        self._known[body.digest] = lane
        lane.described[body.digest] = frame.seq, body.policy
        for raw, received_us in self._take_held(body.digest):
            self._take(raw, received_us)
        return True

    def _lane(self, thumbprint: bytes, point: bytes) -> Lane:
        lane = self._lanes.get(thumbprint)
        if lane is None:
            lane = self._lanes[thumbprint] = Lane(point, self._tally(thumbprint))
        return lane

    def _tally(self, thumbprint: bytes) -> Tally:
        return Tally(thumbprint, self._anchors.get(thumbprint))

    def _hold(self, raw: bytes, need: bytes, received_us: int | None) -> None:
        if need in self._foreign:
            self._refused[Reason.FOREIGN] += 1
        elif len(self._held) < _MAX_HELD:
            self._held.append((need, raw, received_us))
        else:
            self._refused[Reason.UNKNOWN_DESCRIPTOR] += 1

    def _take_held(self, need: bytes) -> list[tuple[bytes, int | None]]:
        taken = [(raw, received_us) for digest, raw, received_us in self._held if digest == need]
        self._held = [held for held in self._held if held[0] != need]
        return taken

    def _finish(self, lane: Lane) -> None:
        self._open -= lane.finish()
