# The modules `time` and `select` of an ESP32, in one: microseconds that wrap at 2^30 and begin at VITALWIRE_CHIP_TICKS,
# FreeRTOS's tick of 10 ms, seconds since 2000, ctrl-C, and handlers that run between two bytecodes, here whenever
# somebody asks for the time or waits.
import os
import select
import time

from hal import virtual

POLLIN = select.POLLIN
POLLOUT = select.POLLOUT
_PERIOD = 1 << 30
_TICK = 10_000  # us
_SINCE_1970 = 946_684_800
_first = int(os.getenv("VITALWIRE_CHIP_TICKS") or "0")
_asked = 0
_inside = None  # the time of the edge whose handler runs
lines = []  # (part, handler, pin)


def _raw(now):
    return (_first + now) % _PERIOD


def ticks_us():
    global _asked
    if _inside is not None:
        return _raw(_inside)
    virtual.set_time(virtual.ticks() + 1)  # so that nobody waits for ever
    _asked += 1
    if _asked & 15 == 0:
        deliver()
    return _raw(virtual.ticks())


def ticks_diff(end, start):
    if not (0 <= end < _PERIOD and 0 <= start < _PERIOD):
        raise ValueError("ticks")
    return (end - start + _PERIOD // 2) % _PERIOD - _PERIOD // 2


def ticks_add(ticks, delta):
    if not -_PERIOD // 2 < delta < _PERIOD // 2:
        raise OverflowError("ticks interval overflow")
    return (ticks + delta) % _PERIOD


def deliver():
    global _inside
    if _inside is None:
        for part, handler, pin in lines:
            at = part.take() if handler else -1
            if at >= 0:
                _inside = at
                handler(pin)
                _inside = None


def sleep(seconds):
    console = open(0, "rb")
    real = select.poll()
    real.register(console, POLLIN)
    if real.poll(int(1000 * seconds)) and console.read(1) == b"\x03":
        raise KeyboardInterrupt


def gmtime(seconds):
    return time.gmtime(seconds + _SINCE_1970)


class poll:
    def __init__(self):
        self._real = select.poll()

    def register(self, thing, mask):
        self._real.register(thing.buffer, mask)

    def ipoll(self, timeout=-1):
        ready = self._real.poll(0)
        if not ready and timeout > 0:
            now = virtual.ticks()
            virtual.idle(now + _TICK - now % _TICK)
            deliver()
            ready = self._real.poll(0)
        return iter(ready)
