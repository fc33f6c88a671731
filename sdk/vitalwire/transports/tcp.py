"""Bytes over a TCP connection: `tcp://host:port`, `tcp://[::1]:port`."""

from __future__ import annotations

import socket
import time
from typing import NoReturn

from vitalwire.errors import TransportError, UsageError

from .address import Address

CONNECT_SECONDS = 5.0
WRITE_SECONDS = 5.0
CHUNK = 1 << 16


def from_address(address: Address) -> Tcp:
    """Return the transport of an address. Raises UsageError unless it is `//host:port`."""
    address.read()
    host, _, port = address.target.removeprefix("//").rpartition(":")
    if not address.target.startswith("//") or not host or not (port.isdecimal() and 0 < int(port) < 1 << 16):
        raise UsageError(f"tcp:{address.target} names no host and port", advice="It has the form tcp://host:port")
    return Tcp(host.removeprefix("[").removesuffix("]"), int(port))


class Tcp:
    """A TCP connection to a device or to whatever stands in for its serial port."""

    def __init__(self, host: str, port: int) -> None:
        self._peer = (host, port)
        self._socket: socket.socket | None = None
        self.arrived_us: int | None = None

    def open(self) -> None:
        """Connect."""
        try:
            self._socket = socket.create_connection(self._peer, CONNECT_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # acknowledgements are small and urgent
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError as error:
            self._fail("cannot connect to", error)

    def read(self, timeout: float) -> bytes | None:
        """Return what has arrived within `timeout` seconds."""
        try:
            connection = self._connected()
            connection.settimeout(max(timeout, 1e-3))  # 0 would mean not to wait for what is on its way
            data = connection.recv(CHUNK)
        except TimeoutError:
            return b""
        except OSError as error:
            self._fail("lost", error)
        self.arrived_us = time.time_ns() // 1000
        if not data:
            self._fail("lost", ConnectionResetError(0, "closed by the other side"))
        return data

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        try:
            connection = self._connected()
            connection.settimeout(WRITE_SECONDS)
            connection.sendall(data)
        except OSError as error:
            self._fail("lost", error)

    def close(self) -> None:
        """Disconnect."""
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionError(0, "not connected")
        return self._socket

    def _fail(self, what: str, error: OSError) -> NoReturn:
        self.close()
        host, port = self._peer
        raise TransportError(f"{what} {host} port {port}: {error.strerror or error}") from None
