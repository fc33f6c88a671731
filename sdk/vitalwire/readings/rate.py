"""From beats to a rate: cuts a window into pieces, believes those whose beats are sure, averages over them.

A detector takes one piece and returns the places of its beats in samples and how sure they are, from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from .model import Estimate, Floats, Reason, Samples, absent

PIECE = 10.0  # seconds
SHORTEST = 5.0
GOOD = 0.5  # of the window, at least, must be sure
LEAST = 7  # intervals, all pieces together
RATES = (25.0, 250.0)  # a minute

Detector: TypeAlias = Callable[[Floats, float], tuple[Floats, float]]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of samples that was believed, where it begins, and the places of its beats within it."""

    start: int
    values: Floats
    beats: Floats


@lru_cache(8)  # several readings are made of the beats of one window
def pieces(samples: Samples, detect: Detector) -> tuple[tuple[Piece, ...], float, Reason | None]:
    """Return the pieces to believe, their mean sureness weighted by how much of the window they are, or a reason."""
    good: list[Piece] = []
    sure = total = 0.0
    covered = moving = 0
    for start, stop in samples.runs(SHORTEST):
        count = max(1, round((stop - start) / (PIECE * samples.rate)))
        for part in np.array_split(np.arange(start, stop), count):
            values = samples.values[part[0] : part[-1] + 1]
            total += len(values)
            if np.ptp(values) == 0:
                continue
            moving += 1
            beats, quality = detect(values, samples.rate)
            sure += len(values) * quality
            if quality >= 1.0 and len(beats) > 1:
                good.append(Piece(int(part[0]), values, beats))
                covered += len(values)
    if total < GOOD * len(samples.values):
        return (), 0.0, samples.missing()
    quality = min(1.0, sure / total)
    if not moving:
        return (), 0.0, Reason.NO_SIGNAL
    return tuple(good), quality, None if covered >= GOOD * len(samples.values) else Reason.NOISE


def mean_rate(samples: Samples, detect: Detector) -> Estimate:
    """Return the mean rate (/min) of a window."""
    good, quality, reason = pieces(samples, detect)
    if reason is not None:
        return absent(reason, quality)
    intervals = np.concatenate([np.diff(piece.beats) for piece in good]) / samples.rate
    if len(intervals) < LEAST:
        return absent(Reason.TOO_SHORT, quality)
    rate = 60.0 / float(intervals.mean())
    return Estimate(rate, quality) if RATES[0] <= rate <= RATES[1] else absent(Reason.IMPLAUSIBLE, quality)
