"""The SDK's Bluetooth transport over a bumble central, against the device's own link under MicroPython."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tests.bledevice import PASSKEY, Device
from tests.central import Central, finding
from tests.waiting import FAR, wait

from vitalwire import transports
from vitalwire.errors import TransportError, UsageError
from vitalwire.transports import ble
from vitalwire_tools.virtual.air import Air

PERIOD = bytes(range(256)) * 64


def read(transport: ble.Ble, size: int) -> bytes:
    """Read so many bytes."""
    data, end = b"", time.monotonic() + FAR
    while len(data) < size:
        data += transport.read(0.1) or b""
        assert time.monotonic() < end, len(data)
    return data


@pytest.mark.parametrize("mtu", [23, 185, 247, 517])
def test_bytes_pass_both_ways(air: Air, bledevice: Device, mtu: int) -> None:
    """A stream far longer than one grant arrives whole, and so does one that is written in many pieces."""
    transport = ble.Ble("ward 7", finding(Central(air, mtu=mtu, passkey=PASSKEY)))
    transport.open()
    bledevice.do(f"going.extend({PERIOD!r})")
    assert read(transport, len(PERIOD)) == PERIOD
    assert transport.arrived_us is not None
    transport.write(PERIOD[:700])
    bledevice.until("bytes(came)", PERIOD[:700])
    transport.close()
    bledevice.until("ble._centrals", {})


def test_a_reader_that_stops_holds_the_device(air: Air, bledevice: Device) -> None:
    """While nobody reads, the device sends what was granted and keeps the rest."""
    transport = ble.Ble("ward 7", finding(Central(air, mtu=23, passkey=PASSKEY)))
    transport.open()
    bledevice.do(f"going.extend({PERIOD!r})")
    bledevice.until("sent", 20 * ble.GRANT)
    time.sleep(0.2)
    assert bledevice.do("sent") == 20 * ble.GRANT
    assert read(transport, len(PERIOD)) == PERIOD
    transport.close()


def test_what_nobody_granted_is_not_kept() -> None:
    """A device that sends more than it may while nobody reads fills no memory, and its next bytes are read."""
    notified: list[Callable[[Any, bytearray], None]] = []

    class Flooding:
        mtu_size = 247

        async def start_notify(self, char: str, callback: Callable[[Any, bytearray], None]) -> None:
            notified.append(callback)

        async def write_gatt_char(self, char: str, data: bytes, response: bool) -> None:
            pass

        async def disconnect(self) -> None:
            pass

    async def find(target: str, lost: Callable[[], None]) -> Flooding:
        return Flooding()

    transport = ble.Ble("ward 7", find)
    transport.open()
    for _ in range(10 * ble.GRANT):
        notified[0](None, bytearray(b"x"))
    assert transport.read(0) == bytes(ble.GRANT).replace(b"\0", b"x")
    notified[0](None, bytearray(b"next"))
    assert transport.read(0) == b"next"
    transport.close()


def test_a_lost_device_is_an_error_and_comes_back(air: Air, bledevice: Device) -> None:
    """A device that dies is a TransportError for reader and writer; the same transport opens again with its bond."""
    central = Central(air, passkey=PASSKEY)
    transport = ble.Ble("ward 7", finding(central))
    transport.open()
    bledevice.do("ble._ble.active(False)")
    with pytest.raises(TransportError, match="lost ward 7"):
        read(transport, 1)
    with pytest.raises(TransportError, match="not connected"):
        transport.write(b"x")
    bledevice.begin()
    transport.open()
    bledevice.do("going.extend(b'back')")
    assert read(transport, 4) == b"back"
    assert central.pairings == 1
    transport.close()
    transport.close()


def test_who_cannot_be_had_is_an_error(air: Air, bledevice: Device) -> None:
    """A refused passkey, or a device that does not advertise, is a TransportError; nothing keeps running."""
    threads = threading.active_count()
    transport = ble.Ble("ward 7", finding(Central(air, passkey=PASSKEY + 1)))
    with pytest.raises(TransportError, match="cannot connect to ward 7"):
        transport.open()
    wait(lambda: threading.active_count() <= threads)


def test_a_device_that_lost_its_bonds(air: Air, bledevice: Device) -> None:
    """A central that still has a bond which the device has lost is refused, with what to do: pair again."""
    central = Central(air, passkey=PASSKEY)
    transport = ble.Ble("ward 7", finding(central))
    transport.open()
    transport.close()
    bledevice.do("ble._ble.active(False); hal.kept.clear()")
    bledevice.begin()
    with pytest.raises(TransportError, match="cannot connect to ward 7") as caught:
        transport.open()
    assert "pair again" in caught.value.advice
    central.forget()
    transport.open()
    bledevice.do("going.extend(b'new')")
    assert read(transport, 3) == b"new"
    assert central.pairings == 2
    transport.close()


def test_an_opening_can_be_ended(air: Air) -> None:
    """Closing from another thread ends a search for a device that is not there, also one that is slow to give up."""
    begun = threading.Event()
    search = finding(Central(air, passkey=PASSKEY))

    async def find(target: str, lost: Callable[[], None]) -> ble.Client:
        begun.set()
        try:
            return await search(target, lost)
        finally:
            await asyncio.sleep(0.2)

    transport = ble.Ble("nobody", find)
    failed: list[Exception] = []

    def run() -> None:
        try:
            transport.open()
        except TransportError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(FAR)
    transport.close()
    thread.join(FAR)
    assert not thread.is_alive()
    assert failed


def test_closed_before_it_opens(air: Air, bledevice: Device) -> None:
    """Who closes a transport before another thread has begun to open it ends that opening, and only that one."""
    central = Central(air, passkey=PASSKEY)
    transport = ble.Ble("ward 7", finding(central))
    transport.close()
    with pytest.raises(TransportError, match="closed before it was opened"):
        transport.open()
    assert central.connections == 0
    transport.open()
    transport.close()
    transport.close()
    transport.open()
    assert central.connections == 2
    transport.close()


def test_addresses_name_a_device() -> None:
    """`ble://NAME` is a transport; no name, or an option, is a usage error."""
    assert isinstance(transports.from_url("ble://ward%207"), ble.Ble)
    for url in ("ble://", "ble://x?speed=1"):
        with pytest.raises(UsageError):
            transports.from_url(url)


@pytest.mark.parametrize("target", ["24:71:89:cc:09:05", "x" * 40, "strap"])
def test_bleak_is_asked_for_the_device_and_left(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device is found by its address in any case, or by its name as far as that is advertised; where pairing fails
    the connection is ended, because nobody else knows of it."""
    bleak = pytest.importorskip("bleak")
    left: list[object] = []

    class Client:
        def __init__(self, device: object, **_: object) -> None:
            self._device = device

        async def connect(self) -> None: ...

        async def pair(self) -> None:
            raise bleak.exc.BleakError("authentication failed")

        async def disconnect(self) -> None:
            left.append(self._device)

    async def search(fits: Callable[[Any, Any], bool], **_: object) -> object:
        there = [("24:71:89:CC:09:05", "x" * 29), ("24:71:89:CC:09:06", "strap"), ("24:71:89:CC:09:07", "")]
        return [
            row for row in there if fits(SimpleNamespace(address=row[0], name=None), SimpleNamespace(local_name=row[1]))
        ]

    monkeypatch.setattr(bleak, "BleakClient", Client)
    monkeypatch.setattr(bleak.BleakScanner, "find_device_by_filter", search)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(TransportError, match="authentication failed"):
        ble.Ble(target).open()
    assert left == [[("24:71:89:CC:09:06", "strap") if target == "strap" else ("24:71:89:CC:09:05", "x" * 29)]]


def test_bleak_has_what_the_transport_uses() -> None:
    """Every method of the client protocol is one of bleak's, with the arguments the transport gives."""
    bleak = pytest.importorskip("bleak")
    for name in ("mtu_size", "start_notify", "write_gatt_char", "connect", "pair", "disconnect"):
        assert hasattr(bleak.BleakClient, name)
    assert hasattr(bleak.BleakScanner, "find_device_by_filter")
