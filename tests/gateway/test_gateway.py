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
from vitalwire.messages import Trust
from vitalwire.session import Duplicate
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Policy


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


@pytest.mark.asyncio
async def test_sinks_get_sealed_groups_only(tmp_path: Path, broker: Mosquitto) -> None:
    """Frames with a MAC are durable and acknowledged at once, go out when a signature seals them, in order, over a
    restart of the gateway too, and never as signed."""
    device = FakeDevice("walk", policy=Policy.SEAL, group=4)
    device.secret = SECRET
    with Board(device, SECRET) as walk, Listener(broker) as listener:
        site = Site(tmp_path, device)
        site.configure(connect_to(walk), mqtt_to(broker.port))
        raws = list(journal(device, 13))
        async with site.running():
            walk.send(*raws)
            await site.until(lambda: not walk.journal)
            came = await asyncio.to_thread(listener.take, 10)
        assert [message.payload for message in came] == raws[:10]
        assert not [entry for event in site.of(Delivered) for entry in event.entries if entry.seq > 10]
        async with site.running():
            raws.append(device.sampled())
            walk.send(raws[13])
            await site.until(lambda: not walk.journal)
            came += await asyncio.to_thread(listener.take, 4)
    assert [message.payload for message in came] == raws
    trusts = {entry.seq: entry.trust for event in site.of(Spooled) for entry in event.entries}
    assert trusts == {seq: Trust.SIGNED if seq in (1, 2, 6, 10, 14) else Trust.SEALED for seq in range(1, 15)}
