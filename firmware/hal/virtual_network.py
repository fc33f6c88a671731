# The virtual board's Wi-Fi: network.WLAN as far as links/wifi.py uses it, with one access point in the air, whose name
# and password stand in a file, one a line; without the file there is none. When the radio goes on and off is written
# beside it, FILE.log: a line each, board's microseconds and 1 or 0.


class WLAN:
    def __init__(self, air, ticks):
        self._air = air
        self._ticks = ticks
        self._active = False
        self._given = None

    def active(self, on):
        if on != self._active:
            self._active = on
            self._given = None
            with open(self._air + ".log", "a") as f:
                f.write("%d %d\n" % (self._ticks(), on))

    def connect(self, name, password):
        if not self._active:
            raise OSError(0x3002)
        self._given = name + "\n" + password

    def disconnect(self):
        self._given = None

    def ifconfig(self):
        return ("127.0.0.1", "255.0.0.0", "0.0.0.0", "0.0.0.0")  # this computer finds names by itself

    def isconnected(self):
        try:
            with open(self._air) as f:
                return self._given is not None and f.read().strip() == self._given
        except OSError:
            return False
