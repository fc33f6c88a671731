"""Vital signs from verified waveforms: a number where its quality is sure, and else the reason why there is none.

One window in, readings out; knows no frames, no times and no files. What is made of which channels, how, and rounded
to what stands in `ALGORITHMS`; a change of what an algorithm answers is a new version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TypeAlias

from vitalwire.errors import UsageError
from vitalwire_protocol.spec import SIGNALS

from .ecg import heart_rate
from .model import Estimate, Reading, Reason, Samples, absent
from .oximetry import spo2
from .ppg import keeps_step, pulse_rate
from .respiration import from_ecg, from_ppg
from .steady import activity, cadence, temperature

__all__ = ["ALGORITHMS", "Algorithm", "Estimate", "Reading", "Reason", "Samples", "derive"]

_Function: TypeAlias = Callable[..., Estimate]
ACTIVITY_UNIT = SIGNALS["accel_x"].unit


@dataclass(frozen=True, slots=True)
class Algorithm:
    """How one reading is made: from these channels of at least `rate` Hz, by this function, good to `step`."""

    reading: str  # a name of spec.SIGNALS, or `activity`
    name: str
    version: int
    channels: tuple[str, ...]
    function: _Function
    step: Decimal
    rate: float = 0.0
    by_curve: bool = False  # it follows a calibration, where the sensor has one; its function takes that last

    @property
    def unit(self) -> str:
        """The unit of the reading (UCUM)."""
        return SIGNALS[self.reading].unit if self.reading in SIGNALS else ACTIVITY_UNIT


ECG_RATE, PPG_RATE = 90.0, 18.0  # Hz; below, beats cannot be placed
PULSE, MOVED = "ppg_ir", ("accel_x", "accel_y", "accel_z")
_TENTH = Decimal("0.1")
# Of several ways to one reading, the first that gives one, of those whose channels are there.
ALGORITHMS: tuple[Algorithm, ...] = (
    Algorithm("heart_rate", "ecg-beats", 2, ("ecg_lead_ii",), heart_rate, _TENTH, ECG_RATE),
    Algorithm("heart_rate", "ecg-beats", 2, ("ecg_lead_i",), heart_rate, _TENTH, ECG_RATE),
    Algorithm("pulse_rate", "ppg-systoles", 2, ("ppg_ir",), pulse_rate, _TENTH, PPG_RATE),
    Algorithm("spo2", "ratio-of-ratios", 2, ("ppg_red", "ppg_ir"), spo2, _TENTH, PPG_RATE, by_curve=True),
    Algorithm("respiration_rate", "ecg-modulation", 2, ("ecg_lead_ii",), from_ecg, _TENTH, ECG_RATE),
    Algorithm("respiration_rate", "ecg-modulation", 2, ("ecg_lead_i",), from_ecg, _TENTH, ECG_RATE),
    Algorithm("respiration_rate", "ppg-modulation", 2, ("ppg_ir",), from_ppg, _TENTH, PPG_RATE),
    Algorithm("temperature_skin", "median", 1, ("temperature_skin",), temperature, Decimal("0.01")),
    Algorithm("temperature_body", "median", 1, ("temperature_body",), temperature, Decimal("0.01")),
    Algorithm("activity", "enmo", 1, MOVED, activity, Decimal("0.001")),
)


def derive(channels: Mapping[str, Samples], curves: Mapping[str, Sequence[float]] | None = None) -> list[Reading]:
    """Return one reading, or its absence, of each kind whose channels are there; UsageError without SciPy, sleepecg.

    `curves` holds the sensors' calibrations by the reading's name: coefficients of a polynomial, the constant first.
    What is made of a pulse that keeps step with the acceleration is absent.
    """
    done: dict[str, Reading] = {}
    moved = [channels[name] for name in MOVED if name in channels]
    steps = cadence(*moved) if len(moved) == len(MOVED) else None
    for algorithm in ALGORITHMS:
        samples = [channels[name] for name in algorithm.channels if name in channels]
        fits = len(samples) == len(algorithm.channels) and all(each.rate >= algorithm.rate for each in samples)
        before = done.get(algorithm.reading)
        if fits and (before is None or before.value is None):
            found = _read(algorithm, samples, (curves or {}).get(algorithm.reading), steps)
            done[algorithm.reading] = found if before is None or found.value is not None else before
    return list(done.values())


def _read(algorithm: Algorithm, samples: list[Samples], curve: Sequence[float] | None, steps: float | None) -> Reading:
    by_curve = algorithm.by_curve and curve is not None
    watched = steps is not None and PULSE in algorithm.channels
    try:
        found = algorithm.function(*samples, *([curve] if by_curve else []))
        if watched and found.value is not None:
            pulse = pulse_rate(samples[algorithm.channels.index(PULSE)])
            if pulse.value is not None and keeps_step(pulse.value, steps or 0.0):
                found = absent(Reason.MOTION, found.quality)
    except ImportError as error:
        raise UsageError(f"readings need {error.name}", advice='pip install "vitalwire[readings]"') from None
    value = None
    if found.value is not None:
        value = Decimal(repr(found.value)).quantize(algorithm.step, ROUND_HALF_EVEN)
    return Reading(
        algorithm.reading,
        algorithm.unit,
        value,
        found.reason,
        Decimal(repr(float(found.quality))).quantize(Decimal("0.01"), ROUND_HALF_EVEN),
        algorithm.name,
        algorithm.version,
        (*algorithm.channels, *MOVED) if watched else algorithm.channels,
        by_curve or not algorithm.by_curve,
    )
