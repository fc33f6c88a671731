"""How a virtual board pairs, and where its bonds are: the board's program shows the passkey, and keeps the secrets."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from bumble import hci
from bumble.device import Connection
from bumble.keys import KeyStore, PairingKeys
from bumble.pairing import PairingDelegate

# Events and kinds of secrets as MicroPython's documentation of `bluetooth` numbers them.
GET_SECRET, SET_SECRET = 29, 30
OUR_SECRET, PEER_SECRET, OUR_IDENTITY = 1, 2, 10


class Display(PairingDelegate):
    """Pairing as a board with nothing but a label does it; `io` is what it said it can show or read."""

    def __init__(self, io: int, passkey: Callable[[Connection], Awaitable[int]], connection: Connection) -> None:
        super().__init__(PairingDelegate.IoCapability(io))
        self._passkey = passkey
        self._connection = connection

    async def generate_passkey(self) -> int:
        """Return what the board says."""
        return await self._passkey(self._connection)


class Secrets(KeyStore):
    """The bonds, which the board's program keeps: a byte of flags, the long-term key, the identity key."""

    def __init__(self, bonding: Callable[[str], bool], tell: Callable[..., Awaitable[Any]]) -> None:
        self._bonding = bonding
        self._tell = tell
        self.forgotten = asyncio.Event()  # while it is clear, an old bond is being deleted
        self.forgotten.set()

    async def identity(self) -> bytes:
        """Return the board's identity key, which is made where it has none, as MicroPython does when it starts."""
        name = b"irk"
        if found := await self._tell(GET_SECRET, OUR_IDENTITY, 0, name):
            return bytes.fromhex(found)
        made = secrets.token_bytes(16)
        await self._tell(SET_SECRET, OUR_IDENTITY, name, made)
        return made

    async def forget(self, name: str) -> None:
        """Have the board delete a bond, because somebody at this address asks to pair, as NimBLE does."""
        try:
            for kind in (OUR_SECRET, PEER_SECRET):
                while await self._tell(SET_SECRET, kind, _key(name), None):
                    pass
        finally:
            self.forgotten.set()

    async def update(self, name: str, keys: PairingKeys) -> None:
        """Have the board store a bond, as its own secret and as the peer's."""
        await self.forgotten.wait()
        if not self._bonding(name):
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
