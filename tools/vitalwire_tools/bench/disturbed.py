"""What readings become when the signal is disturbed: still right, absent with a reason, or wrong, which none may be.

Each minute that has a reading gets noise, and the movement of somebody who walks, so strong as is said of the signal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from rich.table import Table

from vitalwire.readings import Estimate, Reason, Samples
from vitalwire.readings.filters import bandpass
from vitalwire.readings.model import absent
from vitalwire.readings.ppg import keeps_step
from vitalwire.readings.steady import cadence

from ..recordings import Recording

STRENGTHS = (20, 10, 0, -10)  # dB, signal over disturbance, both in the band
BANDS = {"ecg": (5.0, 40.0), "pleth": (0.5, 8.0)}  # Hz
CLOSE = 5.0  # per cent of the undisturbed reading
WALK = "acceleration, trunk_vert"
MILLI_G = 0.00980665  # m/s2
NOISE, WALKING = "noise", "walking"


def disturbed(
    kind: str, values: Any, rate: float, walk: Recording, random: np.random.Generator
) -> Iterator[tuple[str, int, Any]]:
    """Yield how a signal is disturbed, how many decibels it is above that, and what it is then."""
    swing = float(np.std(bandpass(values, rate, *BANDS[kind])))
    size = len(values)
    seconds = np.arange(size) / rate
    begin = random.uniform(0, max(0.0, len(walk.samples) / walk.rate - size / rate))
    moved = np.interp(begin + seconds, np.arange(len(walk.samples)) / walk.rate, walk.samples)
    for name, added in ((NOISE, random.normal(size=size)), (WALKING, moved - moved.mean())):
        inside = float(np.std(bandpass(added, rate, *BANDS[kind])))
        for strength in STRENGTHS:
            yield name, strength, values + added * swing / inside * 10 ** (-strength / 20)


def run(
    minutes: list[tuple[str, Any, float, float]], functions: dict[str, Callable[[Samples], Estimate]], walk: Recording
) -> list[dict[str, Any]]:
    """Return of each kind of signal, disturbance and strength what became of the readings.

    `minutes` are kind, samples, rate and undisturbed reading.
    """
    random = np.random.default_rng(0)
    moved = Samples(walk.samples * MILLI_G, np.ones(len(walk.samples), bool), walk.rate)
    still = replace(moved, values=np.zeros(len(walk.samples)))
    steps = cadence(moved, still, still) or 0.0
    found: dict[tuple[str, str, int], Counter[str]] = {}
    for kind, values, rate, truth in minutes:
        for name, strength, other in disturbed(kind, values, rate, walk, random):
            made = functions[kind](Samples(other, np.ones(len(other), bool), rate))
            if name == WALKING and kind == "pleth" and made.value is not None and keeps_step(made.value, steps):
                made = absent(Reason.MOTION, made.quality)  # as `derive` does with an accelerometer beside
            right = made.value is not None and abs(made.value / truth - 1) * 100 <= CLOSE
            became = str(made.reason) if made.value is None else "right" if right else "wrong"
            found.setdefault((kind, name, strength), Counter())[became] += 1
    return [{"kind": key[0], "by": key[1], "db": key[2], **counts} for key, counts in found.items()]


def render(rows: list[dict[str, Any]]) -> Table:
    """Return the table."""
    table = Table("", "signal over it", "still right", "wrong", "absent, and why")
    for row in rows:
        why = {key: row[key] for key in row if key not in ("kind", "by", "db", "right", "wrong")}
        said = ", ".join(f"{count} {reason}" for reason, count in sorted(why.items()))
        table.add_row(
            f"{row['kind']} and {row['by']}", f"{row['db']} dB", str(row.get("right", 0)), str(row.get("wrong", 0)),
            said or "-",
        )  # fmt: skip
    return table
