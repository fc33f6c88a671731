"""MAX30205, skin temperature by I2C (data sheet 19-8505): one-shot conversions; the recording gives one each."""

from __future__ import annotations

from .base import I2cChip, Refused

TEMPERATURE, CONFIGURATION, THYST, TOS = 0x00, 0x01, 0x02, 0x03
ONE_SHOT, SHUTDOWN = 0x80, 0x01
CONVERSION_US = 44_000


class Max30205(I2cChip):
    """The chip at address 0x48. Its registers are of 16 bits, but the configuration's 8."""

    part = "max30205"
    channels = ("temperature_skin",)
    signal = "temperature"
    hertz = 1e6 / CONVERSION_US
    names = {  # noqa: RUF012 - a table
        TEMPERATURE: (0, 0),
        CONFIGURATION: (0, 0xFF),
        THYST: (0x4B, 0xFF),
        TOS: (0x50, 0xFF),
    }

    def begin(self) -> None:
        """See Chip; without a FIFO there is no place where it was emptied."""

    def power_on(self) -> None:
        """See Chip."""
        super().power_on()
        self.result = 0
        self.unread = -1
        self._byte = 0

    def select(self, register: int) -> None:
        """See I2cChip."""
        super().select(register)
        self._byte = 0

    def after(self, register: int) -> int:
        """See I2cChip: the pointer stays."""
        return register

    def read(self, register: int, now: int) -> int:
        """See I2cChip."""
        if register == CONFIGURATION:
            return self.registers[CONFIGURATION]
        if register != TEMPERATURE or self._byte > 1:
            raise Refused(f"max30205: byte {self._byte} of register {register} is not modelled")
        self._byte += 1
        self.unread = -1
        return (self.result & 0xFFFF) >> (8 if self._byte == 1 else 0)

    def write(self, register: int, value: int, now: int) -> None:
        """See I2cChip."""
        if register != CONFIGURATION or self._byte:
            raise Refused("max30205: only the configuration is ever written")
        self._byte += 1
        if value & 0x7E or not value & SHUTDOWN:
            raise Refused("max30205: only one-shot conversions are modelled")
        self.registers[CONFIGURATION] = value & 0x7F
        if value & ONE_SHOT:
            self.clock.start(now)

    def held(self) -> list[int]:
        """See Chip."""
        return [self.unread] if self.unread >= 0 else []

    def store(self, index: int) -> None:
        """See Chip: one conversion, then sleep; a result nobody read is lost."""
        self.clock.stop()
        if self.unread >= 0:
            self.played.lost[self.unread] = 1
        self.unread = index
        self.result = self.played.counts[0][index]
