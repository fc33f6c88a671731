# MAX30003: one-lead ECG by SPI mode 0 (datasheet 19-8558, Maxim). 18 bit, 256 sps, 32-word FIFO, DC lead-off.
#
# The chip raises EINT at 11 words and is read at once; it must be read before 16 (rates.py: sooner). It does not
# count what it loses: after EOVF the whole record is void ("FIFO overflow", table "STATUS (0x01)") and the clock
# estimates the gap.
import micropython
from micropython import const
from ring import ALL
from wire import FAULT_MISSING, FAULT_WEDGED, FAULT_WRONG_PART, MARK_LEAD_OFF

from sensors import Sensor, SensorError

_STATUS = const(0x01)
_EN_INT = const(0x02)
_MNGR_INT = const(0x04)
_SW_RST = const(0x08)
_SYNCH = const(0x09)
_FIFO_RST = const(0x0A)
_INFO = const(0x0F)
_CNFG_GEN = const(0x10)
_CNFG_EMUX = const(0x14)
_CNFG_ECG = const(0x15)
_FIFO_BURST = const(0x20)

_EINT = const(0x800000)
_PLLINT = const(0x000100)
# of STATUS, its first byte: EINT and EOVF; its last: LDOFF
_WAITING = const(0x80)
_LOST = const(0x40)
_LDOFF = const(0x0F)

# uA: 85 uW at 1.1 V with the ECG channel on (page 1); vitalwire_tools.power reads it
_SUPPLY_UA = const(77)
_SHUTDOWN_UA = const(1)  # uA, rounded up: 0.5 in shutdown (page 1)
_WORDS = const(16)  # of one burst
_SIZE = const(49)
_PERIOD = const(3906)
_HIGH = const(131071)
_LOW = const(-131072)

_MORE = const(1)
_OVERFLOW = const(2)
_RAIL = const(4)

# EN_ECG, DC lead-off with 10 nA against +-300 mV, 100 MOhm bias on both electrodes (CNFG_GEN, 0x10).
_GEN = const(0x081217)
# 256 sps, 20 V/V, 0.5 Hz high pass, 100 Hz low pass (CNFG_ECG, 0x15).
_ECG = const(0x406000)


# FIFO words: data[23:6], ETAG[5:3] 0 and 1 valid, 2 and 3 valid and last, 6 empty, 7 overflow ("ECG FIFO", 0x20). A
# sample may come while the rest of a burst reads an empty FIFO, so nothing ends before the burst does.
@micropython.viper
def _unpack(source: ptr8, target: ptr32, at: int, size: int) -> int:
    n = 0
    flags = 0
    i = 1
    while i < _SIZE:
        low = source[i + 2]
        tag = (low >> 3) & 7
        if tag < 4:
            v = ((source[i] << 10 | source[i + 1] << 2 | low >> 6) ^ 0x20000) - 0x20000
            if v >= _HIGH or v <= _LOW:
                flags |= _RAIL
            target[at] = v
            at += 1
            if at == size:
                at = 0
            n += 1
        elif tag != 6:
            flags |= _OVERFLOW
        i += 3
    if tag < 2:
        flags |= _MORE
    return n << 8 | flags


class MAX30003(Sensor):
    PART = "MAX30003"
    CHANNELS = ("ecg_lead_i",)
    BITS = 18
    RATE = (256, 1)
    SCALE = (3814697265625, -16)  # mV: 1 V reference / (2^17 * 20 V/V) = 25/65536
    threshold = 11  # words in the FIFO at the interrupt
    INTERVAL = 15 * _PERIOD
    EARLY = 1_000_000  # whatever there is

    def __init__(self, spi, cs, irq):
        super().__init__(irq)
        self.spi = spi
        self.cs = cs
        self.lead_off = self.early = False
        self.short = bytearray(4)
        self.into = bytearray(_SIZE)

    def _get(self, register):
        b = self.short
        b[0] = register << 1 | 1
        self.cs(0)
        self.spi.write_readinto(b, b)
        self.cs(1)
        return b[1] << 16 | b[2] << 8 | b[3]

    def set(self, register, value):
        b = self.short
        b[0] = register << 1
        b[1] = value >> 16
        b[2] = value >> 8 & 255
        b[3] = value & 255
        self.cs(0)
        self.spi.write_readinto(b, b)
        self.cs(1)

    def setup(self, step):
        if step == 0:
            info = self._get(_INFO)
            if info == 0 or info == 0xFFFFFF:
                raise SensorError(FAULT_MISSING)
            if info & 0xF03000 != 0x503000:
                raise SensorError(FAULT_WRONG_PART)
            self.set(_SW_RST, 0)
            return 1000
        if step == 1:
            self.set(_EN_INT, _EINT | 3)
            self.set(_MNGR_INT, (self.threshold - 1) << 19 | 4)
            self.set(_CNFG_EMUX, 0)
            self.set(_CNFG_ECG, _ECG)
            self.set(_CNFG_GEN, _GEN)
            if self._get(_CNFG_GEN) != _GEN:
                raise SensorError(FAULT_WEDGED)
        if step < 12:
            # PLLINT is held until STATUS is read after the lock, so the second reading counts.
            return 10000 if step < 2 or self._get(_STATUS) & _PLLINT else self._synch()
        raise SensorError(FAULT_WEDGED)

    def _synch(self):
        self.set(_SYNCH, 0)
        return 0

    def burst(self, ring, now):
        cs = self.cs
        spi = self.spi
        short = self.short
        short[0] = _STATUS << 1 | 1
        cs(0)
        spi.write_readinto(short, short)
        cs(1)
        status = short[1]
        if status & 0x0F | (short[2] | short[3]) & 0xF0:
            raise OSError(5)  # a line nobody drives
        waiting = status & _WAITING
        self.lead_off = bool(short[3] & _LDOFF)
        self.next = now + self.INTERVAL
        start = ring.head
        if status & _LOST:
            self._reset(ring, now)
        elif not (waiting or self.early):
            self.next = now + 2 * _PERIOD
        else:
            irq = self.irq
            if waiting and self.edge < 0 and irq:
                self.edge = irq.take()  # it came since due() looked
            flags = 0
            into = self.into
            while ring.space() >= _WORDS:
                into[0] = _FIFO_BURST << 1 | 1  # what follows it on the way in is not looked at
                cs(0)
                spi.write_readinto(into, into)
                cs(1)
                n = _unpack(into, ring.data[0], ring.place(ring.head), ring.size)
                flags |= n
                if flags & _MORE and not waiting:
                    raise OSError(5)  # a line at 0
                ring.head += n >> 8
                if not n & _MORE:
                    break
            if flags & _RAIL:
                self.saturated(ring, start, _LOW, _HIGH)
            if irq:
                irq.take()  # an interrupt in the midst of the reading is of no known sample
            if waiting and ring.head > start:
                self.stamp(ring, start + self.threshold - 1, now, ring.head - 1)
            if flags & _OVERFLOW:
                self._reset(ring, now)
            if ring.head == start:
                self.ok = now  # a full ring is no fault of the chip's
        if self.lead_off and ring.head > start:
            ring.mark(ALL, MARK_LEAD_OFF, start, ring.head - start)
        return ring.head - start

    def _reset(self, ring, now):
        self.set(_FIFO_RST, 0)
        if self.irq:
            self.irq.take()
        self.edge = -1
        self.drop(ring, self.missing(ring, now, 0), True)
