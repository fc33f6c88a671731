"""A virtual central: bumble's device on the air of virtual boards, with the names that the SDK's transport asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from bumble.core import UUID, AdvertisingData
from bumble.device import Advertisement, Connection, Device, Peer
from bumble.gatt_client import CharacteristicProxy
from bumble.hci import Address
from bumble.keys import MemoryKeyStore
from bumble.pairing import PairingConfig, PairingDelegate
from tests.waiting import FAR

from vitalwire.transports.ble import Find
from vitalwire.transports.scan import Heard, Listen
from vitalwire_tools.virtual.air import Air

T = TypeVar("T")


class Typing(PairingDelegate):
    """Somebody who types a passkey, or who has no keys to type with."""

    def __init__(self, passkey: int | None) -> None:
        kinds = PairingDelegate.IoCapability
        super().__init__(kinds.NO_OUTPUT_NO_INPUT if passkey is None else kinds.KEYBOARD_INPUT_ONLY)
        self._passkey = passkey

    async def get_number(self) -> int | None:
        """Type it."""
        return self._passkey


class Central:
    """A phone or a gateway: keeps its bonds from one connection to the next. All coroutines run in the air's loop."""

    def __init__(
        self, air: Air, number: int = 1, mtu: int = 517, passkey: int | None = None, bond: bool = True
    ) -> None:
        self.air = air
        self.mtu = mtu
        self.passkey = passkey
        self.bond = bond
        self.pairings = self.connections = 0
        self._address = Address(f"C0:00:00:00:00:{number:02X}")
        self._bonds = MemoryKeyStore()
        self.device: Device | None = None

    async def powered(self) -> Device:
        """Return the device, on."""
        if self.device is None:
            self.device = await self.air.device("central", self._address)
            self.device.keystore = self._bonds
            self.device.pairing_config_factory = lambda _: PairingConfig(
                sc=True, mitm=self.passkey is not None, bonding=self.bond, delegate=Typing(self.passkey)
            )
        return self.device

    async def leave(self) -> None:
        """Go out of reach, with its bonds."""
        if self.device:
            self.air.vanish(self.device)
            self.device = None

    def forget(self) -> None:
        """Remove every board, as its user can."""
        self._bonds.all_keys.clear()

    async def identity(self) -> bytes:
        """Return the identity key of the only board it is bonded with."""
        ((_, keys),) = await self._bonds.get_all()
        assert keys.irk
        return bytes(keys.irk.value)

    async def look(self, seconds: float = 5.0) -> tuple[Address, bytes]:
        """Return address and data of the first advertisement that comes."""
        device = await self.powered()
        seen: asyncio.Future[tuple[Address, bytes]] = asyncio.get_running_loop().create_future()

        def advertised(advertisement: Any) -> None:
            if not seen.done():
                seen.set_result((advertisement.address, advertisement.data_bytes))

        device.on("advertisement", advertised)
        await device.start_scanning(active=True)
        try:
            return await asyncio.wait_for(seen, seconds)
        finally:
            await device.stop_scanning()
            device.remove_listener("advertisement", advertised)

    async def connect(self, lost: Callable[[], None] = lambda: None, seconds: float = FAR) -> Gatt:
        """Connect to the first board that advertises, without pairing."""
        address, _ = await self.look(seconds)
        device = await self.powered()
        connection = await asyncio.wait_for(device.connect(address), seconds)
        connection.on(connection.EVENT_DISCONNECTION, lambda _: lost())
        self.connections += 1
        gatt = Gatt(connection)
        await gatt.discover(self.mtu)
        return gatt

    async def find(self, target: str, lost: Callable[[], None]) -> Gatt:
        """Connect and bond: what the SDK's transport asks for."""
        gatt = await self.connect(lost)
        try:
            if await self._bonds.get(str(gatt.connection.peer_address)):
                await asyncio.wait_for(gatt.connection.encrypt(), FAR)
            else:
                self.pairings += 1
                await asyncio.wait_for(gatt.connection.pair(), FAR)
        except BaseException:
            await gatt.disconnect()
            raise
        return gatt

    async def disconnect_all(self) -> None:
        """End every connection of this central."""
        device = await self.powered()
        for connection in list(device.connections.values()):
            await connection.disconnect()

    async def listen(self, seconds: float) -> list[Heard]:
        """Return what advertises within so many seconds."""
        device = await self.powered()
        found: dict[Address, Heard] = {}

        def advertised(said: Advertisement) -> None:
            kinds = AdvertisingData
            before = found.get(said.address)
            name = said.data.get(kinds.COMPLETE_LOCAL_NAME) or (before.name if before else "")
            told = said.data.get(kinds.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS) or []
            services = {str(uuid.to_hex_str("-")).lower() for uuid in told}
            found[said.address] = Heard(
                str(name), str(said.address), said.rssi, frozenset(services | (before.services if before else set()))
            )

        device.on("advertisement", advertised)
        await device.start_scanning(active=True)
        await asyncio.sleep(seconds)
        await device.stop_scanning()
        device.remove_listener("advertisement", advertised)
        return list(found.values())


class Gatt:
    """A connection to a board's GATT server."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.peer = Peer(connection)

    async def discover(self, mtu: int) -> None:
        """Exchange the MTU and find all there is."""
        if mtu > 23:
            await self.peer.request_mtu(mtu)
        await self.peer.discover_services()
        for service in self.peer.services:
            await service.discover_characteristics()

    @property
    def mtu_size(self) -> int:
        """The ATT MTU."""
        return self.connection.att_mtu

    def characteristic(self, char: str) -> CharacteristicProxy[Any]:
        """Return a characteristic; KeyError if there is none."""
        found = self.peer.get_characteristics_by_uuid(UUID(char))
        if not found:
            raise KeyError(char)
        return found[0]

    async def start_notify(self, char: str, callback: Callable[[Any, bytearray], None], /) -> None:
        """Subscribe."""
        await self.characteristic(char).subscribe(lambda value: callback(char, bytearray(value)))

    async def write_gatt_char(self, char: str, data: bytes, /, response: bool) -> None:
        """Write."""
        await self.characteristic(char).write_value(data, with_response=response)

    async def read(self, char: str) -> bytes:
        """Read."""
        return bytes(await self.characteristic(char).read_value())

    async def disconnect(self) -> None:
        """End the connection, if it has not ended."""
        if self.connection.device.lookup_connection(self.connection.handle) is self.connection:
            await self.connection.disconnect()


class Bridge:
    """A `Gatt` for callers in another loop than the air's: what the SDK's transport takes for bleak's client."""

    def __init__(self, air: Air, gatt: Gatt) -> None:
        self._air = air
        self.gatt = gatt

    @property
    def mtu_size(self) -> int:
        """The ATT MTU."""
        return self.gatt.mtu_size

    async def start_notify(self, char: str, callback: Callable[[Any, bytearray], None], /) -> None:
        """Subscribe; `callback` is called in the air's loop."""
        await self._there(self.gatt.start_notify(char, callback))

    async def write_gatt_char(self, char: str, data: bytes, /, response: bool) -> None:
        """Write."""
        await self._there(self.gatt.write_gatt_char(char, data, response=response))

    async def disconnect(self) -> None:
        """End the connection."""
        await self._there(self.gatt.disconnect())

    async def _there(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._air.loop))


def finding(central: Central) -> Find:
    """Return the client factory that gives the SDK's transport this central."""

    async def find(target: str, lost: Callable[[], None]) -> Bridge:
        work = asyncio.run_coroutine_threadsafe(central.find(target, lost), central.air.loop)
        return Bridge(central.air, await asyncio.wrap_future(work))

    return find


def listening(central: Central) -> Listen:
    """Return the scanner that gives the SDK this central's ears."""

    async def listen(seconds: float) -> list[Heard]:
        work = asyncio.run_coroutine_threadsafe(central.listen(seconds), central.air.loop)
        return await asyncio.wrap_future(work)

    return listen
