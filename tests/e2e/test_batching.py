"""Boards whose radio is on now and then: off in between, on at once for what must not wait, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.central import Central, finding
from tests.mosquitto import Mosquitto
from tests.waiting import wait

from vitalwire import crypto
from vitalwire.configuration import Configuration, configure, from_words, sign_configuration
from vitalwire.control import TimeMeasured
from vitalwire.gateway import Concluded, GatewayEvent, SourceChanged
from vitalwire.gateway.sources.streams import STOPPED
from vitalwire.session import SecurityEvent
from vitalwire.transports.ble import Ble
from vitalwire.verdict import verify
from vitalwire_protocol.spec import Event
from vitalwire_tools.virtual.air import Air

from .board_log import until
from .reader import Recorder, captured
from .test_configuration import OPERATOR, PUBLIC
from .ward import NOWHERE, Ward, subscribed

SPEED = 10.0


class Ether:
    """A Wi-Fi network for a ward's boards, and when the radio of the one there is was on, by that board's clock."""

    def __init__(self, ward: Ward) -> None:
        self._ward = ward
        self._file = ward.folder / "air"
        self._file.write_text("ward\npassword")

    def board(self, link: str, batch_s: int, **options: Any) -> None:
        """Start a board that goes by it."""
        self._ward.board(
            [link],
            lambda identity: {**self._ward.authority.device(identity), "ssid": b"ward", "psk": b"password"},
            {"batch_s": batch_s, "frame_ms": 2000},
            speed=SPEED,
            extra={"AIR": str(self._file)},
            **options,
        )

    def switched(self) -> list[float]:
        """Return when it went on, off, on ..., in seconds."""
        log = Path(f"{self._file}.log")
        rows = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
        assert [on for _, on in rows] == ["1", "0"] * (len(rows) // 2) + ["1"] * (len(rows) % 2)
        return [int(at) / 1e6 for at, _ in rows]

    async def until(self, times: int) -> None:
        """Wait until it was switched so many times."""
        await self._ward.site.until(lambda: len(self.switched()) >= times)


def ended(events: list[GatewayEvent]) -> Iterator[list[GatewayEvent]]:
    """Yield what was told in each connection that the board ended."""
    batch: list[GatewayEvent] = []
    for event in events:
        if isinstance(event, SourceChanged) and event.peer:
            if not event.up and event.why != STOPPED:
                yield batch
            batch = []
        batch.append(event)


def timed(events: list[GatewayEvent]) -> int:
    """Return in how many of them the board's time was measured, which takes a command."""
    return sum(any(isinstance(each, TimeMeasured) for each in outcomes(batch)) for batch in ended(events))


def outcomes(events: list[GatewayEvent]) -> list[object]:
    """Return what was concluded."""
    return [event.outcome for event in events if isinstance(event, Concluded)]


@pytest.fixture
def ether(ward: Ward) -> Ether:
    """The network of a ward."""
    return Ether(ward)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["tls", "mqtts"])
async def test_the_radio_is_on_now_and_then(ward: Ward, ether: Ether, hub: Mosquitto, kind: str) -> None:
    """In between it is off, and nobody is connected; everything comes once, after a gateway's absence too, which costs
    no start; and in each batch there is room for commands, by which the gateway measures the board's time."""
    port, source = (ward.port, ward.listen()) if kind == "tls" else (hub.port, subscribed(ward, hub))
    ward.site.configure(source, NOWHERE)
    ether.board(f"{kind}://localhost:{port}", batch_s=25)
    async with ward.site.running():
        await ether.until(5)
        await ward.whole(20)
        if kind == "tls":
            await ward.site.until(lambda: timed(ward.site.events) >= 2)
    away = len(ether.switched())
    await ether.until(away + 1)
    async with ward.site.running():
        await ward.whole(len(ward.seqs()) + 20)
    assert ether.switched() == sorted(ether.switched())
    assert len([event for event in ward.events() if event.code == Event.BOOT]) == 1
    assert not [each for each in outcomes(ward.site.events) if isinstance(each, SecurityEvent)]


@pytest.mark.asyncio
async def test_what_must_not_wait_goes_at_once(ward: Ward, ether: Ether) -> None:
    """A low battery is told when it is found, hours before the next batch would be; then the radio is off again."""
    low = {"chip": "adc", "fault": "voltage", "mv": 3000, "at_s": 100, "for_s": 15}
    ward.site.configure(ward.listen(), NOWHERE)
    ether.board(f"tls://localhost:{ward.port}", batch_s=7200, faults=(low,))
    async with ward.site.running():
        await ether.until(4)
        assert [event.code for event in ward.events()].count(Event.LOW_BATTERY) == 1
    _, off, again, _ = ether.switched()
    assert off < 100 < again < 160


@pytest.mark.asyncio
async def test_a_journal_half_full_does_not_wait(ward: Ward, ether: Ether) -> None:
    """Once more than half of the journal holds frames that nobody has, they are delivered; none is given up."""
    ward.site.configure(ward.listen(), NOWHERE)
    ether.board(f"tls://localhost:{ward.port}", batch_s=86_400, sectors=24)
    async with ward.site.running():
        await ether.until(6)
        await ward.whole(40)
    assert not [event for event in ward.events() if event.code == Event.DROPPED]


# ---------------------------------------------------------------- Bluetooth


def test_over_bluetooth_by_configuration(air: Air, bench: Callable[..., Any], tmp_path: Path) -> None:
    """An operator has the radio on now and then, and always again, without a start: between two batches nothing is on
    the air, bonds outlive that, a reader that waits gets everything, once."""
    running = bench({"links": ["serial", "ble"]}, operator=PUBLIC, radio=air.address, speed=SPEED)
    central = Central(air, passkey=crypto.passkey(running.identity.secret, running.thumbprint))
    wire = Recorder(running.board.url, running.registry, tmp_path)

    def set_to(version: int, seconds: int) -> None:
        settings = from_words([f"batch_s={seconds}"])
        with wire.client() as client:
            configure(client, sign_configuration(Configuration(running.thumbprint, version, settings), OPERATOR))

    wait(lambda: air.radios == 1)
    set_to(1, 25)
    recorder = Recorder(Ble("virtual", finding(central)), running.registry, tmp_path)
    for seconds in (50.0, 90.0):
        recorder.run(until(seconds), whole=False)
        wait(lambda: not air.radios)
        wait(lambda: air.radios == 1)
    set_to(2, 0)
    recorder.run(until(120.0))
    wait(lambda: air.radios == 1)
    time.sleep(2)
    assert air.radios == 1
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device
    assert central.pairings == 1
    assert {frame.boot for frame in recorder.frames} == {1}
