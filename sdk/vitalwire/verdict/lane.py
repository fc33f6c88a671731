"""One device's frames on their way into its count: the run that grows, what waits for a seal, and how each is proven.

Knows nothing of descriptors but what frames are measured by: whose a frame is, the `Verifier` has found out.
"""

from __future__ import annotations

from vitalwire.crypto import load_public_key, verify_mac0, verify_sign1
from vitalwire.errors import SignatureError
from vitalwire.frame.form import parse_any
from vitalwire.session.outcomes import Reason
from vitalwire.verdict.loose import Loose, One
from vitalwire.verdict.run import PLAIN, Run
from vitalwire.verdict.tally import Tally


class Lane:
    """One device: its count, and the run that its next frame may join."""

    __slots__ = ("boot", "described", "key", "loose", "point", "prev", "run", "seq", "tally")

    def __init__(self, point: bytes, tally: Tally) -> None:
        self.point = point
        self.key = load_public_key(point)
        self.tally = tally
        self.described: dict[bytes, tuple[int, int]] = {}  # number and policy of its descriptors, by digest
        self.loose = Loose()
        self.run: Run | None = None
        self.prev = b""  # what the next frame must have to join the run: this PREV,
        self.seq = self.boot = 0  # this number, and at least this boot

    def finish(self) -> int:
        """End the run: its last frame that is proven by itself proves all before it. Return how many frames it had."""
        run, self.run = self.run, None
        if run is None:
            return 0
        ended = len(run)
        while len(run) and not self._proves(run):
            run.drop_last()
        if len(run):
            self.accept(run)
        return ended

    def _proves(self, run: Run) -> bool:
        """Return whether the last frame is proven by itself; one that is not is counted, or put aside."""
        last = run[len(run) - 1]
        if last.seq in run.maced:
            if self.tally.demands(last):
                return True
            self._put_aside(One(last, run.raws[-1], run.words.get(last.seq, PLAIN), last.seq in run.future))
            return False
        try:
            verify_sign1(run.raws[-1], self.key)
        except SignatureError:
            self.tally.refused[Reason.FORGED] += 1
            return False
        return True

    def accept(self, run: Run) -> None:
        """Count a proven run, and before it what its links prove of the frames put aside."""
        if self.loose:
            words = (word for words in run.words.values() for word in words.declared)
            for seq, digest in [(run.first, run.prev), *((word.first, word.prev) for word in words)]:
                if (older := self.loose.take(seq - 1, digest)) is not None:
                    self.tally.accept(older)
        self.tally.accept(run)

    def _put_aside(self, one: One) -> None:
        if one.link in self.loose:
            self.tally.repeated()
        elif not self.tally.repeats(one.link) and self.loose.add(one) is not None:
            self.tally.refused[Reason.UNSEALED] += 1

    def settle(self, key: bytes | None, *, revoked: bool) -> None:
        """Count the frames that no signature covers by their MACs, if `key` is there; of a revoked device none."""
        if revoked:
            self.tally.refused[Reason.REVOKED] += len(self.loose)
            return
        for one in self.loose.rest():
            authentic = None
            if key is not None:
                try:
                    verify_mac0(one.raw, key)
                    authentic = True
                except SignatureError:
                    authentic = False
            before = [(seq, digest) for digest, (seq, _) in self.described.items() if seq < one.link.seq]
            if max(before, default=(0, b""))[1] != parse_any(one.raw).descriptor:
                self.tally.refused[Reason.DOWNGRADE] += 1
            else:
                self.tally.settle(one.link, future=one.future, authentic=authentic)
