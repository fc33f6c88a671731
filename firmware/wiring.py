# Which driver gets which pins and buses. Needed until the sensors stand.
_buses = {}  # (kind, number): made once, whoever shares it


# The sensor of one row of board.sensors(): driver, bus kind, bus number, address or select pin, interrupt pin or -1.
# Of an analogue one: its ADC pin and the pins of its two levels.
def make(hal, row):
    driver, kind, number, select, pin = row
    if kind == "adc":
        return driver(hal.adc(number), hal.level(select), hal.level(pin), hal.every(*driver.RATE))
    if hasattr(driver, "begin"):  # a sensors.sampled.Sampled
        return driver(hal.spi(number, driver.PHASE), hal.output(select), hal.each(pin))
    irq = hal.irq(pin, driver.WAKES) if pin >= 0 else None
    bus = _buses.get((kind, number))
    if bus is None:
        bus = _buses[kind, number] = hal.spi(number) if kind == "spi" else hal.i2c(number)
    return driver(bus, hal.output(select) if kind == "spi" else select, irq)
