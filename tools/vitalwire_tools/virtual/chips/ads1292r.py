"""ADS1292R, two-lead ECG by SPI (data sheet SBAS502C): commands, registers, continuous reading, DRDY, no FIFO."""

from __future__ import annotations

from ..faults import Fault
from .base import Refused, SpiChip

WAKEUP, STANDBY, RESET, START, RDATAC, SDATAC, RREG, WREG = 0x02, 0x04, 0x06, 0x08, 0x10, 0x11, 0x20, 0x40
ID, CONFIG1, CONFIG2, LOFF, CH1SET, CH2SET, RLD_SENS, LOFF_SENS, LOFF_STAT, RESP1, RESP2 = range(11)
DECODE_US = 4e6 / 512_000  # four clocks of the internal oscillator for each byte of a command
REFERENCE_US = 150_000
SIZE = 9

# register: (value after reset, bits that may change, bits that must be 1); what is not modelled counts as fixed
REGISTERS = {
    CONFIG1: (0x02, 0x07, 0x00),
    CONFIG2: (0x80, 0x60, 0x80),
    LOFF: (0x10, 0xEC, 0x10),
    CH1SET: (0x00, 0x00, 0x00),
    CH2SET: (0x00, 0x00, 0x00),
    RLD_SENS: (0x00, 0x2F, 0x00),
    LOFF_SENS: (0x00, 0x0F, 0x00),
    RESP1: (0x00, 0x02, 0x00),
    RESP2: (0x02, 0x03, 0x00),
}
RATES = (125, 250, 500)
OFF = 0x0F  # all four inputs
LAG = 125  # samples by which lead II plays the recording later: the folder has one lead
COUNTS = 25 / 65536 / (2420 / (2**23 - 1) / 6)  # of this chip at gain 6, to one of the recording, a MAX30003's


class Ads1292r(SpiChip):
    """The chip as its SPI frames see it; plays the ECG recording on both leads, as one of 250 samples a second."""

    part = "ads1292r"
    channels = ("ecg_lead_i", "ecg_lead_ii")
    signal = "ecg"
    hertz = 250.0
    rails = (-(2**23), 2**23 - 1)
    phase = 1

    def __init__(self, recording: list[tuple[int, ...]], faults: list[Fault], seed: int) -> None:
        lead = [round(row[0] * COUNTS) for row in recording]
        super().__init__([(lead[n], lead[n - LAG]) for n in range(len(lead))], faults, seed)

    def power_on(self) -> None:
        """See Chip."""
        self.registers = {address: value for address, (value, _, _) in REGISTERS.items()}
        self.continuous = True
        self.standby = False
        self.unread = -1  # the newest sample, until somebody reads it
        self.settled_at = float("inf")
        self._frame = bytearray()
        self._answer = b""
        self._shifted = 0

    # ---- SPI

    def begin_frame(self) -> None:
        """See SpiChip."""
        if self._frame and self._frame[0] & 0xE0 in {RREG, WREG} and len(self._frame) != 3:
            raise Refused("ads1292r: chip select rose within a command")
        self._frame = bytearray()

    def begin_transfer(self, byte_us: float) -> None:
        """See SpiChip."""
        self._byte_us, self._shifted = byte_us, 0

    def shift(self, value: int, now: int) -> int:
        """See SpiChip."""
        position = len(self._frame)
        self._frame.append(value)
        self._shifted += 1
        command = self._frame[0]
        if not command:
            return self._data(position, now)
        if self._shifted > 1 and self._byte_us < DECODE_US:
            raise Refused("ads1292r: a byte came before the last one was decoded")
        if command & 0xE0 in {RREG, WREG}:
            return self._register(position, value, now)
        if position:
            raise Refused(f"ads1292r: command 0x{command:02X} has no second byte")
        self._command(command, now)
        return 0

    def _command(self, command: int, now: int) -> None:
        if self.standby and command != WAKEUP:
            raise Refused("ads1292r: only WAKEUP ends standby")
        if command in {WAKEUP, STANDBY}:
            self.standby = command == STANDBY
            if self.standby:
                self.clock.stop()
        elif command == RESET:
            self.begin()
            self.clock.stop()
            frame = self._frame
            self.power_on()
            self._frame = frame
        elif command == START:
            self._start(now)
        elif command in {RDATAC, SDATAC}:
            self.continuous = command == RDATAC
        else:
            raise Refused(f"ads1292r: there is no command 0x{command:02X} here")

    def _register(self, position: int, value: int, now: int) -> int:
        if self.continuous or self.standby:
            raise Refused("ads1292r: registers wait for SDATAC")
        if position == 1 and value:
            raise Refused("ads1292r: one register at a time")
        if position != 2:
            return 0
        address = self._frame[0] & 0x1F
        if self._frame[0] & 0xE0 == RREG:
            if address == ID:
                return 0x53 if "wrong_part" in self.active else 0x73
            if address not in self.registers:
                raise Refused(f"ads1292r: register 0x{address:02X} cannot be read")
            return self.registers[address]
        initial, free, ones = REGISTERS.get(address, (0, 0, 0))
        if address not in REGISTERS or (value ^ initial) & ~(free | ones) or value & ones != ones:
            raise Refused(f"ads1292r: 0x{value:02X} writes reserved bits of register 0x{address:02X}")
        if address == CONFIG2:
            self.settled_at = now + REFERENCE_US if value & 0x20 else float("inf")
        self.registers[address] = value
        return 0

    def _start(self, now: int) -> None:
        rate = self.registers[CONFIG1] & 7
        if rate >= len(RATES) or now < self.settled_at:
            raise Refused("ads1292r: only up to 500 samples a second are modelled, and the reference has to settle")
        if self.registers[RESP1] != 2 or self.registers[RESP2] & 1 == 0:
            raise Refused("ads1292r: RESP1 and RESP2 hold bits that must be set")
        self.begin()
        self.clock.stop()
        self.pace(RATES[rate])
        self.clock.start(now)

    def _data(self, position: int, now: int) -> int:
        if not self.continuous or position >= SIZE:
            raise Refused("ads1292r: nothing to read")
        if position == 0:
            self._answer = self._sampled()
            self.unread = -1
        return self._answer[position]

    def _sampled(self) -> bytes:
        if not len(self.played):
            return bytes(SIZE)
        off = "lead_off" in self.active and self.registers[CONFIG2] & 0x40
        status = 0xC << 20 | (self.registers[LOFF_SENS] & OFF if off else 0) << 15
        words = [status, *(self.word(len(self.played) - 1, channel, 24) for channel in range(2))]
        return b"".join(word.to_bytes(3, "big") for word in words)

    # ---- samples

    def store(self, index: int) -> None:
        """See Chip: a sample nobody read is gone, and DRDY falls anew."""
        if self.unread >= 0:
            self.played.lost[self.unread] = 1
        self.unread = index
        self._low = False

    def held(self) -> list[int]:
        """See Chip."""
        return [self.unread] if self.unread >= 0 else []

    def pulls(self) -> bool:
        """See Chip."""
        return self.unread >= 0

    def wakes(self) -> float:
        """See Chip: DRDY rises before each fall, so a low line wakes as well."""
        low, self._low = self._low, False
        try:
            return super().wakes()
        finally:
            self._low = low

    def until_pull(self) -> int:
        """See Chip."""
        return 1
