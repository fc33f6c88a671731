"""Bytes over Bluetooth LE: `ble://NAME` or `ble://ADDRESS`, as the device advertises itself (SPEC.md section 9).

Needs the extra `vitalwire[ble]`, whose bleak speaks to the operating system's Bluetooth. The system asks its user for
the device's passkey when they meet first (`vitalwire device passkey`). Whatever else can reach a GATT server may take
bleak's place: a `Find`.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn, Protocol, TypeVar

from vitalwire.errors import TransportError, UsageError
from vitalwire_protocol import spec

from .adapter import library, trouble
from .address import Address
from .scan import advertised

FIND_SECONDS = 30.0  # a device advertises seldom while nobody wants it
OPEN_SECONDS = 90.0  # finding it, connecting, and somebody typing a passkey
WRITE_SECONDS = 5.0
CLOSE_SECONDS = 5.0
AGAIN_SECONDS = 5.0  # without a word: the device may have had another reader, who has gone
GRANT = 64  # notifications that may be on their way or unread
LARGEST = 244  # bytes of one write: what every stack takes in one piece
HEAD = 3  # bytes of a write before its value
UNBONDED = (
    "was the passkey that of `vitalwire device passkey`? where one side has lost the bond, "
    "remove the device from this system's Bluetooth and pair again"
)

T = TypeVar("T")


class Client(Protocol):
    """A connection to one GATT server, with the names that bleak's `BleakClient` has."""

    @property
    def mtu_size(self) -> int:
        """The ATT MTU."""

    async def start_notify(self, char: str, callback: Callable[[Any, bytearray], None], /) -> None:
        """Have notifications of a characteristic given to `callback`, in the loop."""

    async def write_gatt_char(self, char: str, data: bytes, /, response: bool) -> None:
        """Write a value."""

    async def disconnect(self) -> None:
        """End the connection."""


# Finds a device by name or address, connects, pairs and bonds; `lost` is to be called when the connection ends.
Find = Callable[[str, Callable[[], None]], Awaitable[Client]]


def from_address(address: Address) -> Ble:
    """Return the transport of an address. Raises UsageError if it names no device or bleak is not installed."""
    address.read()
    target = address.target.removeprefix("//")
    if not target:
        raise UsageError("a ble address names a device", advice="For instance ble://ward7 or ble://24:71:89:CC:09:05")
    library()
    return Ble(target)


async def find(target: str, lost: Callable[[], None]) -> Client:
    """Do so by bleak."""
    bleak, name = library(), advertised(target)

    def fits(device: Any, said: Any) -> bool:
        return target.upper() == device.address.upper() or name in (device.name, said.local_name)

    try:
        device = await bleak.BleakScanner.find_device_by_filter(fits, timeout=FIND_SECONDS)
    except Exception as error:  # each system's Bluetooth raises errors of its own
        raise trouble(error) from None
    if device is None:
        raise TransportError(
            f"no {target} in reach",
            advice="is its link `ble` configured, and nobody else connected? `vitalwire ports --ble` lists boards",
        )
    client = bleak.BleakClient(device, disconnected_callback=lambda _: lost())
    try:
        await client.connect()
        if sys.platform != "darwin":  # macOS pairs by itself, when something protected is used
            await client.pair()
    except BaseException:  # nobody else knows of the connection
        with contextlib.suppress(Exception):
            await client.disconnect()
        raise
    connected: Client = client
    return connected


class Ble:
    """A device's stream over Bluetooth LE. Grants the device as many notifications as `read` has made room for.

    `close` ends an opening in another thread, also the first one before it has begun.
    """

    def __init__(self, target: str, find: Find = find) -> None:
        self._target = target
        self._find = find
        self._turn = threading.Lock()  # held by whoever gives the loop work, or takes it away
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_new, self._is_unwanted = True, False
        self._client: Client | None = None
        self._came: queue.SimpleQueue[tuple[bytes, int] | None] = queue.SimpleQueue()  # None: lost
        self._read = self._granted = 0
        self.arrived_us: int | None = None

    def open(self) -> None:
        """Find the device, connect and bond."""
        came: queue.SimpleQueue[tuple[bytes, int] | None] = queue.SimpleQueue()
        self._came = came
        self._read = self._granted = 0
        with self._turn:
            self._is_new = False
            if self._is_unwanted:
                self._is_unwanted = False
                raise TransportError(f"{self._target} was closed before it was opened")
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_serve, args=(self._loop,), name=f"ble {self._target}", daemon=True)
            self._thread.start()

        def receive(_: Any, data: bytearray) -> None:
            if came.qsize() < GRANT:  # else it sends what it was not granted
                came.put((bytes(data), time.time_ns() // 1000))

        async def connect() -> None:
            self._client = await self._find(self._target, lambda: came.put(None))
            await self._client.start_notify(spec.BLE_FROM_DEVICE, receive)

        self._run(connect(), OPEN_SECONDS, "cannot connect to", UNBONDED)
        self._grant()

    def read(self, timeout: float) -> bytes | None:
        """Return what has arrived within `timeout` seconds."""
        data = bytearray()
        try:
            came = self._came.get(timeout=max(timeout, 0.0))
            while True:
                if came is None:
                    self._fail("lost", ConnectionError("the connection ended"))
                data += came[0]
                self.arrived_us = came[1]
                self._read += 1
                came = self._came.get_nowait()
        except queue.Empty:
            pass
        silent = not data and time.monotonic() - self._granted_at > AGAIN_SECONDS
        if silent or self._granted - self._read <= GRANT // 2:
            self._grant()
        return bytes(data)

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        client = self._connected()
        most = max(1, min(LARGEST, client.mtu_size - HEAD))

        async def send() -> None:
            for start in range(0, len(data), most):
                await client.write_gatt_char(spec.BLE_TO_DEVICE, data[start : start + most], response=True)

        self._run(send(), WRITE_SECONDS, "lost")

    def close(self) -> None:
        """Disconnect; from another thread, it ends what is under way."""
        with self._turn:
            self._is_unwanted = self._is_new
            loop, self._loop = self._loop, None
        if loop is None:
            return
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._leave(), loop).result(CLOSE_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join(CLOSE_SECONDS)

    def _grant(self) -> None:
        client = self._connected()
        self._granted = self._read + GRANT
        self._granted_at = time.monotonic()
        said = spec.BleLimit.build({"code": spec.BleControl.LIMIT, "total": self._granted})
        self._run(client.write_gatt_char(spec.BLE_CONTROL, said, response=True), WRITE_SECONDS, "lost")

    def _connected(self) -> Client:
        if self._client is None:
            self._fail("lost", ConnectionError("not connected"))
        return self._client

    def _run(self, work: Coroutine[Any, Any, T], seconds: float, what: str, advice: str = "") -> T:
        with self._turn:
            loop = self._loop
            doing = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, seconds), loop) if loop else None
        if doing is None:
            work.close()
            self._fail(what, ConnectionError("not connected"))
        try:
            return doing.result(seconds + CLOSE_SECONDS)
        except TransportError:
            self.close()
            raise
        except Exception as error:  # each system's Bluetooth raises errors of its own
            self._fail(what, error, advice)

    async def _leave(self) -> None:
        ending = asyncio.all_tasks() - {asyncio.current_task()}
        for task in ending:
            task.cancel()
        if ending:  # whoever waits for one hears nothing once the loop has stopped
            await asyncio.wait(ending, timeout=CLOSE_SECONDS / 2)
        client, self._client = self._client, None  # here in the loop: nobody connects between the two
        if client is not None:
            with contextlib.suppress(Exception):  # it is gone in any case
                await client.disconnect()

    def _fail(self, what: str, error: Exception, advice: str = "") -> NoReturn:
        self.close()
        reason = "no answer" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        raise TransportError(f"{what} {self._target}: {reason}", advice=advice) from None


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
