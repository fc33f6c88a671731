"""MAX30003, one-lead ECG by SPI (data sheet 19-8558): registers, 32-word FIFO with tags, DC lead-off, PLL."""

from __future__ import annotations

from collections import deque

from .base import Refused, SpiChip

STATUS, EN_INT, EN_INT2, MNGR_INT, MNGR_DYN = 0x01, 0x02, 0x03, 0x04, 0x05
SW_RST, SYNCH, FIFO_RST, INFO = 0x08, 0x09, 0x0A, 0x0F
CNFG_GEN, CNFG_CAL, CNFG_EMUX, CNFG_ECG, CNFG_RTOR1, CNFG_RTOR2 = 0x10, 0x12, 0x14, 0x15, 0x1D, 0x1E
BURST, FIFO = 0x20, 0x21

EINT, EOVF, DCLOFFINT, PLLINT, LDOFF = 1 << 23, 1 << 22, 1 << 20, 1 << 8, 0x9  # ECGP high, ECGN low
DEPTH = 32
PLL_US = 15_000
DEBOUNCE_US = 115_000

# register: (value after power-on, bits that may be written); what is not modelled counts as reserved
REGISTERS = {
    EN_INT: (0x000003, 0xC00003),
    EN_INT2: (0x000003, 0x000003),
    MNGR_INT: (0x780004, 0xF80004),
    MNGR_DYN: (0x3F0000, 0x3F0000),
    CNFG_GEN: (0x000004, 0x381FFF),
    CNFG_CAL: (0x004800, 0x007FFF),
    CNFG_EMUX: (0x300000, 0xB00000),
    CNFG_ECG: (0x805000, 0xC37000),
    CNFG_RTOR1: (0x3FC600, 0x000000),
    CNFG_RTOR2: (0x202400, 0x000000),
}
RATES = {0: (512, 256, 128), 1: (500, 250, 125)}
LOW_PASSES = (3, 2, 1)  # the highest DLPF of each rate: 150, 100 and 40 Hz


class Max30003(SpiChip):
    """The chip as its SPI frames see it; plays a recording at 20 V/V."""

    part = "max30003"
    channels = ("ecg_lead_i",)
    signal = "ecg"
    hertz = 256.0  # of the recording
    rails = (-131072, 131071)

    def power_on(self) -> None:
        """See Chip."""
        self.registers = {address: value for address, (value, _) in REGISTERS.items()}
        self.fifo: deque[int] = deque()
        self.overflow = False
        self.latched = 0  # DCLOFFINT and PLLINT, held until STATUS is read
        self.locked_at = 0.0
        self.off_since = -1
        self._frame = bytearray()
        self._reply = b""

    # ---- SPI

    def begin_frame(self) -> None:
        """See SpiChip."""
        if self._frame and len(self._frame) % 3 != 1:
            raise Refused("max30003: chip select rose within a word")
        self._frame = bytearray()

    def shift(self, value: int, now: int) -> int:
        """See SpiChip."""
        position = len(self._frame)
        self._frame.append(value)
        if position == 0:
            return 0
        address, reads = self._frame[0] >> 1, self._frame[0] & 1
        if position > 3 and not (address == BURST and reads):
            raise Refused(f"max30003: more than 32 clocks for register 0x{address:02X}")
        if reads:
            if position % 3 == 1:
                self._reply = self._read(address, now).to_bytes(3, "big")
            return self._reply[(position - 1) % 3]
        if position == 3:
            self._write(address, int.from_bytes(self._frame[1:4], "big"), now)
        return 0

    def _read(self, address: int, now: int) -> int:
        if address == STATUS:
            status = self._status(now)
            self.latched = 0
            return status
        if address == INFO:
            return 0x413000 if "wrong_part" in self.active else 0x513000
        if address in {BURST, FIFO}:
            return self._pop()
        if address not in self.registers:
            raise Refused(f"max30003: register 0x{address:02X} cannot be read")
        return self.registers[address]

    def _write(self, address: int, value: int, now: int) -> None:
        if address in {SW_RST, SYNCH, FIFO_RST}:
            if value:
                raise Refused(f"max30003: register 0x{address:02X} takes only 0")
            self.begin()
            self.fifo.clear()
            self.overflow = False
            if address == SW_RST:
                self.clock.stop()
                self.power_on()
            elif address == SYNCH and self.clock.running:
                self.clock.start(now)
            return
        if address not in self.registers or value & ~REGISTERS[address][1]:
            raise Refused(f"max30003: 0x{value:06X} writes reserved bits of register 0x{address:02X}")
        self.registers[address] = value
        if address == CNFG_GEN and value >> 19 & 1:
            self._enable(now)
        elif address == CNFG_GEN:
            self.clock.stop()

    def _enable(self, now: int) -> None:
        ecg, general = self.registers[CNFG_ECG], self.registers[CNFG_GEN]
        rates = RATES.get(general >> 20 & 3)
        rate = ecg >> 22 & 3
        if rates is None or rate == 3 or ecg >> 16 & 3:
            raise Refused("max30003: only 20 V/V and a master clock of 32 or 32.768 kHz are modelled")
        if ecg >> 12 & 3 > LOW_PASSES[rate]:
            raise Refused("max30003: this rate has not that low pass")
        if self.registers[CNFG_EMUX]:
            raise Refused("max30003: the electrodes are not connected")
        if general >> 8 & 7 > 5 or general >> 2 & 3 == 3 or general >> 13 & 1 or general >> 5 & 1:
            raise Refused("max30003: reserved value in CNFG_GEN")
        if not self.clock.running:
            self.locked_at = now + PLL_US
            self.latched |= PLLINT
            self.pace(rates[rate])
            self.clock.start(now)

    # ---- samples

    def store(self, index: int) -> None:
        """See Chip: a full FIFO is void until it is reset."""
        if self.overflow or len(self.fifo) == DEPTH:
            self.overflow = True
            self.played.lost[index] = 1
        else:
            self.fifo.append(index)
            self.deepest = max(self.deepest, len(self.fifo))

    def _pop(self) -> int:
        if self.overflow:
            return 7 << 3
        if not self.fifo:
            return 6 << 3
        value = self.word(self.fifo.popleft(), 0, 18)
        return value << 6 | (0 if self.fifo else 2 << 3)

    def _status(self, now: int) -> int:
        off = "lead_off" in self.active and self.registers[CNFG_GEN] >> 12 & 1
        self.off_since = -1 if not off else now if self.off_since < 0 else self.off_since
        if off and now - self.off_since > DEBOUNCE_US:
            self.latched |= DCLOFFINT
        status = self._flags() | (LDOFF if off else 0) | self.latched
        if self.clock.running and now < self.locked_at:
            status |= PLLINT
        return status

    def _flags(self) -> int:
        waiting = EINT if len(self.fifo) > self.registers[MNGR_INT] >> 19 else 0
        return waiting | (EOVF if self.overflow else 0)

    def held(self) -> list[int]:
        """See Chip."""
        return list(self.fifo)

    def pulls(self) -> bool:
        """See Chip. Only the FIFO's interrupts reach the pin of this model."""
        enabled = self.registers[EN_INT]
        return bool(enabled & 3 and self._flags() & enabled)

    def until_pull(self) -> int:
        """See Chip."""
        if not self.registers[EN_INT] & EINT or not self.registers[EN_INT] & 3:
            return 0
        return max((self.registers[MNGR_INT] >> 19) + 1 - len(self.fifo), 1)
