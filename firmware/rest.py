# Puts the chip of a sensor that went off to where it takes least, by its data sheet; start() brings it back. Loaded
# when one goes off. A MAX30205 sleeps by itself; an AD8232 and an MLX90614 cannot by the pins they are wired to.
import sys

# by SPI: commands; by I2C: a register, the bits of it at which it takes nothing, and what is written there
_WAYS = {
    "MAX30003": (b"\x10\x00\x00\x00",),  # SW_RST: as after power-on, nothing enabled
    "ADS1292R": (b"\x11", b"\x04"),  # SDATAC, STANDBY
    "MAX30102": (0x09, 0x40, b"\x80"),  # SHDN, unless it resets
    "LSM6DSO": (0x10, 0, b"\x00"),  # CTRL1_XL: power-down
}


def rest(sensor):
    sensor.step = 0  # a start begins afresh
    source = getattr(sensor, "source", None)
    if source:
        source.stop()
    way = _WAYS.get(sensor.PART, ())
    try:
        if hasattr(sensor, "spi"):
            for command in way:
                sensor.cs(0)
                sensor.spi.write_readinto(command, bytearray(len(command)))
                sensor.cs(1)
        elif way:
            register, resets, value = way
            before = bytearray(1)
            sensor.i2c.readfrom_mem_into(sensor.address, register, before)
            if not before[0] & resets:
                sensor.i2c.writeto_mem(sensor.address, register, value)
    except OSError:
        pass  # it is missing; one that comes back is as after power-on
    if sensor.irq:
        sensor.irq.take()
    if sys.modules.get("rest"):
        sys.modules["rest"] = None  # a deleted entry still holds its value
        del sys.modules["rest"]
