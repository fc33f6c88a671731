"""Heart rate from one ECG lead: beats by `sleepecg`, believed only where a second detector finds the same ones."""

from __future__ import annotations

import numpy as np

from .filters import agreement, bandpass, mean_over
from .model import Estimate, Floats, Samples
from .rate import mean_rate

AGREEMENT = 0.9  # of two detectors; less is no good signal (Li, Mark and Clifford, 2008)
BANDS = ((5.0, 15.0), (8.0, 20.0))  # Hz
PEAKED = 4.0  # kurtosis of the QRS band; noise has 3, a sine 1.5 (kSQI of Li, Mark and Clifford, 2008)
SAME = 0.1  # seconds
T_WAVE = 0.36  # seconds behind an R wave, in which half its energy is no beat (Pan and Tompkins, 1985)


def beats(values: Floats, rate: float) -> tuple[Floats, float]:
    """Return the places of the R waves, by the detector of `sleepecg` (after Pan and Tompkins, 1985)."""
    from sleepecg.heartbeats import detect_heartbeats

    band = bandpass(values, rate, 5.0, 40.0)
    if float(np.mean(band**4)) < PEAKED * float(np.mean(band**2)) ** 2:
        return np.empty(0), 0.0
    found = np.asarray(detect_heartbeats(values, rate), np.float64)
    # The lower band sees wide (ventricular) beats, the higher one leaves out tall T waves.
    alike = max(agreement(found, energy_beats(values, rate, band), SAME * rate) for band in BANDS)
    return found, alike / AGREEMENT


def energy_beats(values: Floats, rate: float, band: tuple[float, float]) -> Floats:
    """Return the places of the R waves by the simplest other way: peaks of the energy in a band (Hz)."""
    from scipy.signal import find_peaks

    energy = mean_over(bandpass(values, rate, *band) ** 2, int(0.12 * rate))
    # Each beat is held against what is usual in the three seconds around it, so that one artefact hides no others.
    usual = mean_over(energy, int(3 * rate))
    found, _ = find_peaks(energy, distance=int(0.25 * rate), height=np.maximum(usual, 0.1 * energy.mean()))
    kept: list[int] = []
    for place in found.tolist():
        is_t_wave = kept and place - kept[-1] < T_WAVE * rate and 2 * energy[place] < energy[kept[-1]]
        if not is_t_wave:
            kept.append(place)
    return np.array(kept, np.float64)


def heart_rate(ecg: Samples) -> Estimate:
    """Return the mean heart rate (/min) of a window of one lead."""
    return mean_rate(ecg, beats)
