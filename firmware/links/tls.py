# A stream over TCP and TLS, each side proven by its certificate. Connects out, and again whenever the connection is
# lost: later and later, and a little by chance. Knows no packets. Nothing waits but what cannot be done in pieces, the
# arithmetic of a handshake; that is announced, so that every FIFO is emptied first.
#
# Files of the board: ca.der, who must have signed the other side's certificate; client.der, this board's own, for the
# key that signs its frames. What that key signs for TLS begins with 0x01 or 0x20, a frame's structure with 0x84, so
# that neither signature can be taken for the other.
import errno
import select
import socket
import ssl

from micropython import const

from links.names import Lookup
from links.wifi import doubt, start, stop

_PATIENCE = const(15_000_000)  # us for a connection and its handshake
_SILENT = const(30_000_000)  # us without a byte from there, or without one taken: the other side is gone
_FIRST = const(1_000_000)  # us until the first new attempt; doubles
_DOUBLES = const(6)  # times
_NODELAY = const(1)
_TCP = const(6)
_HANDSHAKE = const(3500)  # about what it costs, in 256-bit multiplications: two to sign or agree, three to verify
_KEY = b"\x30\x31\x02\x01\x01\x04\x20", b"\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"  # around a P-256 key

_context = None  # of all connections


def make(hal, config, peer):
    return Tls(hal, peer, context(hal, config), start(hal, config))


def context(hal, config):
    # None where the certificates are missing or wrong
    global _context
    if _context is None:
        try:
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(cadata=_read(hal, "ca.der"))
            made.load_cert_chain(_read(hal, "client.der"), _KEY[0] + config.key + _KEY[1])
            _context = made
        except (OSError, ValueError):
            pass
    return _context


def _read(hal, name):
    with open(hal.files() + "/" + name, "rb") as f:
        return f.read()


class Tls:
    # hello: what is written first, as soon as that can be
    up = False
    session = 0
    proven = True  # whether a byte from there shows that we are welcome
    why = ""  # the last session ended
    gate = None
    hello = b"\0"  # a delimiter: a packet may have one in front

    def __init__(self, hal, peer, context, online):
        self._hal = hal
        self._online = online
        self._host, _, port = peer.rpartition(":")
        self._port = int(port)
        self._name = Lookup(hal, self._host)
        self._address = ""
        self._context = context
        self._tcp = self._tls = None
        self._poll = select.poll()
        self._tries = 0
        self._now = self._at = self._heard = self._stuck = 0
        self._next = self._rest

    def step(self, now):
        self._now = now
        if self.gate and not self.gate(now):
            return self.off()
        try:
            return self._next(now)
        except OSError as e:
            self.lose(str(e.args[-1]))
        except ValueError as e:
            self.lose(str(e.args[-1]))
            doubt()  # the other side's certificate was refused
        except MemoryError:
            self.lose("no memory")  # there may be more by then
        return ("bytecode", 500)

    def lose(self, why):
        # end what there is, and try again later
        for each in (self._tls, self._tcp):
            if each:
                try:
                    each.close()
                except OSError:
                    pass
        if self._tcp:
            self._poll.unregister(self._tcp)
        self._tls = self._tcp = None
        self.up = False
        self.session += 1
        self.why = self._host + ": " + why.strip()
        wait = _FIRST << self._tries
        self._at = self._now + wait // 2 + wait * self._hal.random(1)[0] // 512
        self._tries = min(self._tries + 1, _DOUBLES)
        self._next = self._rest

    def off(self):
        if self._tcp:
            self.lose("")
            self.why = ""
        self._name.end()
        self._tries = self._at = 0
        self._next = self._rest
        return stop()

    # ------------------------------------------------------------ on the way

    def _rest(self, now):
        if now < self._at or not self._context:
            return None
        online = self._online(now)
        if online is not True:
            return online or None
        address = self._name.find(now)
        if not address:
            return None
        self._address = address
        self._next = self._open
        return ("long", 0)

    def _open(self, now):
        family, _, _, _, peer = socket.getaddrinfo(self._address, self._port, 0, socket.SOCK_STREAM)[0]
        tcp = self._tcp = socket.socket(family, socket.SOCK_STREAM)
        self._poll.register(tcp, select.POLLOUT)
        tcp.setblocking(False)
        self._at = now + _PATIENCE
        self._next = self._connect
        try:
            tcp.connect(peer)
        except OSError as e:
            if e.errno != errno.EINPROGRESS:
                raise
        return ("bytecode", 500)

    def _connect(self, now):
        for _ in self._poll.ipoll(0):
            self._tcp.setsockopt(_TCP, _NODELAY, 1)
            self._tls = self._context.wrap_socket(self._tcp, server_hostname=self._host, do_handshake_on_connect=False)
            self._poll.modify(self._tcp, select.POLLIN)
            self._next = self._shake
            return ("bytecode", 500)
        return self._wait(now)

    def _listen(self, now):
        for _ in self._poll.ipoll(0):
            self._next = self._shake
            return ("long", 0)
        return self._wait(now)

    def _shake(self, now):
        # nothing is written before both sides are proven
        if self._tls.write(self.hello) is None:
            self._next = self._listen
            return self._wait(now)
        self.up = True
        self._heard = now
        self._stuck = 0
        self.begin(now)
        self._next = self.hold
        return ("modmul", _HANDSHAKE)

    def _wait(self, now):
        if now > self._at:
            raise OSError("no answer")

    def begin(self, now):
        pass

    def hold(self, now):
        # one slice while the connection stands
        if now - self._heard > _SILENT or (self._stuck and now - self._stuck > _SILENT):
            raise OSError("silent")

    # ------------------------------------------------------------ bytes

    def readinto(self, buffer):
        if not self.up:
            return 0
        try:
            n = self._tls.readinto(buffer)
        except OSError as e:
            self.lose(str(e.args[-1]))
            return 0
        if n == 0:
            self.lose("closed")
        elif n:
            self._heard = self._now
            if self.proven:
                self._tries = 0
        return n

    def write(self, buffer, n):
        # What was not taken must be what is written next: TLS has encrypted it already.
        if not self.up:
            return 0
        try:
            n = self._tls.write(buffer[:n])
        except OSError as e:
            self.lose(str(e.args[-1]))
            return 0
        self._stuck = 0 if n else self._stuck or self._now
        return n
