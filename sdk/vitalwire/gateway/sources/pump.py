"""A transport of the SDK in a thread of its own, joined to a port: for what asyncio cannot wait for everywhere."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from vitalwire.errors import TransportError
from vitalwire.transports import Transport

from .door import Door

WAIT = 0.05  # seconds that bytes to send may wait for ones to come


async def pump(door: Door, peer: str, transport: Transport, *, timed: bool) -> None:
    """Pass on what is said until the transport ends or breaks: TransportError, which the door has told by then.

    `timed` says whether it comes from a device now.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    stop = threading.Event()
    unsent: deque[bytes] = deque(maxlen=1024)
    try:
        await asyncio.to_thread(transport.open)
    except TransportError as error:
        door.failed(peer, str(error))
        raise
    port = door.open(peer, send=unsent.append)

    def run() -> None:
        failure: Exception | None = None
        try:
            while not stop.is_set():
                while unsent:
                    transport.write(unsent.popleft())
                data = transport.read(WAIT)
                if data is None:
                    break
                if data:
                    port.give(data, timed=timed)
                while not port.wait_room(WAIT) and not stop.is_set():
                    pass
        except Exception as error:
            failure = error
        transport.close()
        loop.call_soon_threadsafe(_end, ended, failure)

    thread = threading.Thread(target=run, name=f"{door.name} {peer}", daemon=True)
    thread.start()
    why = "ended"
    try:
        await asyncio.shield(ended)
    except TransportError as error:
        why = str(error)
        raise
    finally:
        stop.set()
        door.shut(port, why)
        await asyncio.wait([ended])
        ended.exception()


def _end(ended: asyncio.Future[None], failure: Exception | None) -> None:
    if failure is None:
        ended.set_result(None)
    else:
        ended.set_exception(failure)
