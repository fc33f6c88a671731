"""SpO2 from two wavelengths by the ratio of ratios; without a sensor's calibration the number is only comparable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .filters import bandpass
from .model import Estimate, Reason, Samples, absent
from .ppg import BAND, pulses
from .rate import pieces

# SpO2 = 110 - 25 R, the line that textbooks and chip makers' notes give where nobody calibrated (Webster, "Design of
# Pulse Oximeters", 1997, chapter 10).
TYPICAL = (110.0, -25.0)
ALIKE = 0.9  # correlation of the two wavelengths in the pulse band
PERFUSION = 0.0005  # alternating over steady light, at least
RANGE = (70.0, 102.0)  # below, no curve holds; a little above 100 is the curve's error
FULL = 100.0


def spo2(red: Samples, infrared: Samples, curve: Sequence[float] = TYPICAL) -> Estimate:
    """Return the oxygen saturation (%) of a window: `curve` is the sensor's calibration, a polynomial of R from c0 on.

    The values must be light as counted, nothing subtracted.
    """
    valid = red.valid & infrared.valid
    both = infrared
    if not np.array_equal(valid, infrared.valid):
        marked = (max(getattr(each, of) for each in (red, infrared)) for of in ("lead_off", "saturated"))
        both = Samples(infrared.values, valid, infrared.rate, *marked)
    good, quality, reason = pieces(both, pulses)
    if reason is not None:
        return absent(reason, quality)
    ratios: list[float] = []
    for piece in good:
        light = red.values[piece.start : piece.start + len(piece.values)], piece.values
        steady = [float(np.mean(each)) for each in light]
        if min(steady) <= 0:
            return absent(Reason.NO_SIGNAL, quality)
        moving = [bandpass(each, red.rate, *BAND) for each in light]
        swing = [float(np.std(each)) for each in moving]
        if min(swing[0] / steady[0], swing[1] / steady[1]) < PERFUSION:
            continue
        alike = float(np.mean(moving[0] * moving[1])) / (swing[0] * swing[1])
        if alike >= ALIKE:
            ratios.append((swing[0] / steady[0]) / (swing[1] / steady[1]))
    if not ratios:
        return absent(Reason.NO_SIGNAL, quality)
    if 2 * len(ratios) < len(good):
        return absent(Reason.NOISE, quality)
    value = float(np.polynomial.Polynomial(curve)(np.median(ratios)))
    return Estimate(min(value, FULL), quality) if RANGE[0] <= value <= RANGE[1] else absent(Reason.IMPLAUSIBLE, quality)
