"""A stand-in for BlueZ on a D-Bus of the test's own: an adapter, and devices that are heard once somebody listens.

bleak meets it as it meets Linux's Bluetooth (names: BlueZ's doc/org.bluez.Adapter.rst and org.bluez.Device.rst). Needs
Debian's dbus-daemon.
"""

from __future__ import annotations

import asyncio
import subprocess
import threading
from types import TracebackType
from typing import Any

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

MANAGER, ADAPTER, DEVICE = "org.freedesktop.DBus.ObjectManager", "org.bluez.Adapter1", "org.bluez.Device1"
PATH = "/org/bluez/hci0"
INTERVAL = 0.1  # seconds between two advertisements


class Bluez:
    """A bus, and on it BlueZ if it has adapters; a context manager. `heard` are (address, name, rssi, services)."""

    def __init__(self, *heard: tuple[str, str, int, list[str]], adapter: bool = True, powered: bool = True) -> None:
        self.asked: dict[str, Any] = {}  # the filter of who listens
        self._heard = heard
        self._listening = False
        roles, off = Variant("as", ["central"]), Variant("b", False)
        facts = {"Address": Variant("s", "00:00:00:00:00:01"), "Powered": Variant("b", powered), "Roles": roles}
        self._objects = {PATH: {ADAPTER: facts | {"Discovering": off}}} if adapter else {}

    def __enter__(self) -> Bluez:
        command = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1"]
        self._daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._daemon.stdout
        self.address = self._daemon.stdout.readline().strip()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._daemon.kill()
        self._daemon.communicate()

    async def _serve(self) -> None:
        self._bus = await MessageBus(bus_address=self.address).connect()
        self._bus.add_message_handler(self._answer)
        await self._bus.request_name("org.bluez")

    async def _leave(self) -> None:
        self._bus.disconnect()
        await self._bus.wait_for_disconnect()

    def _answer(self, message: Message) -> Message | None:
        if message.message_type != MessageType.METHOD_CALL:
            return None
        if message.interface == MANAGER:
            return Message.new_method_return(message, "a{oa{sa{sv}}}", [self._objects])
        if message.interface != ADAPTER:
            return None
        if message.member == "SetDiscoveryFilter" and message.body[0]:
            self.asked = {name: value.value for name, value in message.body[0].items()}
        elif message.member == "StartDiscovery":
            self._listening = True
            self._loop.call_soon(self._tell)
        elif message.member == "StopDiscovery":
            self._listening = False
        return Message.new_method_return(message)

    def _tell(self) -> None:
        if not (self._listening and self._bus.connected):
            return
        for address, name, rssi, services in self._heard:
            facts = {
                "Adapter": Variant("o", PATH),
                "Address": Variant("s", address),
                "Alias": Variant("s", name),
                "Name": Variant("s", name),
                "RSSI": Variant("n", rssi),
                "UUIDs": Variant("as", services),
            }
            path = f"{PATH}/dev_{address.replace(':', '_')}"
            self._bus.send(Message.new_signal("/", MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, {DEVICE: facts}]))
        self._loop.call_later(INTERVAL, self._tell)
