# MAX30205: skin temperature by I2C (datasheet 19-8505, Maxim). 16 bit, 1/256 degC, one conversion a second.
#
# The chip sleeps and is woken for one shot (44 ms, 50 at most); each reading takes the last result and starts the next.
# It has no FIFO, no interrupt and no part id: that its configuration reads back is all that tells it from another.
from micropython import const
from wire import FAULT_WRONG_PART

from sensors import Sensor, SensorError

_TEMPERATURE = const(0x00)
_CONFIGURATION = const(0x01)
_CONVERSION = const(44000)  # typically
# uA: 600 during a conversion (page 1), 44 ms of each second; vitalwire_tools.power reads it
_SUPPLY_UA = const(26)
_SHUTDOWN_UA = const(2)  # uA, rounded up: 1.65 in shutdown (page 3)


class MAX30205(Sensor):
    PART = "MAX30205"
    CHANNELS = ("temperature_skin",)
    BITS = 16
    RATE = (1, 1)
    SCALE = (390625, -8)  # Cel
    INTERVAL = 1000000
    PATIENCE = 3000000

    def __init__(self, i2c, address, irq):
        super().__init__(None)
        self.i2c = i2c
        self.address = address
        self.into = bytearray(2)
        self.shot = 0

    def _convert(self):
        self.i2c.writeto_mem(self.address, _CONFIGURATION, b"\x81")  # shut down after one shot

    def setup(self, step):
        one = memoryview(self.into)[:1]
        self.i2c.writeto_mem(self.address, _CONFIGURATION, b"\x01")
        self.i2c.readfrom_mem_into(self.address, _CONFIGURATION, one)
        if one[0] & 0x7F != 1:
            raise SensorError(FAULT_WRONG_PART)
        self._convert()
        self.shot = 0
        return 0

    def burst(self, ring, now):
        start = ring.head
        if not ring.space():
            self.ok = now
            self.next = now + self.INTERVAL
            return 0
        self.i2c.readfrom_mem_into(self.address, _TEMPERATURE, self.into)
        self._convert()
        into = self.into
        ring.data[0][ring.place(start)] = ((into[0] << 8 | into[1]) ^ 0x8000) - 0x8000
        ring.head = start + 1
        shot = self.shot or self.next - self.INTERVAL
        ring.stamp(shot + _CONVERSION, start)
        missed = (now - self.next) // self.INTERVAL
        self.next += (missed + 1) * self.INTERVAL
        self.shot = now
        if missed > 0:
            self.drop(ring, missed, False)
        return ring.head - start
