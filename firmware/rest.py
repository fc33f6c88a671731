# Puts the chip of a sensor that went off to where it takes least, by its data sheet; start() brings it back. Loaded
# when one goes off. A MAX30205 sleeps by itself; an AD8232 and an MLX90614 cannot by the pins they are wired to.
from unload import drop


def _register(sensor, register, value):
    sensor.i2c.writeto_mem(sensor.address, register, value)


def _command(sensor, command):
    sensor.cs(0)
    sensor.spi.write_readinto(command, bytearray(len(command)))
    sensor.cs(1)


def _max30102(sensor):
    mode = bytearray(1)
    sensor.i2c.readfrom_mem_into(sensor.address, 0x09, mode)
    if not mode[0] & 0x40:  # while it resets it takes nothing
        _register(sensor, 0x09, b"\x80")  # SHDN


def _ads1292r(sensor):
    _command(sensor, b"\x11")  # SDATAC
    _command(sensor, b"\x04")  # STANDBY


_WAYS = {
    "MAX30003": lambda sensor: _command(sensor, b"\x10\x00\x00\x00"),  # SW_RST: as after power-on, nothing enabled
    "MAX30102": _max30102,
    "LSM6DSO": lambda sensor: _register(sensor, 0x10, b"\x00"),  # CTRL1_XL: power-down
    "ADS1292R": _ads1292r,
}


def rest(sensor):
    sensor.step = 0  # a start begins afresh
    source = getattr(sensor, "source", None)
    if source:
        source.stop()
    way = _WAYS.get(sensor.PART)
    if way:
        try:
            way(sensor)
        except OSError:
            pass  # it is missing; one that comes back is as after power-on
    if sensor.irq:
        sensor.irq.take()
    drop("rest")
