"""Azure IoT Hub over MQTT 3.1.1: one connection a device, as that device; the hub's rules are kept in one file each."""

from .settings import Settings
from .sink import IotHub, from_settings

__all__ = ["IotHub", "Settings", "from_settings"]
