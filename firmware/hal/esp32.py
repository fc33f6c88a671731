# The ESP32's hardware under stock MicroPython (1.24 and newer). Pins and speeds come from board.py.
import gc
import os
import select
import sys
import time
from array import array

import esp32
import machine
import micropython
from micropython import const
from wire import CAUSE_BROWN_OUT, CAUSE_FAULT, CAUSE_HARD_RESET, CAUSE_POWER_ON

_WATCHDOG_MS = const(10000)
_HOUR_MS = const(3600000)
_LONGEST = const(100000000)  # us of a rest
_MOST_GARBAGE = const(74000)
_SINCE_1970 = const(946684800)  # s until 2000
# RTC_CNTL_RESET_STATE_REG, whose low six bits say why the processor was reset (rtc_cntl_reg.h of each chip), and what
# they say of a brown-out, which MicroPython calls power-on.
_RESET_STATE = {"esp32": 0x3FF48034, "esp32s3": 0x60008038, "esp32c3": 0x60008038}
_BROWN_OUT = const(15)

# What reset() was told survives in the clock's memory, unless somebody else's words stand there; otherwise
# machine.reset_cause() has the numbers of CAUSE_*, and 0 for what it has no name for: USB, JTAG, a glitch.
_told = machine.RTC().memory()
_cause = _told[0] if len(_told) == 1 else machine.reset_cause() or CAUSE_HARD_RESET


def _browned_out():
    from board import CHIP

    at = _RESET_STATE.get(CHIP)
    return at and machine.mem32[at] & 63 == _BROWN_OUT


if _cause == CAUSE_POWER_ON and _browned_out():
    _cause = CAUSE_BROWN_OUT
machine.RTC().memory(b"")
_raw = time.ticks_us()
_now = 0
_watchdog = None
enough = 16000  # until it is known
_lines = []
_fell = False  # whether any line may have
_poll = select.poll()
_poll.register(sys.stdin, select.POLLIN)
# One for all: what NVS() opens is never closed, and is not the collector's to free.
_nvs = esp32.NVS("vitalwire")


# ticks_us wraps at 2^30 (18 minutes); differences are good for half of that.
def ticks():
    global _raw, _now
    raw = time.ticks_us()
    _now += time.ticks_diff(raw, _raw)
    _raw = raw
    return _now


wall = ticks


def files():
    return ""


# Keys live in NVS, which survives a new file system and which flash encryption covers.
def recall(name):
    value = bytearray(128)
    try:
        n = _nvs.get_blob(name, value)
    except OSError:
        return None
    return bytes(value[:n])


def keep(name, value):
    _nvs.set_blob(name, value)
    _nvs.commit()


def _bus(kind, number):
    import board

    for row in board.BUSES:
        if row[0] == kind and row[1] == number:
            return row
    raise OSError(19)


def i2c(number):
    _, _, baud, scl, sda = _bus("i2c", number)
    return machine.I2C(number, scl=machine.Pin(scl), sda=machine.Pin(sda), freq=baud)


def spi(number, phase=0):
    _, _, baud, sck, mosi, miso = _bus("spi", number)
    pin = machine.Pin
    return machine.SPI(number, baudrate=baud, polarity=0, phase=phase, sck=pin(sck), mosi=pin(mosi), miso=pin(miso))


def output(pin):
    return machine.Pin(pin, machine.Pin.OUT, value=1)


class irq:
    def __init__(self, pin, wakes=True):
        self.wakes = wakes
        self.first = array("i", (0,))
        self.fell = self.woke = False
        self.pin = machine.Pin(pin, machine.Pin.IN, machine.Pin.PULL_UP)
        self.pin.irq(self._edge, machine.Pin.IRQ_FALLING)
        _lines.append(self)

    def _edge(self, _):
        global _fell
        if not self.fell:
            self.first[0] = time.ticks_us()
            self.woke = False
            self.fell = _fell = True

    def seen(self):
        return self.fell

    def take(self):
        if not self.fell:
            return -1
        now = ticks()
        at = now - time.ticks_diff(_raw, self.first[0])
        self.fell = False
        return at

    def level(self):
        return self.pin()


def level(pin):
    return machine.Pin(pin, machine.Pin.IN)


# Calls a handler with the microseconds since the last call, at each falling edge. The scheduler may hold several calls.
class each:
    def __init__(self, pin):
        self.pin = machine.Pin(pin, machine.Pin.IN, machine.Pin.PULL_UP)
        self.raw = array("i", (0,))
        self.handler = None

    def start(self, handler):
        self.handler = handler
        self.raw[0] = time.ticks_us()
        self._on()

    def _on(self):
        self.pin.irq(self._call, machine.Pin.IRQ_FALLING)

    def stop(self):
        self.handler = None
        self.pin.irq(None)

    def _call(self, _):
        raw = time.ticks_us()
        elapsed = time.ticks_diff(raw, self.raw[0])
        self.raw[0] = raw
        if self.handler:
            self.handler(elapsed)

    def newest(self):
        now = ticks()
        return now - time.ticks_diff(_raw, self.raw[0])


# The same, a number of times a second.
class every(each):
    timers = 0

    def __init__(self, times, seconds):
        self.raw = array("i", (0,))
        self.handler = None
        self.rate = times / seconds
        self.timer = machine.Timer(every.timers)
        every.timers += 1

    def _on(self):
        self.timer.init(mode=machine.Timer.PERIODIC, freq=self.rate, callback=self._call)

    def stop(self):
        self.handler = None
        self.timer.deinit()


class adc:
    def __init__(self, pin):
        self.adc = machine.ADC(machine.Pin(pin), atten=machine.ADC.ATTN_11DB)

    def read_uv(self):
        return self.adc.read_uv()


def edge():
    global _fell
    if _fell:
        _fell = False  # before the look, so that an edge in its midst is not forgotten
        for line in _lines:
            if line.fell:
                _fell = True
    return _fell


# In small integers: ticks have outgrown them after 18 minutes, and would leave garbage at each turn. An edge that
# nobody takes ends one rest only. FreeRTOS waits for its own tick, 10 ms, unless an interrupt comes.
def idle(until):
    left = min(until - ticks(), _LONGEST)
    end = time.ticks_add(_raw, left)
    while left > 0:
        for line in _lines:
            if line.fell and line.wakes and not line.woke:
                line.woke = True
                return
        # an edge's handler runs between these calls
        for _ in _poll.ipoll(min(left // 1000, 1)):
            return
        left = time.ticks_diff(end, time.ticks_us())


def spend(kind, n):
    pass


def partition(name):
    found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label=name)
    if not found:
        raise OSError(19)
    return found[0]


# The partition that a whole image may go into; None where there is one program only, as in stock builds.
def spare():
    try:
        found = esp32.Partition(esp32.Partition.RUNNING).get_next_update()
    except OSError:
        return None
    return None if found.info()[4] == image() else found


# The label of the partition whose program runs.
def image():
    return esp32.Partition(esp32.Partition.RUNNING).info()[4]


# Else the chip's loader takes the other one at the next start.
def keep_image():
    esp32.Partition.mark_app_valid_cancel_rollback()


class _Stream:
    session = 0

    def __init__(self):
        self.one = bytearray(1)

    def open(self):
        micropython.kbd_intr(-1)

    def close(self):
        micropython.kbd_intr(3)

    def readinto(self, buffer):
        one = self.one
        for n in range(len(buffer)):
            for _ in _poll.ipoll(0):
                sys.stdin.buffer.readinto(one)
                buffer[n] = one[0]
                break
            else:
                return n
        return len(buffer)

    # The console's driver waits once its FIFO of 128 bytes is full, while 260 bytes that come in find room: no more is
    # given at once than a Link reads in between.
    def write(self, buffer, n):
        return sys.stdout.buffer.write(buffer, min(n, 64)) or 0


stream = _Stream()


def random(n):
    return os.urandom(n)


# A radio that does not start makes no noise.
def entropy(on):
    from links.radio import switch

    try:
        return switch(on)
    except (OSError, RuntimeError, MemoryError):  # as links/wifi.py has it
        return False


def station():
    from links.radio import station

    return station()


# The chip counts from 2000.
def date(seconds=None):
    if seconds is not None:
        year, month, day, hour, minute, second, weekday, _ = time.gmtime(seconds - _SINCE_1970)
        machine.RTC().datetime((year, month, day, weekday, hour, minute, second, 0))
    return time.time() + _SINCE_1970


def unique_id():
    return machine.unique_id()


def reset(cause):
    machine.RTC().memory(bytes((cause,)))
    try:
        if cause == CAUSE_FAULT:
            again = _cause == CAUSE_FAULT
            print("vitalwire: a fault, so it starts over", "in 5 s; ctrl-C gives the prompt" if again else "")
            time.sleep(5 if again else 0)
        machine.reset()
    except KeyboardInterrupt:
        leave()


def reset_cause():
    return _cause


def sleep(seconds):
    machine.deepsleep(1000 * seconds)


# The heap begins with 56 or 64 KiB and doubles when that is full, while gc.mem_free() counts the largest piece that it
# could still grow by; a full heap is collected before it grows.
def _room():
    gc.collect()
    return gc.mem_free() - max([row[2] for row in esp32.idf_heap_info(esp32.HEAP_DATA)])


def feed():
    global _watchdog, enough
    if _watchdog is None:
        _watchdog = machine.WDT(timeout=_WATCHDOG_MS)
        enough = max(enough, min(_room() * 7 // 8, _MOST_GARBAGE))
    _watchdog.feed()


# It cannot be stopped.
def leave():
    if _watchdog:
        machine.WDT(timeout=_HOUR_MS)
