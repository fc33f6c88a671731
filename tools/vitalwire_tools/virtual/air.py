"""The air that virtual boards with a radio and virtual centrals share: bumble's controllers on one local link.

A board's `bluetooth` module (virtual/modules/bluetooth.py) connects to it over a socket and gets a peripheral of its
own; what NimBLE would do on a chip is done here: the attribute values, pairing, the bounded buffers for notifications.
Real ATT and SMP; no radio, no loss. Needs bumble, which only the extra `test` installs.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import threading
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

from bumble import att, gatt, hci
from bumble.controller import Controller
from bumble.core import UUID
from bumble.device import Connection, Device
from bumble.host import Host
from bumble.keys import KeyStore, MemoryKeyStore, PairingKeys
from bumble.link import LocalLink
from bumble.ll import TerminateInd
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import AsyncPipeSink

# Events, flags and kinds of secrets as MicroPython's documentation of `bluetooth` numbers them.
CONNECT, DISCONNECT, WRITE, MTU, ENCRYPTION, GET_SECRET, SET_SECRET, PASSKEY = 1, 2, 3, 21, 28, 29, 30, 31
OUR_SECRET, PEER_SECRET = 1, 2
DISPLAY = 3
PROPERTIES = 0xFF
READ_ENCRYPTED, READ_AUTHENTICATED, WRITE_ENCRYPTED, WRITE_AUTHENTICATED = 0x200, 0x400, 0x1000, 0x2000
DEFAULT_SIZE = 20  # bytes of a value that nothing else was said about
LARGEST = 512  # of any value (Core Specification 5.4, volume 3, part F, 3.2.9)
BUFFERS = 12  # notifications that may wait for the next connection event
INTERVAL = 0.0075  # seconds between two of them
ANSWER_SECONDS = 10.0

T = TypeVar("T")


def random_address(seed: bytes) -> hci.Address:
    """Return the static random address that six bytes stand for."""
    return hci.Address(bytes([*seed[:5], seed[5] | 0xC0]), hci.Address.RANDOM_DEVICE_ADDRESS)


class Air:
    """A local link in a thread of its own; a context manager."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="air", daemon=True)
        self._link = LocalLink()
        self._controllers: dict[Device, Controller] = {}
        self._boards: set[Peripheral] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""

    def __enter__(self) -> Air:
        self._thread.start()
        self._server = self.run(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 30.0) -> T:
        """Run a coroutine among the devices and return what it does."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    async def device(self, name: str, address: hci.Address, mtu: int = 517) -> Device:
        """Return a new device on this link, powered."""
        controller = Controller(name, link=self._link)
        device = Device(name=name, address=address, host=Host(controller, AsyncPipeSink(controller)))
        self._controllers[device] = controller
        device.gatt_server.max_mtu = mtu
        device.keystore = MemoryKeyStore()
        await device.power_on()
        return device

    def vanish(self, device: Device) -> None:
        """Take a device off the link as a dead battery does: its peers see their connections time out."""
        controller = self._controllers.pop(device)
        for connection in list(controller.le_connections.values()):
            connection.send_ll_control_pdu(TerminateInd(hci.HCI_CONNECTION_TIMEOUT_ERROR))
        self._link.remove_controller(controller)
        controller.link = None  # whatever it is still asked to send goes nowhere

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = "{}:{}".format(*server.sockets[0].getsockname())
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        board = Peripheral(self, writer)
        self._boards.add(board)
        try:
            while line := await reader.readline():
                board.receive(json.loads(line))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._boards.discard(board)
            board.end()
            writer.close()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine of the loop that nobody waits for."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close(self) -> None:
        self._server.close()
        for board in list(self._boards):
            board.close()
        await asyncio.sleep(0.05)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


class Value:
    """A characteristic's value as the chip keeps it."""

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.data = b""
        self.size = DEFAULT_SIZE
        self.append = False

    def store(self, data: bytes) -> None:
        """Take what a central wrote, cut to the room there is."""
        self.data = ((self.data if self.append else b"") + data)[: self.size]


class Peripheral:
    """What one board's calls stand for. Everything runs in the air's loop."""

    def __init__(self, air: Air, writer: asyncio.StreamWriter) -> None:
        self._air = air
        self._writer = writer
        self._device: Device | None = None
        self._values: dict[int, Value] = {}
        self._characteristics: dict[int, gatt.Characteristic[Any]] = {}
        self._secure: set[int] = set()  # connections paired by a passkey
        self._securing: dict[int, asyncio.Event] = {}  # set once a connection's program knows how secure it is
        self._waiting: asyncio.Future[Any] | None = None
        self._turn = asyncio.Lock()
        self._passkey: asyncio.Future[int] | None = None
        self._settings: dict[str, Any] = {"mtu": 256, "bond": False, "mitm": False, "io": 3, "le_secure": False}
        self._interval = 0.0  # begin of this connection interval
        self._used = 0  # buffers in it

    # ---- the board's side

    def receive(self, message: dict[str, Any]) -> None:
        """Take a line from the board."""
        if "done" in message:
            if self._waiting and not self._waiting.done():
                self._waiting.set_result(message["done"])
        elif message["call"] in ("active", "gap_advertise", "gap_disconnect"):
            self._air.spawn(self._call(message))
        else:
            try:
                self._answer(message, getattr(self, "_" + message["call"])(*message["args"]))
            except OSError as error:
                self._answer(message, None, error.errno or errno.EIO)

    async def _call(self, message: dict[str, Any]) -> None:
        try:
            self._answer(message, await getattr(self, "_" + message["call"])(*message["args"]))
        except OSError as error:
            self._answer(message, None, error.errno or errno.EIO)

    def _answer(self, message: dict[str, Any], answer: Any, code: int = 0) -> None:
        self._send({"answer": answer, "errno": code, "id": message["id"]})

    def _send(self, message: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def _tell(self, event: int, *data: int | bytes | None) -> Any:
        """Call the board's handler and wait for what it returns, as NimBLE does."""
        async with self._turn:
            self._waiting = asyncio.get_running_loop().create_future()
            self._send({"event": event, "data": [v.hex() if isinstance(v, bytes) else v for v in data]})
            return await asyncio.wait_for(self._waiting, ANSWER_SECONDS)

    def _tell_later(self, event: int, *data: int | bytes) -> None:
        async def tell() -> None:
            with contextlib.suppress(TimeoutError):
                await self._tell(event, *data)

        self._air.spawn(tell())

    def close(self) -> None:
        """Hang up on the board."""
        self._writer.close()

    def end(self) -> None:
        """The board is gone, at once and without a word."""
        if self._waiting and not self._waiting.done():
            self._waiting.cancel()
        if self._device:
            self._air.vanish(self._device)
            self._device = None

    # ---- calls, by their names in MicroPython

    async def _active(self, on: bool, seed: str) -> None:
        if not on:
            self.end()
            return
        device = await self._air.device("board", random_address(bytes.fromhex(seed)))
        device.keystore = Secrets(self, self._tell)
        device.on("connection", self._connected)
        device.pairing_config_factory = self._pairing
        self._device = device

    @property
    def _on(self) -> Device:
        if self._device is None:
            raise OSError(errno.ENODEV, "not active")
        return self._device

    def _connection(self, handle: int) -> Connection:
        connection = self._on.lookup_connection(handle)
        if connection is None:
            raise OSError(errno.ENOTCONN, "no such connection")
        return connection

    def _mac(self) -> list[Any]:
        return [1, bytes(self._on.random_address)[::-1].hex()]

    def _config(self, values: dict[str, Any]) -> None:
        self._settings |= values
        self._on.gatt_server.max_mtu = self._settings["mtu"]

    async def _gap_advertise(self, interval: int | None, data: str | None, answer: str | None, _: bool) -> None:
        device = self._on
        await device.stop_advertising()
        if interval is None:
            return
        await device.start_advertising(
            auto_restart=False,
            advertising_data=None if data is None else bytes.fromhex(data),
            scan_response_data=None if answer is None else bytes.fromhex(answer),
            advertising_interval_min=interval / 1000,
            advertising_interval_max=interval / 1000,
        )

    async def _gap_disconnect(self, handle: int) -> bool:
        try:
            connection = self._connection(handle)
        except OSError:
            return False
        self._air.spawn(connection.disconnect())
        return True

    def _gap_passkey(self, handle: int, action: int, passkey: int) -> None:
        self._connection(handle)
        if self._passkey and not self._passkey.done() and action == DISPLAY:
            self._passkey.set_result(passkey)

    def _gatts_register_services(self, services: list[Any]) -> list[list[int]]:
        handles = []
        for uuid, characteristics in services:
            made = [self._characteristic(*row) for row in characteristics]
            self._on.add_service(gatt.Service(_uuid(uuid), [characteristic for characteristic, _ in made]))
            for characteristic, value in made:
                self._values[characteristic.handle] = value
                self._characteristics[characteristic.handle] = characteristic
            handles.append([characteristic.handle for characteristic, _ in made])
        return handles

    def _characteristic(self, uuid: str | int, flags: int) -> tuple[gatt.Characteristic[Any], Value]:
        kinds = gatt.Characteristic.Permissions
        permissions = kinds(0)
        if flags & gatt.Characteristic.Properties.READ:
            permissions |= kinds.READABLE
        if flags & (gatt.Characteristic.Properties.WRITE | gatt.Characteristic.Properties.WRITE_WITHOUT_RESPONSE):
            permissions |= kinds.WRITEABLE
        if flags & READ_ENCRYPTED:
            permissions |= kinds.READ_REQUIRES_ENCRYPTION
        if flags & WRITE_ENCRYPTED:
            permissions |= kinds.WRITE_REQUIRES_ENCRYPTION
        properties = gatt.Characteristic.Properties(flags & PROPERTIES)
        value = Value(flags)

        async def read(connection: Connection) -> bytes:
            if not properties & properties.READ:  # bumble lets everything be read
                raise att.ATT_Error(att.ATT_READ_NOT_PERMITTED_ERROR)
            await self._permit(connection, flags & READ_AUTHENTICATED)
            return value.data

        async def write(connection: Connection, data: bytes) -> None:
            await self._permit(connection, flags & WRITE_AUTHENTICATED)
            value.store(data)
            await self._tell(WRITE, connection.handle, characteristic.handle)

        characteristic: gatt.Characteristic[Any] = gatt.Characteristic(
            _uuid(uuid), properties, permissions, gatt.CharacteristicValue(read=read, write=write)
        )
        return characteristic, value

    async def _permit(self, connection: Connection, authenticated: int) -> None:
        # NimBLE handles what comes in its order: the end of pairing before a write that follows it
        if securing := self._securing.get(connection.handle):
            await asyncio.wait_for(securing.wait(), ANSWER_SECONDS)
        # bumble takes every encrypted connection for an authenticated one
        if authenticated and connection.handle not in self._secure:
            raise att.ATT_Error(att.ATT_INSUFFICIENT_AUTHENTICATION_ERROR)

    def _gatts_read(self, handle: int) -> str:
        value = self._values[handle]
        data = value.data
        if value.append:
            value.data = b""
        return data.hex()

    def _gatts_write(self, handle: int, data: str, send_update: bool) -> None:
        value = self._values[handle]
        value.data = bytes.fromhex(data)
        value.size = max(value.size, len(value.data))
        if send_update:
            self._air.spawn(self._on.notify_subscribers(self._characteristics[handle], value.data))

    def _gatts_set_buffer(self, handle: int, size: int, append: bool) -> None:
        value = self._values[handle]
        value.size, value.append = size, append

    def _gatts_notify(self, handle: int, characteristic: int, data: str | None) -> None:
        connection = self._connection(handle)
        now = time.monotonic()
        if now - self._interval >= INTERVAL:
            self._interval, self._used = now, 0
        if self._used == BUFFERS:
            raise OSError(errno.ENOMEM, "no buffer")
        self._used += 1
        value = self._values[characteristic].data if data is None else bytes.fromhex(data)
        # MicroPython asks nobody whether the central has subscribed
        pdu = att.ATT_Handle_Value_Notification(
            attribute_handle=characteristic, attribute_value=value[: connection.att_mtu - 3]
        )
        self._on.gatt_server.send_gatt_pdu(connection, bytes(pdu))

    # ---- the radio's side

    def _pairing(self, connection: Connection) -> PairingConfig:
        config = self._settings
        return PairingConfig(
            sc=config["le_secure"], mitm=config["mitm"], bonding=config["bond"], delegate=Display(self, connection)
        )

    async def passkey(self, connection: Connection) -> int:
        """Have the board name the passkey that it would display."""
        self._passkey = asyncio.get_running_loop().create_future()
        await self._tell(PASSKEY, connection.handle, DISPLAY, 0)
        return await asyncio.wait_for(self._passkey, ANSWER_SECONDS)

    def io(self) -> PairingDelegate.IoCapability:
        """Return what the board said it can show or read."""
        return PairingDelegate.IoCapability(self._settings["io"])

    def _connected(self, connection: Connection) -> None:
        handle, address = connection.handle, connection.peer_address
        peer = (int(address.address_type), bytes(address)[::-1])
        self._tell_later(CONNECT, handle, *peer)

        def gone(_: int) -> None:
            self._secure.discard(handle)
            if securing := self._securing.pop(handle, None):
                securing.set()
            self._tell_later(DISCONNECT, handle, *peer)

        def pairing(*_: Any) -> None:
            self._securing[handle] = asyncio.Event()

        def encrypted() -> None:
            # while pairing, the end of pairing says it, when the bond is stored
            if self._device and handle not in self._device.smp_manager.sessions:
                pairing()
                self._air.spawn(self._restored(connection))

        def paired(keys: PairingKeys) -> None:
            self._air.spawn(self._secured(connection, keys, self.bonding(str(connection.peer_address))))

        def failed(_: int) -> None:
            self._securing[handle].set()

        connection.on(connection.EVENT_DISCONNECTION, gone)
        connection.on(connection.EVENT_CONNECTION_ENCRYPTION_CHANGE, encrypted)
        connection.on(connection.EVENT_PAIRING_START, pairing)
        connection.on(connection.EVENT_PAIRING, paired)
        connection.on(connection.EVENT_PAIRING_FAILURE, failed)
        connection.on(
            connection.EVENT_CONNECTION_ATT_MTU_UPDATE, lambda: self._tell_later(MTU, handle, connection.att_mtu)
        )

    async def _restored(self, connection: Connection) -> None:
        assert self._device
        assert self._device.keystore
        keys = await self._device.keystore.get(str(connection.peer_address))
        if keys:
            await self._secured(connection, keys, True)

    def bonding(self, peer: str) -> bool:
        """Return whether both sides of a pairing under way want a bond; bumble itself stores every key."""
        sessions = self._on.smp_manager.sessions.values()
        return any(str(s.connection.peer_address) == peer and s.bonding for s in sessions)

    async def _secured(self, connection: Connection, keys: PairingKeys, bonded: bool) -> None:
        authenticated = bool(keys.ltk and keys.ltk.authenticated)
        if authenticated:
            self._secure.add(connection.handle)
        await self._tell(ENCRYPTION, connection.handle, 1, int(authenticated), int(bonded), 16)
        if securing := self._securing.get(connection.handle):
            securing.set()


class Display(PairingDelegate):
    """Pairing as a board with nothing but a label does it."""

    def __init__(self, board: Peripheral, connection: Connection) -> None:
        super().__init__(board.io())
        self._board = board
        self._connection = connection

    async def generate_passkey(self) -> int:
        """Return what the board says."""
        return await self._board.passkey(self._connection)


class Secrets(KeyStore):
    """The bonds, which the board's program keeps: a byte of flags, the long-term key, the identity key."""

    def __init__(self, board: Peripheral, tell: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        self._board = board
        self._tell = tell

    async def update(self, name: str, keys: PairingKeys) -> None:
        """Have the board store a bond, as its own secret and as the peer's."""
        if not self._board.bonding(name):
            return
        assert keys.ltk
        irk = keys.irk.value if keys.irk else b""
        value = bytes([keys.ltk.authenticated]) + keys.ltk.value + irk
        for kind in (OUR_SECRET, PEER_SECRET):
            await self._tell(SET_SECRET, kind, _key(name), value)

    async def get(self, name: str) -> PairingKeys | None:
        """Ask the board for a bond."""
        found = await self._tell(GET_SECRET, PEER_SECRET, 0, _key(name))
        if not found:
            return None
        value = bytes.fromhex(found)
        authenticated = bool(value[0])
        keys = PairingKeys()
        keys.ltk = PairingKeys.Key(value[1:17], authenticated)
        keys.irk = PairingKeys.Key(value[17:], authenticated) if len(value) > 17 else None
        return keys

    async def get_all(self) -> list[tuple[str, PairingKeys]]:
        """Return none: only whoever resolves private addresses asks, and nobody here has one."""
        return []


def _key(name: str) -> bytes:
    address = hci.Address(name)
    return bytes([int(address.address_type)]) + bytes(address)


def _uuid(value: str | int) -> UUID:
    return UUID.from_16_bits(value) if isinstance(value, int) else UUID(value)
