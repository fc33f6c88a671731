"""The battery at the ADC: a cell that discharges evenly, with a ripple; not a recording."""

from __future__ import annotations

from collections.abc import Sequence

from ...codegen.board import Battery as Cell
from ..faults import Fault
from .base import Played

HOURS = 72  # from full to empty
RIPPLE_MV = 3


class Battery:
    """Answers readings at the ADC's pin and logs the cell's millivolts of each."""

    part = "adc"

    def __init__(self, cell: Cell, faults: Sequence[Fault] = ()) -> None:
        self.cell = cell
        self._faults = faults
        self.played = Played(("battery_voltage",))

    def read_uv(self, now: int) -> int:
        """Return microvolts at the pin."""
        used = (self.cell.full - self.cell.empty) * now // (HOURS * 3_600_000_000)
        ripple = len(self.played) * 7 % (2 * RIPPLE_MV + 1) - RIPPLE_MV
        millivolts = max(self.cell.full - RIPPLE_MV - used + ripple, 0)
        for fault in self._faults:
            if fault.start <= now < fault.end:
                millivolts = round(fault.value)
        # Rounded up, so that the cell's voltage is the same again after the division.
        pin = -(-millivolts * 1000 * self.cell.denominator // self.cell.numerator)
        self.played.add(now, (millivolts,))
        return pin
