"""Transports move bytes and know nothing else: open, read, write, close. The table says which address opens which.

One is chosen by the scheme of its address: `serial:///dev/ttyUSB0`, `serial://COM3`, `tcp://host:port`,
`ble://NAME`, `replay:FILE?speed=10`, `mqtt://host/topic`. A transport may be opened again after it was closed or
failed.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol

from vitalwire.errors import UsageError

from .address import Address
from .scan import LISTEN_SECONDS, Heard, advertised, nearby

__all__ = ["LISTEN_SECONDS", "SCHEMES", "Address", "Heard", "Transport", "advertised", "from_url", "nearby"]


class Transport(Protocol):
    """A stream of bytes to and from one device. Not for several threads at once, but for `close`.

    Whatever goes wrong in `open`, `read` and `write` is a TransportError; the transport is closed then.
    """

    @property
    def arrived_us(self) -> int | None:
        """UTC in microseconds at which the bytes that `read` returned last had arrived; None if nobody knows."""

    def open(self) -> None:
        """Connect."""

    def read(self, timeout: float) -> bytes | None:
        """Return the bytes that are there, at the latest after about `timeout` seconds: b"" if there are none.

        None says that the source has ended for good and as it should.
        """

    def write(self, data: bytes) -> None:
        """Send all of these bytes."""

    def close(self) -> None:
        """Disconnect; again does nothing."""


# Where the `from_address(Address) -> Transport` of each scheme is found. By name, because each is an extra that is
# imported only when it is wanted, and because some are made above this package: they read captures or make packets.
SCHEMES: dict[str, str] = {
    "serial": "vitalwire.transports.serial",
    "tcp": "vitalwire.transports.tcp",
    "ble": "vitalwire.transports.ble",
    "replay": "vitalwire.replay",
    "mqtt": "vitalwire.subscribe.mqtt",
    "mqtts": "vitalwire.subscribe.mqtt",
}


def from_url(url: str) -> Transport:
    """Return the transport of an address, not yet open. Raises UsageError for an address nothing here understands."""
    address = Address.parse(url)
    module = SCHEMES.get(address.scheme)
    if module is None:
        known = ", ".join(f"{scheme}:" for scheme in SCHEMES)
        raise UsageError(f"no transport for {address.scheme or url!r}", advice=f"An address begins with {known}")
    transport: Transport = import_module(module).from_address(address)
    return transport
