"""What a recording is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Recording:
    """One channel: integers of `bits` signed bits at `rate` Hz, where they are from and under what licence."""

    name: str
    samples: Samples
    bits: int
    rate: float
    source: str = ""
    licence: str = ""
