"""MLX90614, infrared temperature by SMBus (data sheet 3901090614): words with a PEC; each reading takes a new value."""

from __future__ import annotations

from .base import I2cChip, Refused

ADDRESS = 0x5A  # as it leaves the factory
OBJECT, OWN_ADDRESS = 0x07, 0x2E


def pec(data: bytes) -> int:
    """Return the CRC-8 of SMBus (x^8 + x^2 + x + 1) over a transfer's bytes."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (7 if crc & 128 else 0)) & 255
    return crc


class Mlx90614(I2cChip):
    """The chip at its own address. Plays a recording in 1/256 Cel, logged as its driver reads it, in 0.01 Cel."""

    part = "mlx90614"
    channels = ("temperature_skin",)
    signal = "temperature"
    hertz = 1.0
    names = {OBJECT: (0, 0), OWN_ADDRESS: (0, 0)}  # noqa: RUF012 - a table

    def power_on(self) -> None:
        """See Chip."""
        super().power_on()
        self._answer = b""

    def select(self, register: int) -> None:
        """See I2cChip."""
        super().select(register)
        self._answer = b""

    def after(self, register: int) -> int:
        """See I2cChip: a command is no pointer."""
        return register

    def read(self, register: int, now: int) -> int:
        """See I2cChip: low byte, high byte, PEC."""
        if not self._answer:
            word = self._measure(now) if register == OBJECT else 0xBE00 | ADDRESS ^ ("wrong_part" in self.active)
            head = bytes((ADDRESS << 1, register, ADDRESS << 1 | 1)) + word.to_bytes(2, "little")
            self._answer = head + bytes([pec(head) ^ ("noise" in self.active)])
            self._byte = 3
        if self._byte >= len(self._answer):
            raise Refused("mlx90614: more than a word and its PEC were read")
        self._byte += 1
        return self._answer[self._byte - 1]

    def write(self, register: int, value: int, now: int) -> None:
        """See I2cChip."""
        raise Refused("mlx90614: its EEPROM is never written")

    def _measure(self, now: int) -> int:
        (count,) = self.recording[len(self.played) % len(self.recording)]
        word = round((count / 256 + 273.15) / 0.02)
        self.played.lost[self.played.add(now, (2 * word - 27315,))] = "noise" in self.active
        return word

    def store(self, index: int) -> None:
        """See Chip; its oscillator is not modelled."""
