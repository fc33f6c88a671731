"""A transport that messages are put into: each one frame, as brokers deliver them. Bounded: who puts too much waits."""

from __future__ import annotations

import queue
import time

from vitalwire.errors import TransportError
from vitalwire.packet import encode_packet
from vitalwire_protocol.spec import Limit, PacketType

MOST = 1024  # frames that wait


class Inbox:
    """Made for `vitalwire.connect`; `put` may be called from any thread."""

    def __init__(self) -> None:
        self._frames: queue.Queue[tuple[bytes | None, int]] = queue.Queue(MOST)
        self._is_open = False
        self._failure = ""
        self._number = 0
        self.arrived_us: int | None = None

    def put(self, raw: bytes, timeout: float | None = None) -> bool:
        """Put one frame in, waiting for room; False: there was none in time. What is too long for one is left out."""
        if len(raw) > Limit.MAX_FRAME:
            return True
        try:
            self._frames.put((raw, time.time_ns() // 1000), timeout=timeout)
        except queue.Full:
            return False
        return True

    def end(self) -> None:
        """Say that there will be no more."""
        self._frames.put((None, 0))

    def fail(self, why: str) -> None:
        """Say that the connection is lost: what is here is still read, then that is a TransportError."""
        self._failure = why

    # ------------------------------------------------------------ as a transport

    def open(self) -> None:
        """Begin, or begin again."""
        self._is_open = True
        self._failure = ""

    def read(self, timeout: float) -> bytes | None:
        """Return the next frame as a packet; None at the end."""
        if not self._is_open:
            raise TransportError("not open")
        try:
            raw, arrived_us = self._frames.get(timeout=max(timeout, 1e-3))
        except queue.Empty:
            if self._failure:
                self.close()
                raise TransportError(self._failure) from None
            return b""
        if raw is None:
            return None
        self.arrived_us = arrived_us
        self._number += 1
        return encode_packet(PacketType.FRAME, self._number & 0xFF, raw)

    def write(self, data: bytes) -> None:
        """Drop what a reader says to devices: a broker passes nothing back."""

    def close(self) -> None:
        """End; again does nothing."""
        self._is_open = False
