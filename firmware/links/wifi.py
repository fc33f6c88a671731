# Whether there is a network, and the date that certificates are judged by: association with a Wi-Fi network, again
# whenever it is lost, and on a chip that was without power the date, by SNTP (RFC 4330), again when certificates were
# refused by it. One for all links. That date is nobody's word: nothing but TLS goes by it, no sample and no frame. Name
# and password of the network are kept as keys are, and never told.
import socket

from micropython import const

from links.names import Lookup

_TRY = const(15_000_000)  # us for an association; doubles
_DOUBLES = const(5)  # times
_ASK = const(5_000_000)  # us until the date is asked for again
_OLD = const(300_000_000)  # us after which an answer is not now's any more
_NTP = const(123)
_SINCE_1900 = 2_208_988_800  # s until 1970
_MADE = 1_735_689_600  # 2025-01-01: a chip that says less has no date
_LAST = 3_094_168_448  # 2068-01-19: what a chip that counts from 2000 can be told, in 31 bits

# What a radio that does not start raises: stock builds have no OSError for a lack of memory.
_FAILS = (OSError, RuntimeError, MemoryError)

_wifi = None


def start(hal, config):
    # online(now), the same for all links: True, False, or ("long", 0) for what the next call does
    global _wifi
    if _wifi is None:
        _wifi = Wifi(hal, hal.station, config.ntp)
    return _wifi.online


def stop():
    # no network is needed until online() is asked again; ("long", 0) for what the next call does, or None
    return _wifi.stop() if _wifi else None


def doubt():
    # certificates were refused, by a wrong date perhaps; until there is another, that one is gone by
    if _wifi:
        _wifi.doubt()


class Wifi:
    # station: a function that gives the network.WLAN, or None where there is a network without one. A radio that does
    # not start is tried again like a network that is not there; the rest of the board goes on.
    _station = False  # until there is one

    def __init__(self, hal, station, ntp, port=_NTP):
        self._hal = hal
        self._make = station
        self._name = Lookup(hal, ntp)
        self._port = port
        self._at = self._asked = 0
        self._tries = 0
        self._socket = None
        self._active = self._doubted = False
        self._announced = ""
        self._started()

    def _started(self):
        # whether the radio has
        try:
            if self._station is False:
                self._station = self._make()
            if self._station and not self._active:
                self._station.active(True)
                self._active = True
            return True
        except _FAILS:
            return False

    def stop(self):
        # until online() is asked again; one that does not stop is told so at each call
        if not self._active:
            return None
        if self._announce("stop"):
            return ("long", 0)
        self._end()
        self._name.end()
        self._tries = self._at = self._asked = 0
        try:
            self._station.disconnect()  # else the chip would try to get back what it loses
        except _FAILS:
            pass
        try:
            self._station.active(False)
            self._active = False
        except _FAILS:
            pass
        return None

    def _announce(self, what):
        # whether to say first that this comes: meanwhile nothing else runs
        first = self._announced != what
        self._announced = what if first else ""
        return first

    def online(self, now):
        # to be asked again and again: it sees to it that there is a network
        station = self._station
        if station is None or (station and station.isconnected()):
            self._tries = self._at = 0
            dated = self._hal.date() >= _MADE
            if (self._doubted or not dated) and self._date(now):
                self._doubted = False
                return True
            return dated
        if now >= self._at:
            if not self._active and self._announce("start"):
                return ("long", 0)
            self._at = now + (_TRY << self._tries)
            self._tries = min(self._tries + 1, _DOUBLES)
            name = self._hal.recall("ssid")
            if name and self._started():
                try:
                    self._station.disconnect()
                    self._station.connect(name.decode(), (self._hal.recall("psk") or b"").decode())
                except _FAILS:
                    pass  # at the next try
        return False

    def doubt(self):
        self._doubted = bool(self._station)  # without one the date is the computer's

    def _date(self, now):
        # whether it was told just now
        try:
            if self._socket and now - self._asked < _OLD and self._told():
                self._end()
                return True
        except OSError:
            pass  # there is no answer
        try:
            if not self._asked or now - self._asked > _ASK:
                address = self._name.find(now)
                if address:
                    self._asked = now
                    self._ask(address)
        except OSError:
            self._asked = now
        return False

    def _end(self):
        if self._socket:
            self._socket.close()
            self._socket = None

    def _ask(self, address):
        self._end()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._nonce = self._hal.random(8)  # comes back as the time we asked at
        self._socket.connect(socket.getaddrinfo(address, self._port)[0][-1])
        self._socket.send(b"\x23" + bytes(39) + self._nonce)

    def _told(self):
        answer = self._socket.recv(48)
        # version 4 or 3, from a server, that is synchronised
        if len(answer) < 48 or answer[0] & 7 != 4 or answer[0] >> 6 == 3 or answer[24:32] != self._nonce:
            return False
        if not 0 < answer[1] < 16:
            return False
        seconds = int.from_bytes(answer[40:44], "big") - _SINCE_1900
        if seconds < _MADE:
            seconds += 1 << 32  # the era that begins in 2036
        if seconds >= _LAST:
            return False
        self._hal.date(seconds)
        return True
