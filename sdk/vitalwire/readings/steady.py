"""What needs no beats: the temperature of the skin, how much the body moves, and in what rhythm."""

from __future__ import annotations

import numpy as np

from .model import Estimate, Reason, Samples, absent

GOOD = 0.5  # of the window, at least, must be valid
SKIN = (10.0, 45.0)  # Cel
JUMP = 2.0  # Cel between the 5th and the 95th percentile of a minute: a contact that comes and goes
STANDARD_GRAVITY = 9.80665  # m/s2
STEPS = (0.5, 3.5)  # Hz
STRIDE = 1.0  # m/s2, root mean square: less moves no pleth
FREE_FALL, CRASH = 0.3, 16.0  # of gravity, on average over a window: no body does that


def temperature(channel: Samples) -> Estimate:
    """Return the median temperature (Cel) of a window."""
    values = channel.values[channel.valid]
    share = len(values) / max(1, len(channel.values))
    if share < GOOD or not len(values):
        return absent(channel.missing())
    low, high = np.percentile(values, [5, 95])
    if high - low > JUMP:
        return absent(Reason.NOISE, share)
    median = float(np.median(values))
    return Estimate(median, share) if SKIN[0] <= median <= SKIN[1] else absent(Reason.IMPLAUSIBLE, share)


def activity(x: Samples, y: Samples, z: Samples) -> Estimate:
    """Return the mean acceleration beyond gravity (m/s2): Euclidean norm minus one (ENMO, van Hees et al., 2013)."""
    valid = x.valid & y.valid & z.valid
    share = float(np.count_nonzero(valid)) / max(1, len(valid))
    if share < GOOD:
        return absent(x.missing())
    norm = np.sqrt(sum(axis.values[valid] ** 2 for axis in (x, y, z)))
    mean = float(norm.mean())
    if not FREE_FALL * STANDARD_GRAVITY <= mean <= CRASH * STANDARD_GRAVITY:
        return absent(Reason.IMPLAUSIBLE, share)
    return Estimate(float(np.clip(norm - STANDARD_GRAVITY, 0, None).mean()), share)


def cadence(x: Samples, y: Samples, z: Samples) -> float | None:
    """Return the strongest rhythm (/min) of a body that moves as if it walked; None of one that does not."""
    valid = x.valid & y.valid & z.valid
    if np.count_nonzero(valid) < GOOD * len(valid) or not len(valid):
        return None
    norm = np.sqrt(sum(axis.values**2 for axis in (x, y, z)))
    moving = np.where(valid, norm - norm[valid].mean(), 0.0)
    if float(np.sqrt(np.mean(moving[valid] ** 2))) < STRIDE:
        return None
    power = np.abs(np.fft.rfft(moving * np.hanning(len(moving)), 4 * len(moving))) ** 2
    frequencies = np.fft.rfftfreq(4 * len(moving), 1 / x.rate)
    inside = (frequencies >= STEPS[0]) & (frequencies <= STEPS[1])
    return 60 * float(frequencies[inside][np.argmax(power[inside])]) if inside.any() else None
