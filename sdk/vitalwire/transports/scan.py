"""Which boards advertise over Bluetooth LE, as this computer hears them. Connects to none; a name proves nothing.

Needs the extra `vitalwire[ble]`. Whatever else hears advertisements may take bleak's place: a `Listen`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from vitalwire.errors import TransportError, UsageError
from vitalwire_protocol import spec

from .adapter import library, trouble

LISTEN_SECONDS = 10.0  # a board advertises every 1.6 s at least, and some of that goes by unheard
GRACE = 15.0  # seconds that the system's Bluetooth has to begin and end
MOST = 200  # boards that are told of
UNKNOWN = 127  # dBm that say nothing: BlueZ's with a minus, the Core Specification's without
# bytes of a name in an advertisement: 31, less length and kind (Core Specification 5.4, volume 3, part C, 11)
NAME = 29


@dataclass(frozen=True, slots=True)
class Heard:
    """What advertises: name ("" if it tells none), address as this system shows it, signal, UUIDs of services."""

    name: str
    address: str
    dbm: int | None
    services: frozenset[str]  # lower case


# Listens for so many seconds, and returns what advertised meanwhile.
Listen = Callable[[float], Awaitable[Iterable[Heard]]]


def advertised(name: str) -> str:
    """Return a board's name as it advertises it: what there is room for."""
    return name.encode()[:NAME].decode(errors="ignore")


async def hear(seconds: float) -> list[Heard]:
    """Do so by bleak."""
    scanner = library().BleakScanner
    found = await scanner.discover(seconds, return_adv=True, service_uuids=[spec.BLE_SERVICE])
    return [
        Heard(
            said.local_name or device.name or "",
            device.address,
            said.rssi if abs(said.rssi) < UNKNOWN else None,
            frozenset(said.service_uuids),
        )
        for device, said in found.values()
    ]


def nearby(seconds: float = LISTEN_SECONDS, listen: Listen = hear) -> list[Heard]:
    """Return the boards that advertise within `seconds`, the strongest signal first, 200 at most.

    Raises TransportError, with what to do, where this computer's Bluetooth cannot listen, and UsageError where bleak is
    not installed. A board that somebody is connected to, or whose radio is off for now, is silent. Runs a loop of its
    own: from a coroutine call it in a thread.
    """
    try:
        heard = asyncio.run(_within(listen, seconds))
    except (TransportError, UsageError):
        raise
    except TimeoutError:
        raise TransportError("this computer's Bluetooth does not answer", advice="turn it off and on") from None
    except Exception as error:  # each system's Bluetooth raises errors of its own
        raise trouble(error) from None
    boards = [each for each in heard if spec.BLE_SERVICE in each.services]
    return sorted(boards, key=lambda each: (each.dbm is None, -(each.dbm or 0), each.name, each.address))[:MOST]


async def _within(listen: Listen, seconds: float) -> Iterable[Heard]:
    async with asyncio.timeout(seconds + GRACE):
        return await listen(seconds)
