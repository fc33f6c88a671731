"""A whole virtual board read over Bluetooth LE by the SDK, through bumble: nothing lost, nothing twice."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.central import Central, finding

from vitalwire import crypto
from vitalwire.client import Disconnected
from vitalwire.session import SecurityEvent
from vitalwire.transports.ble import Ble
from vitalwire.verdict import verify
from vitalwire_protocol import spec
from vitalwire_tools.virtual.air import Air

from .board_log import unharmed, until
from .reader import Recorder, captured


@pytest.fixture
def run(air: Air, bench: Callable[..., Any]) -> Callable[..., Any]:
    """Start boards with a radio."""

    def start(links: list[str], more: dict[str, Any] | None = None, **options: Any) -> Any:
        return bench({"links": links, **(more or {})}, radio=air.address, **options)

    return start


def whole(recorder: Recorder, running: Any) -> Any:
    """Hold that what was recorded is everything the board made, once each; return what is said of the device."""
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device
    assert device.duplicates == 0
    assert device.verified + device.burned == device.head
    assert not recorder.told(SecurityEvent)
    return device


def test_frames_come_whole_at_every_mtu(air: Air, run: Callable[..., Any], tmp_path: Path) -> None:
    """Every frame of a board arrives, verifies and has the samples played, however small the pieces are; and by default
    a central that is not bonded finds none of the services that anybody could read."""
    running = run(["ble"], speed=20.0)
    central = Central(air, passkey=crypto.passkey(running.identity.secret, running.thumbprint))
    recorder = Recorder(Ble("virtual", finding(central)), running.registry, tmp_path)
    for number, central.mtu in enumerate((23, 185, 247, 512)):
        recorder.run(until(8.0 * (number + 1)))
    whole(recorder, running)
    assert unharmed(recorder.in_order(), running.board.played()) > 15_000
    found = {service.uuid.to_hex_str() for service in air.run(Central(air, number=2).connect()).peer.services}
    assert spec.BLE_SERVICE.replace("-", "").upper() in found
    assert not found & {"180D", "1822", "180F", "180A"}


def test_connections_lost_in_the_midst_of_frames_lose_none(air: Air, run: Callable[..., Any], tmp_path: Path) -> None:
    """Connections end after a random number of notifications, mostly within a frame; every frame still comes once."""
    chance = random.Random(1)
    running = run(["ble"], speed=10.0)
    passkey = crypto.passkey(running.identity.secret, running.thumbprint)
    central = Central(air, mtu=100, passkey=passkey)
    cuts = 6

    async def find(target: str, lost: Callable[[], None]) -> Any:
        bridge = await finding(central)(target, lost)
        left, subscribe = chance.randrange(5, 40), bridge.start_notify

        async def start_notify(char: str, callback: Callable[[Any, bytearray], None]) -> None:
            def take(sender: Any, data: bytearray) -> None:
                nonlocal left
                left -= 1
                callback(sender, data)
                if not left and central.connections <= cuts:
                    air.spawn(bridge.gatt.disconnect())

            await subscribe(char, take)

        bridge.start_notify = start_notify
        return bridge

    recorder = Recorder(Ble("virtual", find), running.registry, tmp_path)
    recorder.run(lambda frames: central.connections > cuts and until(10.0)(frames))
    assert len(recorder.told(Disconnected)) >= cuts
    whole(recorder, running)
    unharmed(recorder.in_order(), running.board.played())
    assert central.pairings == 1


def test_power_cuts_lose_nothing_over_the_air(air: Air, run: Callable[..., Any], tmp_path: Path) -> None:
    """A board that loses its power comes back with its bonds and its frames: each number is delivered or burned."""
    running = run(["ble"], speed=10.0)
    central = Central(air, passkey=crypto.passkey(running.identity.secret, running.thumbprint))
    recorder = Recorder(Ble("virtual", finding(central)), running.registry, tmp_path)
    for boot in (1, 2, 3):
        recorder.run(until(6.0, boot=boot))
        if boot < 3:
            running.board.power_cut()
            running.board.power_on()
    assert whole(recorder, running).burned == 2
    assert central.pairings == 1


def test_two_links_at_once(air: Air, run: Callable[..., Any], tmp_path: Path) -> None:
    """A bonded central that grants nothing holds up nobody: the serial port's reader gets every frame. What that one
    acknowledges is not sent over the air afterwards, where the rest comes, once."""
    running = run(["serial", "ble"], speed=20.0)
    central = Central(air, passkey=crypto.passkey(running.identity.secret, running.thumbprint))
    heard: list[bytes] = []
    gatt = air.run(central.find("", lambda: None))
    air.run(gatt.start_notify(spec.BLE_FROM_DEVICE, lambda _, data: heard.append(bytes(data))))
    air.run(gatt.write_gatt_char(spec.BLE_CONTROL, bytes([1, 0, 0, 0, 0]), response=True))
    air.run(gatt.write_gatt_char(spec.BLE_TO_DEVICE, b"\0\1\2\3\0" * 40, response=True))
    first = Recorder(running.board.url, running.registry, tmp_path)
    first.run(until(20.0))
    whole(first, running)
    assert not heard
    air.run(gatt.disconnect())
    (tmp_path / "air").mkdir()
    second = Recorder(Ble("virtual", finding(central)), running.registry, tmp_path / "air")
    second.run(until(30.0), whole=False)
    one, two = (
        {frame.seq for frame in reader.frames if frame.kind != spec.Kind.DESCRIPTOR} for reader in (first, second)
    )
    assert not one & two
    assert one | two >= set(range(2, max(two) + 1))


def test_any_app_reads_the_standard_services(air: Air, run: Callable[..., Any], tmp_path: Path) -> None:
    """Without a bond: what is not known yet is said to be unknown; then rate, SpO2 and charge as their specifications
    have them. A second central is bonded meanwhile and reads every frame."""
    running = run(["ble"], more={"public_vitals": True}, speed=5.0)
    app = Central(air, number=7)
    gatt = air.run(app.connect())
    heard: dict[str, list[bytes]] = {char: [] for char in ("2A37", "2A5F", "2A19")}
    for char, values in heard.items():
        air.run(gatt.start_notify(char, lambda _, data, values=values: values.append(bytes(data))))
    assert air.run(gatt.read("2A60")) == b"\x01\x00\x20\x20"
    assert air.run(gatt.read("2A24")) == b"virtual"
    assert air.run(gatt.read("2A26")).startswith(b"vitalwire ")
    passkey = crypto.passkey(running.identity.secret, running.thumbprint)
    recorder = Recorder(Ble("virtual", finding(Central(air, passkey=passkey))), running.registry, tmp_path)
    recorder.run(until(32.0))
    whole(recorder, running)
    rates, oximetry, charge = heard.values()
    assert rates[0] == b"\x04\x00"  # contact is known, and there is none
    assert {flags for flags, _ in rates} == {4, 6}
    assert all(60 <= rate <= 80 for flags, rate in rates if flags == 6)
    assert oximetry[0] == bytes.fromhex("04 ff07 ff07 0020")  # two NaN, measurement unavailable
    known = [value for value in oximetry if value[5:] == bytes.fromhex("2000")]
    assert known
    for value in known:
        spo2, pulse = int.from_bytes(value[1:3], "little"), int.from_bytes(value[3:5], "little")
        assert value[0] == 4
        assert 82 <= spo2 <= 95
        assert 70 <= pulse <= 95
    assert len(charge) == 1
    assert 90 <= charge[0][0] <= 100
    assert air.run(gatt.read("2A19")) == charge[0]
