"""MAX30102, red and infrared PPG by I2C (data sheet 19-7740): registers, 32-sample FIFO with pointers and counter."""

from __future__ import annotations

from collections import deque

from .base import I2cChip, Refused

STATUS1, STATUS2, ENABLE1, ENABLE2 = 0x00, 0x01, 0x02, 0x03
WR_PTR, OVF_COUNTER, RD_PTR, DATA, FIFO_CONFIG, MODE, SPO2 = 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A
REV_ID, PART_ID = 0xFE, 0xFF

A_FULL, PPG_RDY, PWR_RDY = 0x80, 0x40, 0x01
SHDN, RESET = 0x80, 0x40
DEPTH = 32
RESET_US = 1_000
AVERAGES = (1, 2, 4, 8, 16, 32, 32, 32)
RATES = (50, 100, 200, 400, 800, 1000, 1600, 3200)


class Max30102(I2cChip):
    """The chip at address 0x57; plays a recording."""

    part = "max30102"
    channels = ("ppg_red", "ppg_ir")
    signal = "ppg"
    hertz = 100.0
    rails = (0, 0x3FFFF)
    names = {  # noqa: RUF012 - a table
        STATUS1: (PWR_RDY, 0),
        STATUS2: (0, 0),
        ENABLE1: (0, 0xE0),
        ENABLE2: (0, 0x02),
        WR_PTR: (0, 0x1F),
        OVF_COUNTER: (0, 0x1F),
        RD_PTR: (0, 0x1F),
        DATA: (0, 0),
        FIFO_CONFIG: (0, 0xFF),
        MODE: (0, 0xC7),
        SPO2: (0, 0x7F),
        0x0C: (0, 0xFF),
        0x0D: (0, 0xFF),
        0x11: (0, 0x77),
        0x12: (0, 0x77),
        REV_ID: (0x03, 0),
        PART_ID: (0x15, 0),
    }

    def power_on(self) -> None:
        """See Chip."""
        super().power_on()
        self.fifo: deque[int] = deque()
        self.shown = b""  # what is left of the sample being read
        self.reset_until = -1

    def after(self, register: int) -> int:
        """See I2cChip: the data register holds the pointer."""
        return register if register == DATA else register + 1

    def read(self, register: int, now: int) -> int:
        """See I2cChip."""
        if register == STATUS1:
            value, self.registers[STATUS1] = self.registers[STATUS1], 0
            return value
        if register == DATA:
            return self._data()
        if register == MODE and now < self.reset_until:
            return RESET
        if register == PART_ID and "wrong_part" in self.active:
            return 0x11
        return super().read(register, now)

    def _data(self) -> int:
        if not self.shown:
            if not self.fifo:
                raise Refused("max30102: read of an empty FIFO")
            # The read pointer goes up with the first byte of a sample (page 15), and the counter starts over (page 14).
            index = self.fifo.popleft()
            self.registers[RD_PTR] = (self.registers[RD_PTR] + 1) % DEPTH
            self.registers[OVF_COUNTER] = 0
            self.shown = b"".join(self.word(index, channel, 18).to_bytes(3, "big") for channel in range(2))
        self.registers[STATUS1] &= ~PPG_RDY
        value, self.shown = self.shown[0], self.shown[1:]
        return value

    def stop(self) -> None:
        """See I2cChip."""
        if self.shown:
            raise Refused("max30102: a sample was not read whole")

    def write(self, register: int, value: int, now: int) -> None:
        """See I2cChip."""
        if now < self.reset_until:
            raise Refused("max30102: written while it resets")
        if register == MODE and value & RESET:
            self.begin()
            self.clock.stop()
            self.power_on()
            self.registers[STATUS1] = 0
            self.reset_until = now + RESET_US
            return
        super().write(register, value, now)
        if register in {WR_PTR, OVF_COUNTER, RD_PTR}:
            if value:
                raise Refused("max30102: the FIFO's pointers are only ever cleared")
            self.begin()
            self.fifo.clear()
            self.registers.update({WR_PTR: 0, RD_PTR: 0, OVF_COUNTER: 0})
        if register == MODE:
            self._run(value, now)

    def _run(self, mode: int, now: int) -> None:
        if mode & SHDN or not mode & 7:
            self.clock.stop()
            return
        config = self.registers[SPO2]
        rate = RATES[config >> 2 & 7] / AVERAGES[self.registers[FIFO_CONFIG] >> 5]
        if mode & 7 != 3 or config & 3 != 3 or RATES[config >> 2 & 7] > 400:
            raise Refused("max30102: the recording is of red and infrared, 18 bits: 400 samples a second at most")
        if not self.registers[0x0C] or not self.registers[0x0D]:
            raise Refused("max30102: a LED is off")
        if not self.clock.running:
            self.pace(rate)
            self.clock.start(now)

    def store(self, index: int) -> None:
        """See Chip."""
        config = self.registers[FIFO_CONFIG]
        if len(self.fifo) == DEPTH:
            self.registers[OVF_COUNTER] = min(self.registers[OVF_COUNTER] + 1, 31)
            if not config & 0x10:
                self.played.lost[index] = 1
                return
            self.played.lost[self.fifo.popleft()] = 1
            self.registers[RD_PTR] = (self.registers[RD_PTR] + 1) % DEPTH
        self.fifo.append(index)
        self.deepest = max(self.deepest, len(self.fifo))
        self.registers[WR_PTR] = (self.registers[WR_PTR] + 1) % DEPTH
        self.registers[STATUS1] |= PPG_RDY
        if DEPTH - len(self.fifo) <= config & 15:
            self.registers[STATUS1] |= A_FULL

    def held(self) -> list[int]:
        """See Chip."""
        return list(self.fifo)

    def pulls(self) -> bool:
        """See Chip: the power-ready interrupt cannot be masked."""
        return bool(self.registers[STATUS1] & (self.registers[ENABLE1] | PWR_RDY))

    def until_pull(self) -> int:
        """See Chip."""
        if self.registers[ENABLE1] & PPG_RDY:
            return 0 if len(self.fifo) == DEPTH and not self.registers[FIFO_CONFIG] & 0x10 else 1
        if self.registers[ENABLE1] & A_FULL:
            return max(DEPTH - (self.registers[FIFO_CONFIG] & 15) - len(self.fifo), 1)
        return 0
