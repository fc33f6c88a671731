"""Filters and rhythm measures that the estimators share; SciPy is imported when one is used."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .model import Floats


def bandpass(values: Floats, rate: float, low: float, high: float) -> Floats:
    """Return the part of a signal between two frequencies (Hz), without delay: Butterworth of order 2, both ways."""
    from scipy.signal import sosfiltfilt

    # Three digits of the rate: chips that drift a little share a filter, and designing one takes longer than its use.
    sos = _design(float(f"{rate:.3g}"), low, high)
    return np.asarray(sosfiltfilt(sos, values - np.median(values)), np.float64)


@lru_cache(64)
def _design(rate: float, low: float, high: float) -> Floats:
    from scipy.signal import butter

    return np.asarray(butter(2, [low, min(high, 0.45 * rate)], "bandpass", fs=rate, output="sos"), np.float64)


def mean_over(values: Floats, count: int) -> Floats:
    """Return the moving mean over `count` samples, centred."""
    from scipy.ndimage import uniform_filter1d

    return np.asarray(uniform_filter1d(values, max(1, count), mode="nearest"), np.float64)


def agreement(first: Floats, second: Floats, tolerance: float) -> float:
    """Return the share of beats that two detectors both found: matched / all (bSQI of Li, Mark and Clifford, 2008)."""
    if not len(first) or not len(second):
        return 0.0
    at = np.clip(np.searchsorted(second, first), 1, max(1, len(second) - 1))
    right = second[np.minimum(at, len(second) - 1)]
    near = np.minimum(np.abs(first - second[at - 1]), np.abs(first - right))
    matched = int(np.count_nonzero(near <= tolerance))
    return min(1.0, matched / (len(first) + len(second) - matched))


def repetition(values: Floats, places: Floats, half: int) -> float:
    """Return how alike the beats are: the median correlation of each, +-`half` samples, with their median shape."""
    inside = places[(places >= half) & (places < len(values) - half)].astype(np.int64)
    if len(inside) < 3:
        return 0.0
    beats = values[inside[:, None] + np.arange(-half, half)]
    beats = beats - beats.mean(axis=1, keepdims=True)
    shape = np.median(beats, axis=0)
    norms = np.linalg.norm(beats, axis=1) * np.linalg.norm(shape)
    if not np.all(norms > 0):
        return 0.0
    return float(np.median(beats @ shape / norms))
