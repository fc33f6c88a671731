# LSM6DSO: acceleration by I2C (datasheet DS12140, ST). 16 bit, 52 Hz, +-4 g, FIFO of 512 tagged words.
#
# The watermark interrupt comes at 26 words, half a second. The FIFO runs on when full (continuous mode) and overwrites
# the oldest; the chip flags that but does not count it, so the clock estimates the gap.
import micropython
from micropython import const
from wire import FAULT_WEDGED, FAULT_WRONG_PART

from sensors import Sensor, SensorError

_FIFO_CTRL1 = const(0x07)
_INT1_CTRL = const(0x0D)
_WHO_AM_I = const(0x0F)
_CTRL1_XL = const(0x10)
_CTRL3_C = const(0x12)
_FIFO_STATUS1 = const(0x3A)
_FIFO_DATA_OUT_TAG = const(0x78)

# uA: LA_IddHP, acceleration alone in high-performance mode (table 4); vitalwire_tools.power reads it
_SUPPLY_UA = const(170)
_SHUTDOWN_UA = const(3)  # uA: IddPD, all in power-down (table 4)
_CHUNK = const(26)  # words of one burst
_SIZE = const(182)
_PERIOD = const(19231)
_HIGH = const(32767)
_LOW = const(-32768)


# Words of seven bytes: tag[7:3] (2: accelerometer), then x, y, z, little endian ("FIFO_DATA_OUT_TAG", 0x78).
@micropython.viper
def _unpack(source: ptr8, x: ptr16, y: ptr16, z: ptr16, at: int, size: int) -> int:
    n = 0
    rail = 0
    i = 0
    while i < _SIZE:
        if source[i] >> 3 == 2:
            a = ((source[i + 1] | source[i + 2] << 8) ^ 0x8000) - 0x8000
            b = ((source[i + 3] | source[i + 4] << 8) ^ 0x8000) - 0x8000
            c = ((source[i + 5] | source[i + 6] << 8) ^ 0x8000) - 0x8000
            if a == _HIGH or b == _HIGH or c == _HIGH or a == _LOW or b == _LOW or c == _LOW:
                rail = 256
            x[at] = a
            y[at] = b
            z[at] = c
            at += 1
            if at == size:
                at = 0
            n += 1
        i += 7
    return n | rail


class LSM6DSO(Sensor):
    PART = "LSM6DSO"
    CHANNELS = ("accel_x", "accel_y", "accel_z")
    BITS = 16
    RATE = (52, 1)
    SCALE = (11964113, -10)  # m/s2: 0.122 mg (table 2) * 9.80665
    INTERVAL = 28 * _PERIOD
    PATIENCE = 1500000

    def __init__(self, i2c, address, irq):
        super().__init__(irq)
        self.i2c = i2c
        self.address = address
        self.status = bytearray(2)
        self.into = bytearray(_SIZE)

    def set(self, register, values):
        self.i2c.writeto_mem(self.address, register, values)

    def setup(self, step):
        one = memoryview(self.status)[:1]
        if step == 0:
            self.i2c.readfrom_mem_into(self.address, _WHO_AM_I, one)
            if one[0] != 0x6C:
                raise SensorError(FAULT_WRONG_PART)
            self.set(_CTRL3_C, b"\x01")  # software reset
            return 1000
        self.i2c.readfrom_mem_into(self.address, _CTRL3_C, one)
        if one[0] & 1:
            if step > 10:
                raise SensorError(FAULT_WEDGED)
            return 1000
        self.set(_CTRL3_C, b"\x64")  # whole samples, interrupt active low, address increments
        self.set(_FIFO_CTRL1, b"\x1a\x00\x03\x06")  # watermark 26, acceleration at 52 Hz, continuous
        self.set(_INT1_CTRL, b"\x08")  # FIFO watermark
        self.set(_CTRL1_XL, b"\x38")  # 52 Hz, +-4 g
        return 0

    def burst(self, ring, now):
        status = self.status
        self.i2c.readfrom_mem_into(self.address, _FIFO_STATUS1, status)
        level = status[0] | (status[1] & 3) << 8
        self.next = now + self.INTERVAL
        start = ring.head
        if status[1] & 0x48:  # full and overwritten, now or since the last reading
            if self.irq:
                self.irq.take()
            self.edge = -1
            self.drop(ring, self.missing(ring, now, level), True)
            ring.stamp(now, ring.head + level - 1)
        first = ring.head
        if ring.space() < _CHUNK:
            self.ok = now  # a full ring is no fault of the chip's
        elif level >= _CHUNK:
            if self.edge < 0 and self.irq:
                self.edge = self.irq.take()  # it came since due() looked
            self.i2c.readfrom_mem_into(self.address, _FIFO_DATA_OUT_TAG, self.into)
            n = _unpack(self.into, ring.data[0], ring.data[1], ring.data[2], ring.place(first), ring.size)
            ring.head += n & 255
            if n & 256:
                self.saturated(ring, first, _LOW, _HIGH)
            self.stamp(ring, first + _CHUNK - 1, now, first + level - 1)
            if level >= 2 * _CHUNK:
                self.next = now  # a backlog: the other sensors go first, then the rest
        else:
            self.edge = -1
            self.next = now + (_CHUNK - level) * self.INTERVAL // 28
        return ring.head - start
