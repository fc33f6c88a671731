"""A stream of packets over asyncio, joined to a port until one of them ends."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Collection

from .door import EVERY, Door

CHUNK = 16 << 10
MOST_UNSENT = 64 << 10  # bytes of answers that a peer may leave unread
IDLE = 60.0  # seconds without a byte: a device answers a ping each 3 s
FIRST_WAIT = 0.25  # seconds until a lost peer is tried again; doubles, up to
LONGEST_WAIT = 10.0
STOPPED = "the gateway lets go"


async def join(
    door: Door,
    peer: str,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    devices: Collection[str] = (EVERY,),
) -> str:
    """Pass on what is said on a connection until it ends; return why."""

    def send(data: bytes) -> None:
        if writer.transport.get_write_buffer_size() > MOST_UNSENT:
            writer.transport.abort()
        elif not writer.is_closing():
            writer.write(data)

    port = door.open(peer, devices, send)
    why = "closed by the other side"
    try:
        while data := await _read(reader):
            port.give(data)
            await port.room()
    except asyncio.CancelledError:
        why = STOPPED
        raise
    except TimeoutError:
        why = f"silent for {IDLE:g} s"
    except OSError as error:  # TLS's errors are some of these
        why = error.strerror or type(error).__name__
    finally:
        door.shut(port, why)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return why


async def _read(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(IDLE):  # unlike wait_for of Python 3.11, it never loses a cancellation
        return await reader.read(CHUNK)


class Backoff:
    """Pauses that grow from one failure to the next."""

    def __init__(self) -> None:
        self._failures = 0

    def succeeded(self) -> None:
        """Begin anew with short pauses."""
        self._failures = 0

    async def wait(self) -> None:
        """Pause; half of it by chance, so that many do not come back at once."""
        await asyncio.sleep(min(LONGEST_WAIT, FIRST_WAIT * 2.0**self._failures) * random.uniform(0.5, 1.0))  # noqa: S311
        self._failures = min(self._failures + 1, 16)
