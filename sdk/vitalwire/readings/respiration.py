"""Respiration rate from what breathing does to the pulse: its distance, its height and its level.

Each modulation is a series at the beats; its rhythm is looked for by the Lomb-Scargle periodogram, which needs no even
grid. Only where the modulations agree, that of the distance among them, is there a reading (after the smart fusion of
Karlen et al., 2013). Breaths slower than 8 a minute are not looked for: there the waves of blood pressure move all
modulations alike (high frequency begins at 0.15 Hz: Task Force of ESC and NASPE, 1996).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .ecg import beats
from .filters import bandpass
from .model import Estimate, Floats, Reason, Samples, absent
from .ppg import BAND, pulses
from .rate import Piece, pieces

BREATHS = (0.14, 0.5)  # Hz: 8.4 to 30 a minute
STEP = 0.002  # Hz
SHORTEST = 30.0  # seconds from the first to the last believed beat
SLOW = 8.0  # seconds: what is slower than this is no breath and is taken out
SPREAD = 3.0  # a minute: modulations further apart do not agree
CLEAR = 0.3  # of a modulation's power must lie near its peak
NEAR = 0.025  # Hz


def from_ecg(ecg: Samples) -> Estimate:
    """Return the respiration rate (/min) by the distance and the height of R waves."""
    good, quality, reason = pieces(ecg, beats)
    if reason is not None:
        return absent(reason, quality)
    heights = [_swing(piece, 0.06 * ecg.rate) for piece in good]
    return _fused(_series(good, ecg.rate, heights), quality)


def from_ppg(ppg: Samples) -> Estimate:
    """Return the respiration rate (/min) by the distance, the height and the level of pulses."""
    good, quality, reason = pieces(ppg, pulses)
    if reason is not None:
        return absent(reason, quality)
    heights = [_swing(piece, 0.3 * ppg.rate, bandpass(piece.values, ppg.rate, *BAND)) for piece in good]
    levels = [_level(piece) for piece in good]
    return _fused(_series(good, ppg.rate, heights, levels), quality)


def _swing(piece: Piece, half: float, values: Floats | None = None) -> Floats:
    """Return how far the signal goes up and down around each beat."""
    values = piece.values if values is None else values
    around = np.arange(-int(half), int(half) + 1)
    places = np.clip(piece.beats.astype(np.int64)[:, None] + around, 0, len(values) - 1)
    return np.asarray(np.ptp(values[places], axis=1), np.float64)


def _level(piece: Piece) -> Floats:
    """Return the mean of the signal from each beat to the next; the last one's is that of the one before."""
    sums = np.concatenate([[0.0], np.cumsum(piece.values)])[piece.beats.astype(np.int64)]
    means = np.diff(sums) / np.diff(piece.beats)
    return np.concatenate([means, means[-1:]])


def _series(good: Sequence[Piece], rate: float, *kinds: Sequence[Floats]) -> list[tuple[Floats, Floats]]:
    """Return times (s) and values of each modulation."""
    at = [(piece.start + piece.beats) / rate for piece in good]
    distances = np.concatenate([np.diff(each) for each in at])
    series = [(np.concatenate([each[1:] for each in at]), distances)]
    return series + [(np.concatenate(at), np.concatenate(kind)) for kind in kinds]


def _fused(series: Sequence[tuple[Floats, Floats]], quality: float) -> Estimate:
    if series[0][0][-1] - series[0][0][0] < SHORTEST:
        return absent(Reason.TOO_SHORT, quality)
    found = [_rhythm(times, values) for times, values in series]
    rates = [60 * rate for rate, share in found if share >= CLEAR]
    sure = quality * min(1.0, float(np.mean([share for _, share in found])))
    if len(rates) < 2 or found[0][1] < CLEAR:
        return absent(Reason.NO_SIGNAL, sure)
    if max(rates) - min(rates) > SPREAD:
        return absent(Reason.NOISE, sure)
    return Estimate(float(np.mean(rates)), sure)


def _rhythm(times: Floats, values: Floats) -> tuple[float, float]:
    """Return the strongest frequency (Hz) of breathing and the share of the power that lies near it."""
    from scipy.signal import find_peaks, lombscargle

    # Beats sample the breath: nothing above half their rate can be seen.
    highest = min(BREATHS[1], 0.45 / float(np.median(np.diff(times))))
    first, last = (np.searchsorted(times, times + side * SLOW / 2) for side in (-1, 1))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    moving = values - (sums[last] - sums[first]) / np.maximum(1, last - first)
    spread = 3 * 1.4826 * float(np.median(np.abs(moving)))
    moving = np.clip(moving, -spread, spread)  # an extra beat is no breath
    if highest <= BREATHS[0] or not np.any(moving):
        return 0.0, 0.0
    grid = np.arange(BREATHS[0], highest, STEP)
    power = lombscargle(times, moving - moving.mean(), 2 * np.pi * grid)
    peaks, _ = find_peaks(power)  # what rises to the edge is none
    if not len(peaks):
        return 0.0, 0.0
    top = int(peaks[np.argmax(power[peaks])])
    return float(grid[top]), float(power[np.abs(grid - grid[top]) <= NEAR].sum() / power.sum())
