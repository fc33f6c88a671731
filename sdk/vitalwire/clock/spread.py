"""The samples of one readout laid out in time: evenly, and never against the times handed out before and behind.

Time that turns out to be wrong is not corrected by a step back: samples come close together until it is right again.
"""

from __future__ import annotations

import math

import numpy as np

from .envelope import MAX_DRIFT, Floats

JOINED = 0.05  # seconds: a shift up to this is spread over a frame's samples instead of standing at its edge
CLOSEST = 0.1  # of a period: how close samples come when time has to wait for itself


def spread(count: int, end: float, length: float, period: float, before: float, after: float) -> Floats:
    """Return the times of samples that took `length` up to `end`, moved so that they rise from `before` to `after`."""
    if math.isnan(end):
        return np.full(count, math.nan)
    joins = abs(end - length - before - period) <= max(JOINED, MAX_DRIFT * count * period)
    start = before + (end - before) / count if joins else end - length
    closest = CLOSEST * period
    start = max(start, before + closest)
    end = max(end, start + (count - 1) * closest)
    closest = max(0.0, min(closest, (after - before) / (count + 1)))
    end = min(end, after - closest)
    start = min(start, end - (count - 1) * closest)
    times: Floats = np.arange(count, dtype=np.float64) * ((end - start) / max(1, count - 1))
    times += start
    times[-1] = end
    # far from 1970 a float is coarse, and what was rounded must not go back either
    return np.clip(np.minimum(times, end, out=times), before, after, out=times)
