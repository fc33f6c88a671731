# Battery voltage by ADC behind a divider. One reading every ten seconds; what a voltage means in charge is a matter of
# the cell, which the board's data and the host know.
from sensors import Sensor


class Battery(Sensor):
    PART = "ADC"
    CHANNELS = ("battery_voltage",)
    BITS = 16
    RATE = (1, 10)
    SCALE = (1, 0)  # mV
    INTERVAL = 10000000
    PATIENCE = 30000000

    def __init__(self, adc, numerator, denominator):
        super().__init__(None)
        self.adc = adc
        self.numerator = numerator
        self.denominator = 1000 * denominator
        self.millivolt = 0

    def setup(self, step):
        return 0

    def burst(self, ring, now):
        start = ring.head
        missed = (now - self.next) // self.INTERVAL
        self.next += (missed + 1) * self.INTERVAL
        self.millivolt = self.adc.read_uv() * self.numerator // self.denominator
        if missed > 0:
            self.drop(ring, missed, False)
        if ring.space():
            ring.data[0][ring.place(ring.head)] = self.millivolt
            ring.stamp(now, ring.head)
            ring.head += 1
        self.ok = now  # a full ring is no fault
        return ring.head - start
