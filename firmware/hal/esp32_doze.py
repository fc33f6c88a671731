# The ESP32 in light sleep, its memory kept: only the timer wakes it, and what comes in by the serial port meanwhile is
# lost, because its clock stands. Ticks go on by the RTC's slow clock. Loaded where duty.py is.
from machine import lightsleep

from hal.esp32 import ticks

# ppb that ticks may be off then: the slow clock is an RC oscillator, measured by the crystal at each sleep of seconds
off_ppb = 1_000_000


def doze(until):
    start = ticks()
    ms = (until - start) // 1000
    if ms > 0:
        lightsleep(ms)
    return ticks() - start
