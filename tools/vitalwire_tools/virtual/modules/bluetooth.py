# MicroPython's `bluetooth` module for the virtual board: the part of its API that a peripheral uses, served by an Air
# (vitalwire_tools/virtual/air.py) over a socket. Judges nothing; where the radio calls back, it waits for the answer.
#
# One JSON object a line, bytes as hexadecimal text. To the radio: {"call", "args", "id"}, answered by {"answer",
# "errno", "id"}. From it at any time: {"event", "data"}, answered by {"done"}; an event's handler may call in between.
import json
import os
import select
import socket
import sys
from binascii import hexlify, unhexlify

from hal import virtual

_ENODEV = 19
_GRAIN = 10000  # us


class UUID:
    def __init__(self, value):
        self.value = value


class BLE:
    _only = None
    _socket = None
    _handler = None
    _active = False
    _calls = 0

    def __new__(cls):
        if not cls._only:
            cls._only = super().__new__(cls)
        return cls._only

    def active(self, on=None):
        if on is not None and on != self._active:
            if on and not self._socket:
                self._open()
            self._call("active", on, unhexlify(os.getenv("VITALWIRE_ID") or "010203040506"))
            self._active = on
        return self._active

    def irq(self, handler):
        self._handler = handler

    def config(self, name=None, **values):
        if name == "mac":
            kind, address = self._call("mac")
            return kind, unhexlify(address)
        if name:
            raise ValueError("unknown config param")
        self._call("config", {name: _plain(value) for name, value in values.items()})
        return None

    def gap_advertise(self, interval_us, adv_data=None, *, resp_data=None, connectable=True):
        self._call("gap_advertise", interval_us, adv_data, resp_data, connectable)

    def gap_disconnect(self, conn):
        return self._call("gap_disconnect", conn)

    def gap_passkey(self, conn, action, passkey):
        self._call("gap_passkey", conn, action, passkey)

    def gatts_register_services(self, services):
        plain = [[u.value, [[c[0].value, c[1]] for c in characteristics]] for u, characteristics in services]
        return tuple([tuple(handles) for handles in self._call("gatts_register_services", plain)])

    def gatts_read(self, handle):
        return unhexlify(self._call("gatts_read", handle))

    def gatts_write(self, handle, data, send_update=False):
        self._call("gatts_write", handle, data, send_update)

    def gatts_notify(self, conn, handle, data=None):
        self._call("gatts_notify", conn, handle, data)

    def gatts_set_buffer(self, handle, size, append=False):
        self._call("gatts_set_buffer", handle, size, append)

    def _open(self):
        host, _, port = (os.getenv("VITALWIRE_RADIO") or ":").partition(":")
        if not host:
            raise OSError(_ENODEV)
        self._answers = {}  # that came while a handler waited for another
        self._socket = socket.socket()
        self._socket.connect(socket.getaddrinfo(host, int(port))[0][-1])
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._idle = virtual.idle
        self._feed = virtual.feed
        virtual.feed = self._fed
        virtual.idle = self._idled

    # On a chip the radio interrupts; here each turn of the board's loop looks after it, and those follow closely.

    def _fed(self):
        self._feed()
        for _ in self._poll.ipoll(0):
            self._react(self._receive())

    def _idled(self, until):
        self._idle(min(until, virtual.ticks() + _GRAIN))

    def _call(self, name, *arguments):
        self._calls = number = self._calls + 1
        self._send({"call": name, "args": [_plain(a) for a in arguments], "id": number})
        while number not in self._answers:
            message = self._receive()
            if "event" in message:
                self._react(message)
            else:
                self._answers[message["id"]] = message
        message = self._answers.pop(number)
        if message["errno"]:
            raise OSError(message["errno"])
        return message["answer"]

    def _react(self, message):
        data = tuple([unhexlify(v) if isinstance(v, str) else v for v in message["data"]])
        done = None
        if self._handler:
            try:
                done = self._handler(message["event"], data)
            except Exception as e:
                self._handler = None  # as MicroPython does
                sys.print_exception(e)
        self._send({"done": _plain(done)})

    def _send(self, message):
        self._socket.write(json.dumps(message) + "\n")

    def _receive(self):
        line = self._socket.readline()
        if not line:
            raise OSError(_ENODEV)
        return json.loads(line)


def _plain(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return hexlify(value).decode()
    return value
