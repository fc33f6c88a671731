# The module `network` of an ESP32 as far as the firmware uses it: a station near no access point. Its driver does not
# start where VITALWIRE_CHIP_RADIO is "off". Whether it runs, and ever did, stands in the board's folder.
import os

from begin import FOLDER

STA_IF = 0


class WLAN:
    _running = False

    def __init__(self, interface):
        if interface != STA_IF:
            raise ValueError
        if os.getenv("VITALWIRE_CHIP_RADIO") == "off":
            raise RuntimeError("Wifi Unknown Error 0x0101")

    def active(self, on=None):
        if on is None:
            return WLAN._running
        WLAN._running = bool(on)
        with open(FOLDER + "/radio", "a") as f:
            f.write("on " if on else "off ")
        return WLAN._running

    def isconnected(self):
        return False

    def disconnect(self):
        if not WLAN._running:
            raise OSError("Wifi Not Started")

    def connect(self, ssid, key):
        if not WLAN._running:
            raise OSError("Wifi Not Started")
