"""Bytes over a serial port or a pseudo-terminal: `serial:///dev/ttyUSB0`, `serial://COM3?baud=921600`.

Needs the extra `vitalwire[serial]`. Opening and closing a port moves DTR and RTS, and boards with an auto-reset circuit
take one without the other for the reset button: so both stay as the system sets them on opening (together), are never
switched one by one, and are kept when the port closes, so that the next opening changes nothing either.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from typing import NoReturn

try:
    import serial
except ImportError:
    serial = None

try:
    import termios
except ImportError:  # Windows: its driver keeps or drops the lines as it likes
    termios = None  # type: ignore[assignment]

from vitalwire.errors import TransportError, UsageError

from .address import Address

BAUD = 115200  # of MicroPython's first serial port
SLICE = 0.05  # seconds the port is waited for at a time: pyserial sets the port anew for another timeout
WRITE_SECONDS = 5.0
CHUNK = 1 << 16

ADVICE = {
    errno.EACCES: "Your user needs access to the port: on Debian membership in the group dialout.",
    errno.EPERM: "Your user needs access to the port: on Debian membership in the group dialout.",
    errno.EAGAIN: "Another program has the port open.",
    errno.EBUSY: "Another program has the port open.",
    errno.ENOENT: "`vitalwire ports` shows which there are.",
}


def from_address(address: Address) -> Serial:
    """Return the transport of an address. Raises UsageError if it names no port or pyserial is not installed."""
    options = address.read(baud=int)
    path = address.target.removeprefix("//")
    if not path:
        raise UsageError("a serial address names a port", advice="For instance serial:///dev/ttyUSB0 or serial://COM3")
    if serial is None:
        raise UsageError("serial ports need pyserial", advice='Install "vitalwire[serial]".')
    return Serial(path, options.get("baud", BAUD))


class Serial:
    """A serial port, for this program alone."""

    def __init__(self, path: str, baud: int = BAUD) -> None:
        self._path = path
        self._baud = baud
        self._port: serial.Serial | None = None
        self.arrived_us: int | None = None

    def open(self) -> None:
        """Open the port; TransportError if it is not there, not allowed or in use."""
        try:
            self._port = serial.Serial(
                self._path, self._baud, timeout=SLICE, write_timeout=WRITE_SECONDS, exclusive=True
            )
            self._keep_lines(self._port)
        except (OSError, ValueError) as error:  # pyserial's own errors are OSErrors
            self._fail("cannot open", error)

    @staticmethod
    def _keep_lines(port: serial.Serial) -> None:
        if termios is not None:
            with contextlib.suppress(termios.error):
                settings = termios.tcgetattr(port.fileno())
                settings[2] &= ~termios.HUPCL  # POSIX: what drops the lines when the last one closes the port
                termios.tcsetattr(port.fileno(), termios.TCSANOW, settings)

    def read(self, timeout: float) -> bytes | None:
        """Return what has arrived within about `timeout` seconds."""
        until = time.monotonic() + timeout
        try:
            port = self._opened()
            data = port.read(1)
            while not data and time.monotonic() < until:
                data = port.read(1)
            if data:
                self.arrived_us = time.time_ns() // 1000
                data += port.read(min(port.in_waiting, CHUNK))
        except (OSError, TypeError) as error:  # TypeError: pyserial reading from a port that was closed meanwhile
            self._fail("lost", error)
        return bytes(data)

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        try:
            self._opened().write(data)
        except (OSError, TypeError) as error:
            self._fail("lost", error)

    def close(self) -> None:
        """Close the port."""
        port, self._port = self._port, None
        if port is not None:
            with contextlib.suppress(OSError):
                port.close()

    def _opened(self) -> serial.Serial:
        if self._port is None:
            raise OSError(errno.EBADF, "not open")
        return self._port

    def _fail(self, what: str, error: Exception) -> NoReturn:
        self.close()
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number else "it is gone"
        raise TransportError(f"{what} {self._path}: {reason}", advice=ADVICE.get(number or 0, "")) from None
