# The virtual board's Wi-Fi: network.WLAN as far as links/wifi.py uses it, with one access point in the air, whose name
# and password stand in a file, one a line; without the file there is none.


class WLAN:
    def __init__(self, air):
        self._air = air
        self._active = False
        self._given = None

    def active(self, on):
        self._active = on

    def connect(self, name, password):
        if not self._active:
            raise OSError(0x3002)
        self._given = name + "\n" + password

    def disconnect(self):
        self._given = None

    def isconnected(self):
        try:
            with open(self._air) as f:
                return self._given is not None and f.read().strip() == self._given
        except OSError:
            return False
