# Sampling rates besides the drivers' own: which there are, and drivers put to them before they are made. Loaded where
# one is configured or asked for.
from micropython import const
from settings import NAMES
from stream import DELAY

# Part, hertz, and what registers hold then, in hexadecimal, by the data sheets that the drivers name; a part's own rate
# comes first. MAX30003: CNFG_ECG, whose low pass is of 40 Hz at 128 sps and of 150 Hz at 512. MAX30102: SPO2_CONFIG at
# 200 sps, or FIFO_CONFIG with averages of 2. LSM6DSO: FIFO_CTRL1 to 4, CTRL1_XL. ADS1292R: CONFIG1. An AD8232 has
# none: the board's timer does it. One text: as words they would stay in the table of names for ever.
_ROWS = """MAX30003 256
MAX30003 128 15 805000
MAX30003 512 15 007000
MAX30102 100
MAX30102 50 0a 2b
MAX30102 200 08 2f
LSM6DSO 52
LSM6DSO 26 07 1a000206 10 28
LSM6DSO 104 07 1a000406 10 48
LSM6DSO 208 07 1a000506 10 58
ADS1292R 250
ADS1292R 125 01 00
ADS1292R 500 01 02
AD8232 256
AD8232 128
AD8232 512"""
_SHORTEST = const(250)  # ms of a frame
_HALF = const(16)  # words of the FIFO of a MAX30003


def _rates(driver):
    # {hertz: {register: value}}
    found = {}
    for row in _ROWS.split("\n"):
        words = row.split(" ")
        if words[0] == driver.PART:
            found[int(words[1])] = {int(words[i], 16): int(words[i + 1], 16) for i in range(2, len(words), 2)}
    return found


def _of(drivers, name):
    # the sensors that a setting is about: its name begins as their channels'
    return [driver for driver in drivers if driver.CHANNELS[0].startswith(name[:-2])]


def values(drivers, name):
    # the rates that a setting may name: every sensor it is about has them
    found = [_rates(driver) for driver in _of(drivers, name)]
    return [hertz for hertz in found[0] if all(hertz in rates for rates in found)] if found else []


def update(drivers, config):
    # Once: returns the length of a frame. What the parts cannot do is as if it had not been set.
    before, usual = _load(drivers)
    for name in [name for name in NAMES.values() if name.endswith("_hz")]:
        hertz = getattr(config, name)
        if hertz not in values(drivers, name):
            setattr(config, name, 0)
        else:
            for driver in _of(drivers, name):
                _change(driver, hertz)
    after, most = _load(drivers)
    ms = config.frame_ms
    # no more samples in the encoder's scratch, nor bytes in the rings: what is longer finds no room
    shorter = max(min(ms, ms * usual // most, (ms + DELAY) * before // after - DELAY), min(ms, _SHORTEST))
    globals().clear()  # what was put into a driver must not hold all of this
    return shorter


def _load(drivers):
    # bytes a second into the rings; samples a second of the fastest
    rates = [driver.RATE[0] // driver.RATE[1] for driver in drivers]
    sizes = [len(driver.CHANNELS) * (4 if driver.BITS > 16 else 2) for driver in drivers]
    return sum([size * rate for size, rate in zip(sizes, rates)]), max(rates)


def _change(driver, hertz):
    usual = driver.RATE[0]
    registers = _rates(driver)[hertz]
    driver.RATE = (hertz, 1)
    driver.INTERVAL = driver.INTERVAL * usual // hertz
    driver.EARLY = driver.EARLY * usual // hertz
    driver.PATIENCE = max(driver.PATIENCE, driver.PATIENCE * usual // hertz)
    if hertz > usual and hasattr(driver, "threshold"):
        # as long as ever from its interrupt to the half of its FIFO
        words = (_HALF - driver.threshold) * (hertz - usual) // usual
        driver.threshold -= words
        driver.INTERVAL -= words * 1_000_000 // hertz
    if hasattr(driver, "SETTINGS"):
        driver.SETTINGS = [(register, registers.get(register, value)) for register, value in driver.SETTINGS]
    elif registers:
        driver.set = _setter(driver.set, registers)


def _setter(put, registers):
    def put_other(sensor, register, value):
        if register in registers:
            other = registers[register]
            value = other.to_bytes(len(value), "big") if type(value) is bytes else other
        put(sensor, register, value)

    return put_other
