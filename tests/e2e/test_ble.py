"""A whole virtual board read over Bluetooth LE by the SDK, through bumble: nothing lost, nothing twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
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

# The module that stands for the chip's `bluetooth` takes heap on this computer, and words are twice as long.
HEAP = 160 * 1024


@pytest.fixture
def air() -> Iterator[Air]:
    """The air between boards and centrals."""
    with Air() as air:
        yield air


@pytest.fixture
def run(air: Air, bench: Callable[..., Any]) -> Callable[..., Any]:
    """Start boards with a radio."""

    def start(links: list[str], **options: Any) -> Any:
        return bench({"links": links}, radio=air.address, heap=HEAP, **options)

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
    """Every frame of a board arrives, verifies and has the samples played, however small the pieces are."""
    running = run(["ble"], speed=20.0)
    central = Central(air, passkey=crypto.passkey(running.identity.secret, running.thumbprint))
    recorder = Recorder(Ble("virtual", finding(central)), running.registry, tmp_path)
    for number, central.mtu in enumerate((23, 185, 247, 512)):
        recorder.run(until(8.0 * (number + 1)))
    whole(recorder, running)
    assert unharmed(recorder.in_order(), running.board.played()) > 15_000


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
