# MAX30102: red and infrared PPG by I2C (datasheet 19-7740 rev 1, Maxim). 18 bit, 100 sps after averaging 4, FIFO of 32.
#
# Its almost-full interrupt comes at 17 samples at the earliest (FIFO_CONFIG, 0x08), past half the FIFO. So the one of
# a new sample is used: left uncleared it falls once a readout, at a sample whose index is known, and the readout
# follows by the clock when 12 samples are there, or 8 before the board does something long; nobody has to wake for it.
# A full FIFO stops, and OVF_COUNTER counts up to 31 lost samples until the first is taken out (page 14); counter and
# samples are then read in one transfer, so that hardly a loss falls between them.
import micropython
from micropython import const
from ring import ALL
from wire import FAULT_WEDGED, FAULT_WRONG_PART, MARK_SATURATED

from sensors import Sensor, SensorError

_STATUS = const(0x00)
_ENABLE = const(0x02)
_WR_PTR = const(0x04)
_DATA = const(0x07)
_FIFO_CONFIG = const(0x08)
_MODE = const(0x09)
_SPO2_CONFIG = const(0x0A)
_LED1 = const(0x0C)
_LED2 = const(0x0D)
_PART_ID = const(0xFF)

_ALC_OVF = const(0x20)
_PPG_RDY = const(0x40)
_RESET = const(0x40)
# uA: 600 of the chip (page 2) and two LEDs of 7.2 mA for 411 us 400 times a second; vitalwire_tools.power reads it
_SUPPLY_UA = const(2968)
_SHUTDOWN_UA = const(1)  # uA, rounded up: 0.7 in shutdown (page 2)
_CHUNK = const(12)  # samples of one burst
_FEW = const(8)  # of an early one, and what two others leave of a full FIFO
_DEPTH = const(32)
_PERIOD = const(10000)
_HIGH = const(0x3FFFF)


# Three bytes a channel, red first, 18 bits right-aligned (page 15), after the three pointer bytes.
@micropython.viper
def _unpack(source: ptr8, n: int, red: ptr32, infrared: ptr32, at: int, size: int) -> int:
    rail = 0
    i = 3
    while n:
        a = (source[i] & 3) << 16 | source[i + 1] << 8 | source[i + 2]
        b = (source[i + 3] & 3) << 16 | source[i + 4] << 8 | source[i + 5]
        if a == _HIGH or b == _HIGH or a == 0 or b == 0:
            rail = 1
        red[at] = a
        infrared[at] = b
        at += 1
        if at == size:
            at = 0
        i += 6
        n -= 1
    return rail


class MAX30102(Sensor):
    PART = "MAX30102"
    CHANNELS = ("ppg_red", "ppg_ir")
    BITS = 19  # 18 without a sign
    RATE = (100, 1)
    SCALE = (1, 0)
    INTERVAL = 12 * _PERIOD + _PERIOD // 2
    EARLY = INTERVAL - _FEW * _PERIOD
    WAKES = False

    def __init__(self, i2c, address, irq):
        super().__init__(irq)
        self.i2c = i2c
        self.address = address
        self.one = bytearray(1)
        self.status = bytearray(7)
        self.into = bytearray(3 + 6 * _CHUNK)
        self.samples = memoryview(self.into)[3:]
        self.few = memoryview(self.into)[3 : 3 + 6 * _FEW]
        self.early = False

    def set(self, register, value):
        self.one[0] = value
        self.i2c.writeto_mem(self.address, register, self.one)

    def _get(self, register):
        self.i2c.readfrom_mem_into(self.address, register, self.one)
        return self.one[0]

    def setup(self, step):
        if step == 0:
            if self._get(_PART_ID) != 0x15:
                raise SensorError(FAULT_WRONG_PART)
            self.set(_MODE, _RESET)
            return 2000
        if self._get(_MODE) & _RESET:
            if step > 10:
                raise SensorError(FAULT_WEDGED)
            return 5000
        self.set(_FIFO_CONFIG, 0x4F)  # average 4, no rollover
        self.set(_SPO2_CONFIG, 0x2F)  # 4096 nA, 400 sps, 411 us: 18 bit
        self.set(_LED1, 0x24)  # about 7 mA
        self.set(_LED2, 0x24)
        for register in range(_WR_PTR, _DATA):
            self.set(register, 0)
        self.set(_ENABLE, _PPG_RDY if self.irq else 0)
        self._get(_STATUS)  # clears the power-ready interrupt
        self.set(_MODE, 0x03)  # SpO2: red and infrared
        self.ahead = 0  # samples known to be in the FIFO since the last readout
        self.blind = False  # whether the next interrupt is of an unknown sample
        self.polled = 0
        self._wait(0)
        return 0

    def _wait(self, now):
        self.DELAY = (2 * (_CHUNK - self.ahead) - 1) * self.INTERVAL // 25
        self.next = now + self.DELAY + 2 * self.INTERVAL // 25

    def _take(self, ring, n):
        rail = _unpack(self.into, n, ring.data[0], ring.data[1], ring.place(ring.head), ring.size)
        ring.head += n
        return rail

    def burst(self, ring, now):
        status = self.status
        into = self.into
        self.i2c.readfrom_mem_into(self.address, _STATUS, status)  # clears the interrupt, then reads the pointers
        late = self.irq and self.irq.take() >= 0
        level = (status[4] - status[6]) % _DEPTH
        if not level and (self.edge >= 0 or not self.irq) and now - self.polled > 2 * self.INTERVAL:
            level = _DEPTH  # equal pointers of a full FIFO
        self.polled = now
        start = ring.head
        first = start + self.ahead
        newest = start + level - 1
        lost = rail = 0
        if ring.space() < _DEPTH:
            self.ok = now  # a full ring is no fault of the chip's
        elif level == _DEPTH or status[5]:
            self.i2c.readfrom_mem_into(self.address, _WR_PTR, into)
            lost = into[1]
            rail = self._take(ring, _CHUNK)
            self.i2c.readfrom_mem_into(self.address, _DATA, self.samples)
            rail |= self._take(ring, _CHUNK)
            self.i2c.readfrom_mem_into(self.address, _DATA, self.few)
            rail |= self._take(ring, _FEW)
            level = 0
        else:
            while level >= _CHUNK:
                self.i2c.readfrom_mem_into(self.address, _DATA, self.samples)
                rail |= self._take(ring, _CHUNK)
                level -= _CHUNK
            if self.early and level >= _FEW:
                self.i2c.readfrom_mem_into(self.address, _DATA, self.few)
                rail |= self._take(ring, _FEW)
                level -= _FEW
        self.ahead = level
        self._wait(now)
        if ring.head == start:
            self.next = now + 2 * self.INTERVAL // 25
            if self.edge >= 0 and not self.blind:
                ring.stamp(self.edge, first)
            self.edge = -1
        else:
            if rail:
                self.saturated(ring, start, 0, _HIGH)
            if status[0] & _ALC_OVF:
                ring.mark(ALL, MARK_SATURATED, start, ring.head - start)
            if self.blind:
                self.edge = -1
            self.stamp(ring, first, now, newest)
        self.blind = late
        if lost:
            guess = lost > 30
            self.drop(ring, max(lost, self.missing(ring, now, 0)) if guess else lost, guess)
        return ring.head - start
