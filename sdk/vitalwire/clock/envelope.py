"""When each sample of one chip was taken, by the device's clock, from readouts that can only be late.

A readout of sample n comes at or after the moment the sample was ready, never before, so the truth is the lower
envelope of the readouts. It is estimated as a curve a + b x + c x^2 / 2 below all of them, their lateness exponentially
distributed: the posterior mean over a grid of b and c, where a follows in closed form. (The mode of the same likelihood
with c = 0 is the linear program of Moon, Skelly and Towsley, "Estimation and removal of clock skew from network delay
measurements", INFOCOM 1999; the mean extrapolates better, and c follows an oscillator that warms up.)
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MAX_DRIFT = 0.025  # of a chip's oscillator, relative to its nominal rate
WANDER = 3e-6  # by how much its relative rate changes in a second: one standard deviation
CARRIED_DRIFT = 5e-4  # what a rate known from before a gap or a reboot may have changed: one standard deviation
MEMORY = 30.0  # seconds after which a readout counts 1/e
WINDOW = 90.0  # seconds after which it is forgotten, but
FEWEST = 12  # readouts are kept whatever their age, and
MOST = 64  # at most
LATENESS = 0.002  # seconds a readout is late on average, as long as nothing else is known
REFIT = 8.0  # seconds of new readouts that follow the curve before it is fitted again
SLACK = 0.001  # seconds a readout may lie below the curve before it is fitted again at once
STEPS = np.linspace(-1.0, 1.0, 31)
BENDS = np.linspace(-2.0, 2.0, 7) * WANDER


@dataclass(frozen=True, slots=True)
class Curve:
    """When nominal chip second x was, in device seconds: y + (1 + b)(x - at) + c (x - at)^2 / 2.

    `error` is one deviation of y, `b_error` of b.
    """

    at: float
    y: float
    b: float
    c: float
    error: float
    b_error: float

    def __call__(self, x: float) -> float:
        """Return the device time of x."""
        d = x - self.at
        return self.y + (1 + self.b) * d + self.c * d * d / 2


class Envelope:
    """The readouts of one stream between two interruptions; x are nominal chip seconds, y device seconds.

    Memory is bounded; readouts that do not come in rising order of x are ignored. `rate` carries on what was known
    before (`Curve.b`), or None.
    """

    def __init__(self, rate: float | None = None) -> None:
        self._rate = rate
        self._points: deque[tuple[float, float]] = deque(maxlen=MOST)
        self._curve: Curve | None = None
        self.count = 0  # readouts seen

    def add(self, x: float, y: float) -> None:
        """Take one readout: its newest sample's place, and when it was read."""
        points, curve = self._points, self._curve
        if points and x <= points[-1][0]:
            return
        self.count += 1
        if len(points) > 1 and x - points[-2][0] < WINDOW / MOST:
            # Readouts closer together than the window can hold: keep the earlier of two.
            if y - points[-1][1] > (1 + (curve.b if curve else 0.0)) * (x - points[-1][0]):
                return
            points.pop()
        points.append((x, y))
        while len(points) > FEWEST and x - points[0][0] > WINDOW:
            points.popleft()
        if curve and (len(points) <= FEWEST or x - curve.at > REFIT or y < curve(x) - SLACK):
            self._curve = None

    def lateness(self, x: float, y: float) -> float:
        """Return by how much a readout would be late; 0 before anything is known."""
        return y - self.at(x)[0] if self._points else 0.0

    def at(self, x: float) -> tuple[float, float]:
        """Return when the sample at x was taken, and one standard deviation of that, in seconds."""
        curve = self._fit()
        away = abs(x - curve.at)
        return curve(x), curve.error + curve.b_error * away + WANDER * away * away / 2

    @property
    def rate(self) -> float | None:
        """The relative rate error b to carry on: device seconds a nominal second, less one. None if still unknown."""
        return self._fit().b if self.count >= 3 else self._rate

    def _fit(self) -> Curve:
        if self._curve is None:
            self._curve = fit(np.array(self._points), self._rate)
        return self._curve


def fit(points: Floats, rate: float | None = None) -> Curve:
    """Return the curve under readouts (rows of x, y), at the newest of them; `rate` is what b was before."""
    at, newest = points[-1]
    x = points[:, 0] - at
    y = points[:, 1] - newest - x
    weights = np.exp(x / MEMORY)
    total = float(weights.sum())
    centre, span = (0.0, MAX_DRIFT) if rate is None else (rate, 4 * CARRIED_DRIFT)
    bent = 0.5 * BENDS[:, None] * x * x
    for _ in range(3):
        b = centre + span * STEPS
        residual = y - b[:, None, None] * x - bent
        lowest = residual.min(axis=2)
        late = residual @ weights - lowest * total
        # Two readouts fit any line: only what goes beyond them tells how late readouts are.
        scale = (float(late.min()) + LATENESS) / (max(total - 2.0, 0.0) + 1.0)
        cost = late / scale + 0.5 * (BENDS / WANDER) ** 2
        if rate is not None:
            cost += 0.5 * ((b - rate) / CARRIED_DRIFT)[:, None] ** 2
        mass = np.exp(cost.min() - cost)
        mass /= mass.sum()
        centre = float(mass.sum(axis=1) @ b)
        b_error = float(np.sqrt(mass.sum(axis=1) @ (b - centre) ** 2))
        span = min(span, max(4 * b_error, 2 * span / len(STEPS)))
    a = lowest - scale / total
    mean = float((mass * a).sum())
    error = float(np.sqrt((mass * (a - mean) ** 2).sum()) + scale / total)
    return Curve(float(at), float(newest + mean), centre, float(mass.sum(axis=0) @ BENDS), error, b_error)
