# The module `machine` of an ESP32 over the virtual board's chips: what its C sources refuse is refused here. Pins are
# an ESP32's; an SPI or I2C bus is one object however often it is made. What happens to the watchdog is written to the
# board's folder, and RTC memory stays there until the power goes.
import os

import clock
from begin import FOLDER
from hal import virtual

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = range(1, 6)
_PINS = set(range(40)) - {20, 24, 28, 29, 30, 31}
_INPUT_ONLY = range(34, 40)
_ADC1 = range(32, 40)
_MEMORY = FOLDER + "/rtc"
_MOST_MEMORY = 2048
_RESET_STATE = 0x3FF48034
_OUR_WATCHDOG_MS = 10_000  # what the virtual board's is
_cause = int(os.getenv("VITALWIRE_CAUSE") or "1")


class Pin:
    IN = 1
    OUT = 3
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2

    def __init__(self, number, mode=-1, pull=-1, *, value=None):
        if not isinstance(number, int):
            raise TypeError
        if number not in _PINS:
            raise ValueError("invalid pin")
        if mode == Pin.OUT and number in _INPUT_ONLY:
            raise ValueError("pin can only be input")
        if pull == Pin.PULL_UP and number in _INPUT_ONLY:
            raise ValueError("no pull-up there")
        self.number = number
        if mode == Pin.OUT:
            self._write = virtual.output(number)
            if value is not None:
                self._write(value)

    def __call__(self, value=None):
        if value is None:
            return virtual.level(self.number)()
        return self._write(value)

    def irq(self, handler=None, trigger=3, wake=None):
        if trigger not in (1, 2, 3) or wake is not None:
            raise ValueError("bad trigger")
        for line in clock.lines:
            if line[2].number == self.number:
                part = line[0]
                clock.lines.remove(line)
                break
        else:
            part = virtual.irq(self.number)
        clock.lines.append((part, handler, self))


def _pin(pin):
    if not isinstance(pin, Pin):
        raise TypeError
    return pin.number


class I2C:
    _made = {}

    def __new__(cls, number, *, scl, sda, freq=400_000, timeout=50_000):
        if number not in (0, 1):
            raise ValueError("I2C(%d) doesn't exist" % number)
        if _pin(scl) in _INPUT_ONLY or _pin(sda) in _INPUT_ONLY or not 0 < freq <= 1_000_000:
            raise ValueError
        if number not in cls._made:
            cls._made[number] = super().__new__(cls)
            cls._made[number]._part = virtual.i2c(number)
        return cls._made[number]

    def __init__(self, *_, **__):
        pass

    def readfrom_mem_into(self, address, register, buffer):
        self._part.readfrom_mem_into(address, register, buffer)

    def writeto_mem(self, address, register, buffer):
        self._part.writeto_mem(address, register, buffer)


class SPI:
    _made = {}

    def __new__(cls, number, *, baudrate, polarity, phase, sck, mosi, miso):
        if number not in (1, 2):
            raise ValueError("SPI(%d) doesn't exist" % number)
        for pin in (sck, mosi, miso):
            _pin(pin)
        if polarity or phase not in (0, 1) or not 0 < baudrate <= 80_000_000:
            raise ValueError
        if number not in cls._made:
            cls._made[number] = super().__new__(cls)
        cls._made[number]._part = virtual.spi(number, phase)
        return cls._made[number]

    def __init__(self, *_, **__):
        pass

    def write_readinto(self, out, into):
        if len(out) != len(into):
            raise ValueError("buffers must be the same length")
        self._part.write_readinto(out, into)


class ADC:
    ATTN_11DB = 3

    def __init__(self, pin, *, atten):
        if _pin(pin) not in _ADC1 or atten != ADC.ATTN_11DB:
            raise ValueError("invalid pin")
        self._part = virtual.adc(pin.number)

    def read_uv(self):
        return self._part.read_uv() // 1000 * 1000  # ESP-IDF gives millivolts


class RTC:
    def memory(self, data=None):
        if data is None:
            with open(_MEMORY, "rb") as f:
                return f.read()
        if len(data) > _MOST_MEMORY:
            raise ValueError("buffer too long")
        with open(_MEMORY, "wb") as f:
            f.write(data)
        return None

    def datetime(self, given):
        if len(given) != 8:
            raise ValueError
        raise NotImplementedError


class WDT:
    def __init__(self, id=0, timeout=5000):
        if id or not isinstance(timeout, int) or timeout <= 0:
            raise ValueError("WDT timeout too short")
        with open(FOLDER + "/watchdog", "a") as f:
            f.write("%d\n" % timeout)
        if timeout > _OUR_WATCHDOG_MS:
            virtual.leave()
        else:
            virtual.feed()

    def feed(self):
        virtual.feed()


class _Words:
    def __getitem__(self, at):
        if at != _RESET_STATE:
            raise ValueError("nobody answers there")
        return 0x30C0 | int(os.getenv("VITALWIRE_CHIP_RESET_STATE") or "1")


mem32 = _Words()


def reset_cause():
    return 0 if os.getenv("VITALWIRE_CHIP_CAUSE") == "unknown" else _cause


def reset():
    virtual.reset(SOFT_RESET)


def deepsleep(ms):
    if not isinstance(ms, int):
        raise TypeError
    virtual.sleep(ms // 1000)


def unique_id():
    return virtual.unique_id()


if _cause == PWRON_RESET:
    RTC().memory(b"")
