# MLX90614: skin temperature by infrared, by SMBus (datasheet 3901090614, Melexis). 0.02 K a count, read once a second.
#
# The chip measures by itself, has no FIFO and no interrupt, and its bus no more than 100 kHz. Each answer ends with a
# PEC, the CRC-8 of the whole transfer (SMBus 3.1, 6.4.1): one that is wrong counts as no answer. Its own address, which
# its EEPROM holds, tells it from another part.
from micropython import const
from wire import FAULT_WRONG_PART

from sensors import Sensor, SensorError

_BAUD = const(100000)  # of the bus at most; vitalwire_tools.codegen.boardfile reads it
# uA: it measures all the time, some 1.4 mA ("Electrical specifications"); vitalwire_tools.power reads it
_SUPPLY_UA = const(1400)
_OBJECT = const(0x07)  # RAM: the object's temperature
_ADDRESS = const(0x2E)  # EEPROM: the chip's address
_ZERO = const(27315)  # 0 Cel in 0.01 K


class MLX90614(Sensor):
    PART = "MLX90614"
    CHANNELS = ("temperature_skin",)
    BITS = 16
    RATE = (1, 1)
    SCALE = (1, -2)  # Cel
    INTERVAL = 1000000
    PATIENCE = 3000000

    def __init__(self, i2c, address, irq):
        super().__init__(None)
        self.i2c = i2c
        self.address = address
        self.into = bytearray(6)
        self.answer = memoryview(self.into)[3:]

    def _word(self, command):
        into = self.into
        self.i2c.readfrom_mem_into(self.address, command, self.answer)
        into[0] = self.address << 1
        into[1] = command
        into[2] = self.address << 1 | 1
        crc = 0
        for byte in into:
            crc ^= byte
            for _ in range(8):
                crc = (crc << 1 ^ 7 if crc & 128 else crc << 1) & 255
        if crc:
            raise OSError(5)
        return into[3] | into[4] << 8

    def setup(self, step):
        if self._word(_ADDRESS) & 0x7F != self.address:
            raise SensorError(FAULT_WRONG_PART)
        return 0

    def burst(self, ring, now):
        start = ring.head
        if not ring.space():
            self.ok = now
            self.next = now + self.INTERVAL
            return 0
        word = self._word(_OBJECT)
        if word & 0x8000:
            raise OSError(5)  # the chip's own error flag
        ring.data[0][ring.place(start)] = 2 * word - _ZERO
        ring.head = start + 1
        ring.stamp(now, start)
        missed = (now - self.next) // self.INTERVAL
        self.next += (missed + 1) * self.INTERVAL
        if missed > 0:
            self.drop(ring, missed, False)
        return ring.head - start
