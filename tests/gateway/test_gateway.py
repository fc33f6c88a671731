"""The gateway as a whole: boards on one side, a real broker on the other, and what is acknowledged in between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakeboard import Board
from tests.gateway.site import SECRET, Site, connect_to, journal, mqtt_to, received
from tests.mosquitto import Listener, Mosquitto

from vitalwire.gateway import Concluded, Delivered, Spooled
from vitalwire.session import Duplicate
from vitalwire.testing import FakeDevice


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Return a broker of the test's own."""
    with Mosquitto(tmp_path / "broker") as started:
        yield started


@pytest.mark.asyncio
async def test_frames_go_through_and_are_acknowledged(tmp_path: Path, broker: Mosquitto) -> None:
    """What boards hold arrives at the broker, byte for byte and in order, and their journals become empty."""
    devices = [FakeDevice("walk"), FakeDevice("bed")]
    with Board(devices[0], SECRET) as walk, Board(devices[1], SECRET) as bed, Listener(broker) as listener:
        site = Site(tmp_path, *devices)
        site.configure(connect_to(walk, bed), mqtt_to(broker.port))
        raws = [journal(device, 20) for device in devices]
        walk.send(*raws[0])
        bed.send(*raws[1])
        async with site.running():
            await site.until(lambda: not walk.journal and not bed.journal)
            live = devices[0].sampled()
            walk.send(live)
            await site.until(lambda: not walk.journal)
            came = await asyncio.to_thread(listener.take, 41)
    assert [message.payload for message in came if "walk" in message.topic] == [*raws[0], live]
    assert [message.payload for message in came if "bed" in message.topic] == raws[1]
    spooled = [entry for event in site.of(Spooled) for entry in event.entries]
    assert sorted(entry.digest for event in site.of(Delivered) for entry in event.entries) == sorted(
        entry.digest for entry in spooled
    )
    assert received(site, [message.payload for message in came]) == {
        "walk": list(range(1, 22)),
        "bed": list(range(1, 21)),
    }


@pytest.mark.asyncio
async def test_a_device_on_two_sources_is_delivered_once(tmp_path: Path, broker: Mosquitto) -> None:
    """The same frames through two doors are one delivery, and both are told that they are durable."""
    device = FakeDevice("walk")
    with Board(device, SECRET) as one, Board(device, SECRET) as two, Listener(broker) as listener:
        site = Site(tmp_path, device)
        site.configure(connect_to(one, name="one"), connect_to(two, name="two"), mqtt_to(broker.port))
        raws = journal(device, 30)
        one.send(*raws)
        two.send(*raws)
        async with site.running():
            await site.until(lambda: not one.journal and not two.journal)
            came = await asyncio.to_thread(listener.take, 30)
            last = device.sampled()
            two.send(last)
            came += await asyncio.to_thread(listener.take, 1)
    assert [message.payload for message in came] == [*raws, last]
    assert [event for event in site.of(Concluded) if isinstance(event.outcome, Duplicate)]
