"""Pulse rate from one photoplethysmogram: systoles by two moving means, believed only where pulses are alike."""

from __future__ import annotations

import numpy as np

from .filters import agreement, bandpass, mean_over, repetition
from .model import Estimate, Floats, Samples
from .rate import mean_rate

BAND = (0.5, 8.0)  # Hz
ALIKE = 0.86  # correlation of the pulses with their median shape (Orphanidou et al., 2015, on the mean)
AGREEMENT = 0.8
UNEVEN = 2.2  # the longest interval of ten seconds over the shortest, at most (Orphanidou et al., 2015)
TOGETHER = 10.0  # a minute: steps as strong as the pulse draw its rate to theirs, their half or their double
CLOSEST = 0.24  # seconds between two pulses: 250 a minute


def pulses(values: Floats, rate: float) -> tuple[Floats, float]:
    """Return the places of the systoles; of the two ways up, those of the one in which the pulses are surer.

    Reflected light sinks in a systole, transmitted light too, and some sensors turn it over: so neither is assumed.
    """
    band = bandpass(values, rate, *BAND)
    return max((_sure(band, rate), _sure(-band, rate)), key=lambda found: found[1])


def _sure(band: Floats, rate: float) -> tuple[Floats, float]:
    tops = systoles(band, rate)
    if len(tops) < 3:
        return tops, 0.0
    intervals = np.diff(tops)
    typical = float(np.median(intervals))
    alike = repetition(band, tops, max(2, int(0.4 * typical)))
    same = agreement(tops, prominent(band, rate), 0.1 * typical)
    return tops, min(alike / ALIKE, same / AGREEMENT, UNEVEN * float(intervals.min() / intervals.max()))


def systoles(band: Floats, rate: float) -> Floats:
    """Return the places of the peaks of systolic blocks, by two moving means of the square (Elgendi et al., 2013)."""
    squared = np.clip(band, 0.0, None) ** 2
    short, long = mean_over(squared, int(0.111 * rate)), mean_over(squared, int(0.667 * rate))
    above = short > long + 0.02 * squared.mean()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], above, [False]]).astype(np.int8)))
    found: list[int] = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        place = int(start + np.argmax(band[start:stop]))
        if stop - start < 0.08 * rate or place in (0, len(band) - 1):
            continue
        if found and place - found[-1] < CLOSEST * rate:  # the same pulse again
            found[-1] = max(found[-1], place, key=lambda at: float(band[at]))
        else:
            found.append(place)
    return np.array(found, np.float64)


def prominent(band: Floats, rate: float) -> Floats:
    """Return the places of the peaks that stand out by a good part of what the largest do: the second detector."""
    from scipy.signal import find_peaks

    places, about = find_peaks(band, distance=int(CLOSEST * rate), prominence=0.0)
    if not len(places):
        return np.empty(0)
    enough = 0.5 * float(np.percentile(about["prominences"], 90))
    return np.asarray(places[about["prominences"] >= enough], np.float64)


def pulse_rate(ppg: Samples) -> Estimate:
    """Return the mean pulse rate (/min) of a window of one wavelength, whichever way up."""
    return mean_rate(ppg, pulses)


def keeps_step(rate: float, steps: float) -> bool:
    """Return whether a pulse rate may be that of the steps, which shake the light as much as a pulse does."""
    return any(abs(rate - many * steps) <= TOGETHER for many in (0.5, 1.0, 2.0))
