"""Second ways to the readings, each by a method of its own, for `bench readings` to hold ours against.

No package that carries recordings carries annotated beats or saturations measured beside the light, so but for the
belts, which are a second sensor, these judges are second detectors: agreement is no proof, disagreement is a doubt.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from vitalwire.readings.filters import bandpass
from vitalwire.readings.oximetry import TYPICAL

PULSE = (0.6, 3.5)  # Hz
BREATH = (0.08, 0.7)  # Hz
SIZE = 1 << 18  # of a spectrum


def xqrs_rate(values: Any, rate: float) -> float:
    """Return the heart rate by wfdb's detector."""
    from wfdb.processing import xqrs_detect

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wfdb's own affair
        beats = xqrs_detect(values, rate, verbose=False)
    return float(60 * rate / np.mean(np.diff(beats))) if len(beats) > 2 else 0.0


def spectral_rate(values: Any, rate: float) -> float:
    """Return the pulse rate as the frequency at which spectrum and first harmonic are strongest together."""
    band = bandpass(values, rate, 0.5, 8.0)
    power = np.abs(np.fft.rfft(band * np.hanning(len(band)), SIZE)) ** 2
    step = rate / SIZE
    low, high = (int(edge / step) for edge in PULSE)
    both = power[low:high] + power[2 * low : 2 * high : 2]
    return float(60 * step * (low + int(np.argmax(both))))


def belt_rate(values: Any, rate: float) -> float:
    """Return the respiration rate by the breaths that a belt around the chest shows, counted."""
    from scipy.signal import find_peaks

    band = bandpass(values, rate, *BREATH)
    tops, _ = find_peaks(band, distance=max(1, int(1.2 * rate)), prominence=0.5 * float(np.std(band)))
    return float(60 * rate / np.mean(np.diff(tops))) if len(tops) > 2 else 0.0


def deviation(axes: Any) -> float:
    """Return the mean amplitude deviation of acceleration (Vähä-Ypyä et al., 2015), which wants no gravity known."""
    norm = np.sqrt(sum(axis**2 for axis in axes))
    return float(np.mean(np.abs(norm - norm.mean())))


def spectral_spo2(red: Any, infrared: Any, rate: float) -> float:
    """Return the saturation by the ratio of the two spectra at the pulse, on the same line; looks for no systole."""
    spectra = [np.fft.rfft((each - each.mean()) * np.hanning(len(each)), SIZE) for each in (red, infrared)]
    frequencies = np.fft.rfftfreq(SIZE, 1 / rate)
    inside = (frequencies > PULSE[0]) & (frequencies < PULSE[1])
    pulse = frequencies[inside][np.argmax(np.abs(spectra[1][inside]))]
    x, y = (spectrum[np.abs(frequencies - pulse) < 0.1] for spectrum in spectra)
    swing = abs(np.vdot(y, x)) / np.vdot(y, y).real
    return float(np.polynomial.Polynomial(TYPICAL)(swing * infrared.mean() / red.mean()))
