"""A part of a record judged apart, by another process perhaps, for whoever judges the whole to take over.

Only a part in which every frame is proven, by descriptors that were known before, is worth anything: of any other the
whole's `Verifier` must see the frames themselves, and so decides about everything that could be disputed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vitalwire.registry import Registry
from vitalwire.verdict.run import Part, Run
from vitalwire.verdict.tally import Tally
from vitalwire.verdict.verifier import Known, Verifier


def judge_part(
    frames: Iterable[tuple[bytes, int | None]], known: Mapping[bytes, Known], *, by_chain: bool = True
) -> Part | None:
    """Return what frames prove to somebody who knows these descriptors, or None if any of them needs a closer look."""
    with Registry() as registry:
        for thumbprint in {each.thumbprint for each in known.values()}:
            registry.enrol(thumbprint, thumbprint.hex())
        verifier = _PartVerifier(registry, by_chain=by_chain)
        verifier.learn(known)
        for raw, received_us in frames:
            verifier.feed(raw, received_us)
        return verifier.part(len(known))


class _Runs(Tally):
    """Counts nothing, keeps what is proven."""

    def __init__(self, device: bytes) -> None:
        super().__init__(device)
        self.runs: list[Run] = []

    def accept(self, run: Run) -> None:
        """Keep a run, not its bytes."""
        run.raws.clear()
        self.runs.append(run)


class _PartVerifier(Verifier):
    def part(self, known: int) -> Part | None:
        """Return the runs, or None where anything was refused, waits, or is not one of so many known descriptors'."""
        self.cut()
        runs: dict[bytes, list[Run]] = {}
        for thumbprint, lane in self._lanes.items():
            assert isinstance(lane.tally, _Runs)
            runs[thumbprint] = lane.tally.runs
            if lane.tally.refused or lane.loose:
                return None
        if self._refused or self._held or len(self._known) != known:
            return None
        return Part(self._frames, runs)

    def _tally(self, thumbprint: bytes) -> Tally:
        return _Runs(thumbprint)
