# The address of a name, without standing still: asked of the network's name server in one message (RFC 1035), and again
# each second. MicroPython's getaddrinfo waits seven seconds for each server that says nothing: longer than any FIFO,
# and with two servers longer than the watchdog. An answer is nobody's word: TLS proves who is reached.
import socket

from micropython import const

_AGAIN = const(1_000_000)  # us until it is asked again
_TRIES = const(5)
_MOST = const(512)  # bytes of a message over UDP
_NO_NAME = const(3)
_ADDRESS = b"\0\1\0\1"  # type and class


def _asking(id, host):
    asking = id + b"\1\0\0\1\0\0\0\0\0\0"
    for label in host.encode().split(b"."):
        if not 0 < len(label) < 64:
            raise OSError("no such name")
        asking += bytes((len(label),)) + label
    return asking + b"\0" + _ADDRESS


def _told(data, asking):
    # the address in an answer to what was asked, "" if it says that there is none, None if it is no such answer
    at = len(asking)
    if data[:2] != asking[:2] or data[12:at] != asking[12:] or not data[2] & 0x80:
        return None
    if data[3] & 15:
        return "" if data[3] & 15 == _NO_NAME else None
    for _ in range(data[6] << 8 | data[7]):
        while 0 < data[at] < 64:
            at += 1 + data[at]
        at += 2 if data[at] else 1  # a pointer, or the end
        if data[at : at + 4] == _ADDRESS:
            return "%d.%d.%d.%d" % (data[at + 10], data[at + 11], data[at + 12], data[at + 13])
        at += 10 + (data[at + 8] << 8 | data[at + 9])
    return ""


class Lookup:
    # of one name, time after time
    port = 53

    def __init__(self, hal, host):
        self._hal = hal
        self._host = host
        self._socket = self._buffer = self._asking = self._last = None
        self._at = self._left = 0

    def find(self, now):
        # what getaddrinfo needs not ask for; None while there is no answer yet
        if not self._socket:
            server = self._server()
            if not server:
                return self._host
            self._begin(server, now)
        told = self._read()
        if told is None:
            if now < self._at:
                return None
            if self._left:
                self._ask(now)
                return None
            told = self._last  # TLS tells if somebody else has it now
        self.end()
        if not told:
            raise OSError("no name server answers" if told is None else "no such name")
        self._last = told
        return told

    def end(self):
        if self._socket:
            self._socket.close()
            self._socket = self._buffer = None

    def _server(self):
        # None for what getaddrinfo knows, fails to at once, or has to find by itself, standing still
        if self._host.replace(".", "").isdigit() or self._host.endswith(".local"):
            return None
        station = self._hal.station()
        server = station and station.ifconfig()[3]
        return None if server == "0.0.0.0" else server

    def _begin(self, server, now):
        self._asking = _asking(self._hal.random(2), self._host)
        self._at, self._left = now, _TRIES
        self._buffer = bytearray(_MOST)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(socket.getaddrinfo(server, self.port)[0][-1])  # hears nobody else

    def _ask(self, now):
        self._at = now + _AGAIN
        self._left -= 1
        try:
            self._socket.send(self._asking)
        except OSError:
            pass  # nobody answers

    def _read(self):
        try:
            n = self._socket.readinto(self._buffer)
            return _told(bytes(self._buffer[:n]), self._asking) if n else None
        except OSError:
            return None  # there is no answer
        except IndexError:
            return None  # cut short
