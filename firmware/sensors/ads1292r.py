# ADS1292R: two ECG leads by SPI mode 1 and data-ready interrupt (datasheet SBAS502C, TI). 24 bit, 250 sps, no FIFO.
#
# Channel 1 is lead I (LA - RA), channel 2 lead II (LL - RA), the right leg is driven. The bus is the chip's alone: its
# handler may come amid anything. Commands are decoded byte by byte for 4 clocks of 512 kHz, 7.8 us ("Sending Multi-Byte
# Commands"), so each byte is a transfer of its own; what MicroPython takes between two is more than that.
from micropython import const
from wire import FAULT_MISSING, FAULT_WEDGED, FAULT_WRONG_PART

from sensors import SensorError
from sensors.sampled import Sampled

# uA: 335 uW a channel at 3 V (page 1); vitalwire_tools.power reads it
_SUPPLY_UA = const(223)

_WAKEUP = const(0x02)
_RESET = const(0x06)
_START = const(0x08)
_RDATAC = const(0x10)
_SDATAC = const(0x11)
_RREG = const(0x20)
_WREG = const(0x40)

_SIZE = const(9)  # 24 bits of status, 24 a channel ("Data Output Protocol")


class ADS1292R(Sampled):
    PART = "ADS1292R"
    CHANNELS = ("ecg_lead_i", "ecg_lead_ii")
    BITS = 24
    RATE = (250, 1)
    SCALE = (4808108505421, -17)  # mV: 2.42 V / (2^23 - 1) / gain 6 ("Data Format")
    LOW = -0x800000
    HIGH = 0x7FFFFF
    PHASE = 1  # of SPI
    # Address, value. CONFIG1: 250 sps. CONFIG2: lead-off comparators and reference on. LOFF: DC, 6 nA, 95 %. CH1SET and
    # CH2SET: gain 6, electrodes. RLD_SENS: the right leg from all four inputs. LOFF_SENS: all four. RESP1, RESP2: none.
    SETTINGS = (
        (0x01, 0x01),
        (0x02, 0xE0),
        (0x03, 0x10),
        (0x04, 0x00),
        (0x05, 0x00),
        (0x06, 0x2F),
        (0x07, 0x0F),
        (0x09, 0x02),
        (0x0A, 0x03),
    )

    def __init__(self, spi, cs, source):
        super().__init__(source)
        self.spi = spi
        self.cs = cs
        self.one = bytearray(1)
        self.out = bytearray(_SIZE)
        self.into = bytearray(_SIZE)
        self.handler = self._ready

    def _send(self, *values):
        one = self.one
        self.cs(0)
        for value in values:
            one[0] = value
            self.spi.write_readinto(one, one)
        self.cs(1)
        return one[0]

    def setup(self, step):
        if step == 0:
            self.source.stop()
            self._send(_WAKEUP)  # in standby it hears nothing else
            self._send(_SDATAC)
            self._send(_RESET)
            return 1000
        if step == 1:
            self._send(_SDATAC)
            part = self._send(_RREG, 0, 0)
            if part in (0, 255):
                raise SensorError(FAULT_MISSING)
            if part != 0x73:
                raise SensorError(FAULT_WRONG_PART)
            for address, value in self.SETTINGS:
                self._send(_WREG | address, 0, value)
            for address, value in self.SETTINGS:
                if self._send(_RREG | address, 0, 0) != value:
                    raise SensorError(FAULT_WEDGED)
            return 160000  # until the reference has settled ("Reference")
        self._send(_RDATAC)
        self._send(_START)
        return self.begin(self.handler)

    def _ready(self, elapsed):
        i = self.slot(elapsed)
        if i < 0:
            return
        b = self.into
        self.cs(0)
        self.spi.write_readinto(self.out, b)
        self.cs(1)
        if b[0] & 0xF0 != 0xC0:
            self.fail()  # no status word: the line is noise
            return
        queue = self.queue
        low = self.LOW
        high = self.HIGH
        for channel in range(2):
            at = 3 * channel + 3
            value = ((b[at] << 16 | b[at + 1] << 8 | b[at + 2]) ^ 0x800000) - 0x800000
            if value <= low or value >= high:
                self.rail = True
            queue[2 * i + channel] = value
        # IN2N, IN2P, IN1N, IN1P off (bits 3 to 0 of LOFF_STAT)
        self.put(i, (b[0] << 1 | b[1] >> 7) & 15)
