"""AD8232, one-lead ECG as a voltage (data sheet Rev. D): gain 100 about half the supply, LO+ and LO- for electrodes."""

from __future__ import annotations

from .base import AnalogChip

MIDDLE_MV, SUPPLY_MV, GAIN = 1650, 3300, 100
RATE = 256  # of the recording
SCALE = 25 / 65536 * GAIN  # millivolts at the pin of a count of the recording, which is a MAX30003's


class Ad8232(AnalogChip):
    """Plays the ECG recording as it was sampled, without a filter between; logged in mV from the middle, as read."""

    part = "ad8232"
    channels = ("ecg_lead_i",)
    signal = "ecg"
    hertz = float(RATE)
    rails = (-MIDDLE_MV, SUPPLY_MV - MIDDLE_MV)

    def power_on(self) -> None:
        """See Chip."""

    def store(self, index: int) -> None:
        """See Chip; the board's timer samples it."""

    def read_uv(self, now: int) -> int:
        """See AnalogChip."""
        (count,) = self.recording[now * RATE // 1_000_000 % len(self.recording)]
        value = max(min(round(count * SCALE), self.rails[1]), self.rails[0])
        if "saturate" in self.active or "lead_off" in self.active:
            value = self.rails["saturate" not in self.active or self.active["saturate"].value > 0]
        self.played.add(now, (value,))
        return (value + MIDDLE_MV) * 1000

    def level(self, pin: int) -> int:
        """See AnalogChip: LO+ tells, LO- stays low."""
        return int("lead_off" in self.active and pin == 0)
