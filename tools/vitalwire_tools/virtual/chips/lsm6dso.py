"""LSM6DSO, accelerometer by I2C (data sheet DS12140): registers and the tagged FIFO of 512 words."""

from __future__ import annotations

from collections import deque

from .base import I2cChip, Refused

FIFO_CTRL1, FIFO_CTRL2, FIFO_CTRL3, FIFO_CTRL4, INT1_CTRL = 0x07, 0x08, 0x09, 0x0A, 0x0D
WHO_AM_I, CTRL1_XL, CTRL3_C, FIFO_STATUS1, FIFO_STATUS2 = 0x0F, 0x10, 0x12, 0x3A, 0x3B
TAG, LAST = 0x78, 0x7E

INT1_FIFO_TH, H_LACTIVE, SW_RESET = 0x08, 0x20, 0x01
WTM_IA, OVR_IA, FULL_IA, OVR_LATCHED = 0x80, 0x40, 0x20, 0x08
CONTINUOUS, BYPASS = 6, 0
ACCELEROMETER = 2
DEPTH = 512
RESET_US = 50
RATES = {1: 12.5, 2: 26.0, 3: 52.0, 4: 104.0, 5: 208.0}  # by ODR_XL, which BDR_XL is to equal


class Lsm6dso(I2cChip):
    """The chip at address 0x6A or 0x6B; plays a recording at +-4 g."""

    part = "lsm6dso"
    channels = ("accel_x", "accel_y", "accel_z")
    signal = "acceleration"
    hertz = 52.0
    rails = (-32768, 32767)
    names = {  # noqa: RUF012 - a table
        FIFO_CTRL1: (0, 0xFF),
        FIFO_CTRL2: (0, 0x01),
        FIFO_CTRL3: (0, 0x0F),
        FIFO_CTRL4: (0, 0x07),
        INT1_CTRL: (0, 0x08),
        WHO_AM_I: (0x6C, 0),
        CTRL1_XL: (0, 0xFE),
        CTRL3_C: (0x04, 0x75),
        FIFO_STATUS1: (0, 0),
        FIFO_STATUS2: (0, 0),
        **dict.fromkeys(range(TAG, LAST + 1), (0, 0)),
    }

    def power_on(self) -> None:
        """See Chip."""
        super().power_on()
        self.fifo: deque[int] = deque()
        self.overrun = self.latched = False
        self.count = 0  # of the tag, two bits
        self.shown = b""
        self.reset_until = -1

    def after(self, register: int) -> int:
        """See I2cChip: the FIFO's output rounds from its last byte to the tag."""
        if not self.registers[CTRL3_C] & 0x04:
            return register
        return TAG if register == LAST else register + 1

    def read(self, register: int, now: int) -> int:
        """See I2cChip."""
        if register == WHO_AM_I and "wrong_part" in self.active:
            return 0x6A
        if register == CTRL3_C and now < self.reset_until:
            return self.registers[CTRL3_C] | SW_RESET
        if register == FIFO_STATUS1:
            return len(self.fifo) & 0xFF
        if register == FIFO_STATUS2:
            flags = WTM_IA * self._watermark() | OVR_IA * self.overrun | FULL_IA * (len(self.fifo) >= DEPTH - 1)
            flags |= OVR_LATCHED * self.latched
            self.latched = False
            return flags | len(self.fifo) >> 8
        if TAG <= register <= LAST:
            return self._data(register)
        return super().read(register, now)

    def _data(self, register: int) -> int:
        if register == TAG:
            if not self.fifo:
                raise Refused("lsm6dso: read of an empty FIFO")
            index = self.fifo.popleft()
            self.overrun = False
            tag = ACCELEROMETER << 3 | self.count << 1
            self.count = (self.count + 1) & 3
            words = b"".join(self.word(index, channel, 16).to_bytes(2, "little") for channel in range(3))
            self.shown = bytes([tag | bin(tag).count("1") & 1]) + words
        elif len(self.shown) != LAST + 1 - register:
            raise Refused("lsm6dso: a FIFO word is read from its tag on")
        value, self.shown = self.shown[0], self.shown[1:]
        return value

    def stop(self) -> None:
        """See I2cChip."""
        if self.shown:
            raise Refused("lsm6dso: a FIFO word was not read whole")

    def write(self, register: int, value: int, now: int) -> None:
        """See I2cChip."""
        if now < self.reset_until:
            raise Refused("lsm6dso: written while it resets")
        if register == CTRL3_C and value & SW_RESET:
            self.begin()
            self.clock.stop()
            self.power_on()
            self.reset_until = now + RESET_US
            return
        super().write(register, value, now)
        if register == FIFO_CTRL4:
            if value not in {CONTINUOUS, BYPASS}:
                raise Refused("lsm6dso: only bypass and continuous mode are modelled")
            if value == BYPASS:
                self.begin()
                self.fifo.clear()
        if register == CTRL1_XL:
            self._run(value, now)

    def _run(self, value: int, now: int) -> None:
        if not value >> 4:
            self.clock.stop()
        elif value & 0x0E != 0x08 or value >> 4 not in RATES or self.registers[FIFO_CTRL3] != value >> 4:
            raise Refused("lsm6dso: the recording is of +-4 g, and the FIFO takes every sample")
        elif not self.clock.running:
            self.pace(RATES[value >> 4])
            self.clock.start(now)

    def store(self, index: int) -> None:
        """See Chip."""
        if self.registers[FIFO_CTRL4] == BYPASS:
            self.played.lost[index] = 1
            return
        if len(self.fifo) == DEPTH:
            self.played.lost[self.fifo.popleft()] = 1
            self.overrun = self.latched = True
        self.fifo.append(index)
        self.deepest = max(self.deepest, len(self.fifo))

    def _threshold(self) -> int:
        return self.registers[FIFO_CTRL1] | (self.registers[FIFO_CTRL2] & 1) << 8

    def _watermark(self) -> bool:
        return 0 < self._threshold() <= len(self.fifo)

    def held(self) -> list[int]:
        """See Chip."""
        return list(self.fifo)

    def pulls(self) -> bool:
        """See Chip: the line is active low only if it was configured so."""
        active = bool(self.registers[INT1_CTRL] & INT1_FIFO_TH) and self._watermark()
        return active == bool(self.registers[CTRL3_C] & H_LACTIVE)

    def until_pull(self) -> int:
        """See Chip."""
        wanted = self.registers[INT1_CTRL] & INT1_FIFO_TH and self.registers[CTRL3_C] & H_LACTIVE
        return max(self._threshold() - len(self.fifo), 1) if wanted and self._threshold() else 0
