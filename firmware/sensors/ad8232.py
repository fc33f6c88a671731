# AD8232: one-lead ECG by ADC (datasheet Rev. D, Analog Devices). 1 mV at the pin a count, 256 sps by the board's timer.
#
# The output is 100 times the signal about half the supply, 1.65 V ("Architecture overview"). LO+ and LO- are high while
# their electrode is off (DC leads-off detection, three electrodes). The ADC is good for 150 to 2450 mV on the weakest
# chip (ESP32, ADC at 11 dB); beyond that a sample counts as saturated. Nothing tells a missing chip from a flat line.
from micropython import const

from sensors.sampled import Sampled

# uA, typical (page 1); vitalwire_tools.power reads it
_SUPPLY_UA = const(170)
_MIDDLE = const(1650)  # mV


class AD8232(Sampled):
    PART = "AD8232"
    CHANNELS = ("ecg_lead_i",)
    BITS = 13
    RATE = (256, 1)
    SCALE = (1, -2)  # mV
    LOW = 150 - _MIDDLE
    HIGH = 2450 - _MIDDLE

    def __init__(self, adc, plus, minus, source):
        super().__init__(source)
        self.adc = adc
        self.plus = plus
        self.minus = minus
        self.handler = self._tick

    def setup(self, step):
        return self.begin(self.handler)

    def _tick(self, elapsed):
        i = self.slot(elapsed)
        if i < 0:
            return
        value = self.adc.read_uv() // 1000 - _MIDDLE
        if value <= self.LOW or value >= self.HIGH:
            self.rail = True
        self.queue[i] = value
        self.put(i, self.plus() or self.minus())
