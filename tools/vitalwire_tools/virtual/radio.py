"""The radio of one virtual board: what NimBLE would do on a chip, by bumble's peripheral on the air.

Keeps the attribute values, says who is paired how, and bounds the notifications under way.
"""

from __future__ import annotations

import asyncio
import errno
import time
from typing import TYPE_CHECKING, Any

from bumble import att, gatt, hci
from bumble.core import UUID
from bumble.device import Connection, Device
from bumble.keys import PairingKeys
from bumble.pairing import PairingConfig

from .bonding import Display, Secrets
from .program import ANSWER_SECONDS, Program

if TYPE_CHECKING:
    from .air import Air

# Events and flags as MicroPython's documentation of `bluetooth` numbers them.
CONNECT, DISCONNECT, WRITE, MTU, ENCRYPTION, PASSKEY = 1, 2, 3, 21, 28, 31
DISPLAY = 3
PROPERTIES = 0xFF
READ_ENCRYPTED, READ_AUTHENTICATED, WRITE_ENCRYPTED, WRITE_AUTHENTICATED = 0x200, 0x400, 0x1000, 0x2000
DEFAULT_SIZE = 20  # bytes of a value that nothing else was said about
LARGEST = 512  # of any value (Core Specification 5.4, volume 3, part F, 3.2.9)
BUFFERS = 12  # notifications that may wait for the next connection event
INTERVAL = 0.0075  # seconds between two of them


def random_address(seed: bytes) -> hci.Address:
    """Return the static random address that six bytes stand for."""
    return hci.Address(bytes([*seed[:5], seed[5] | 0xC0]), hci.Address.RANDOM_DEVICE_ADDRESS)


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


class Radio:
    """What one board's calls stand for. Everything runs in the air's loop."""

    def __init__(self, air: Air, writer: asyncio.StreamWriter) -> None:
        self._air = air
        calls = {
            "active": self._active,
            "config": self._config,
            "mac": self._mac,
            "gap_advertise": self._gap_advertise,
            "gap_disconnect": self._gap_disconnect,
            "gap_passkey": self._gap_passkey,
            "gatts_register_services": self._gatts_register_services,
            "gatts_read": self._gatts_read,
            "gatts_write": self._gatts_write,
            "gatts_set_buffer": self._gatts_set_buffer,
            "gatts_notify": self._gatts_notify,
        }
        self.program = Program(writer, air.spawn, calls)
        self._device: Device | None = None
        self._values: dict[int, Value] = {}
        self._characteristics: dict[int, gatt.Characteristic[Any]] = {}
        self._secure: set[int] = set()  # connections paired by a passkey
        self._securing: dict[int, asyncio.Event] = {}  # set once a connection's program knows how secure it is
        self._passkey: asyncio.Future[int] | None = None
        self._settings: dict[str, Any] = {"mtu": 256, "bond": False, "mitm": False, "io": 3, "le_secure": False}
        self._interval = 0.0  # begin of this connection interval
        self._used = 0  # buffers in it

    def end(self) -> None:
        """The board is gone, at once and without a word."""
        self.program.gone()
        if self._device:
            self._air.vanish(self._device)
            self._device = None

    # ---- calls, by their names in MicroPython

    async def _active(self, on: bool, seed: str) -> None:
        if not on:
            self.end()
            return
        device = await self._air.device("board", random_address(bytes.fromhex(seed)))
        device.keystore = self._secrets = Secrets(self._bonding, self.program.tell)
        device.irk = await self._secrets.identity()
        device.on("connection", self._connected)
        device.pairing_config_factory = self._pairing
        self._device = device

    @property
    def powered(self) -> bool:
        """Whether it is on."""
        return self._device is not None

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
            await self.program.tell(WRITE, connection.handle, characteristic.handle)

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
        display = Display(config["io"], self._show, connection)
        return PairingConfig(sc=config["le_secure"], mitm=config["mitm"], bonding=config["bond"], delegate=display)

    async def _show(self, connection: Connection) -> int:
        await self._secrets.forgotten.wait()
        self._passkey = asyncio.get_running_loop().create_future()
        await self.program.tell(PASSKEY, connection.handle, DISPLAY, 0)
        return await asyncio.wait_for(self._passkey, ANSWER_SECONDS)

    def _connected(self, connection: Connection) -> None:
        handle, address = connection.handle, connection.peer_address
        peer = (int(address.address_type), bytes(address)[::-1])
        self.program.tell_later(CONNECT, handle, *peer)

        def gone(_: int) -> None:
            self._secure.discard(handle)
            if securing := self._securing.pop(handle, None):
                securing.set()
            self.program.tell_later(DISCONNECT, handle, *peer)

        def pairing(*_: Any) -> None:
            self._securing[handle] = asyncio.Event()

        def asked() -> None:
            pairing()
            self._secrets.forgotten.clear()
            self._air.spawn(self._secrets.forget(str(address)))

        def encrypted() -> None:
            # while pairing, the end of pairing says it, when the bond is stored
            if self._device and handle not in self._device.smp_manager.sessions:
                pairing()
                self._air.spawn(self._restored(connection))

        def paired(keys: PairingKeys) -> None:
            self._air.spawn(self._secured(connection, keys, self._bonding(str(connection.peer_address))))

        def failed(_: int) -> None:
            # NimBLE says also then how secure the connection is, which MicroPython passes on
            secure = int(handle in self._secure)
            self.program.tell_later(ENCRYPTION, handle, secure, secure, secure, 16 * secure)
            self._securing[handle].set()

        connection.on(connection.EVENT_DISCONNECTION, gone)
        connection.on(connection.EVENT_CONNECTION_ENCRYPTION_CHANGE, encrypted)
        connection.on(connection.EVENT_PAIRING_START, asked)
        connection.on(connection.EVENT_PAIRING, paired)
        connection.on(connection.EVENT_PAIRING_FAILURE, failed)
        connection.on(
            connection.EVENT_CONNECTION_ATT_MTU_UPDATE, lambda: self.program.tell_later(MTU, handle, connection.att_mtu)
        )

    async def _restored(self, connection: Connection) -> None:
        assert self._device
        assert self._device.keystore
        keys = await self._device.keystore.get(str(connection.peer_address))
        if keys:
            await self._secured(connection, keys, True)

    def _bonding(self, peer: str) -> bool:
        # both sides of a pairing under way want a bond; bumble itself stores every key
        sessions = self._on.smp_manager.sessions.values()
        return any(str(s.connection.peer_address) == peer and s.bonding for s in sessions)

    async def _secured(self, connection: Connection, keys: PairingKeys, bonded: bool) -> None:
        authenticated = bool(keys.ltk and keys.ltk.authenticated)
        if authenticated:
            self._secure.add(connection.handle)
        await self.program.tell(ENCRYPTION, connection.handle, 1, int(authenticated), int(bonded), 16)
        if securing := self._securing.get(connection.handle):
            securing.set()


def _uuid(value: str | int) -> UUID:
    return UUID.from_16_bits(value) if isinstance(value, int) else UUID(value)
