"""Frames from a broker: verified once and in order, whatever came twice, late or forged."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from tests.mosquitto import Mosquitto
from tests.waiting import FAR

import vitalwire
from vitalwire.errors import TransportError, UsageError
from vitalwire.registry import Registry
from vitalwire.session import ReplayState
from vitalwire.subscribe import Inbox
from vitalwire.subscribe.inbox import MOST
from vitalwire.testing import FakeDevice, flipped
from vitalwire_protocol.spec import Limit


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Return a broker of the test's own."""
    with Mosquitto(tmp_path / "broker") as started:
        yield started


def enrolled(device: FakeDevice) -> Registry:
    """Return a registry that trusts a device."""
    registry = Registry()
    registry.enrol(device.thumbprint, device.name)
    return registry


def publish(broker: Mosquitto, topic: str, *bodies: bytes) -> None:
    """Publish messages, and wait until the broker has them."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for body in bodies:
        client.publish(topic, body, qos=1).wait_for_publish(FAR)
    client.disconnect()
    client.loop_stop()


def test_what_comes_twice_or_late_comes_out_once_in_order() -> None:
    """A shuffled stream with every frame twice and some forged is each true frame once, in order."""
    device = FakeDevice("walk")
    raws = [device.descriptor(), *(device.status() for _ in range(60))]
    mixed = [*raws[:1], *raws, *raws, *(flipped(raw, -1) for raw in raws[1:9])]
    order = list(range(len(mixed)))
    chance = random.Random(1)
    order.sort(key=lambda place: place + chance.uniform(0, 5))
    inbox = Inbox()
    for place in order:
        assert inbox.put(mixed[place])
    assert inbox.put(bytes(Limit.MAX_FRAME + 1))  # no frame, whatever it is
    inbox.end()
    with vitalwire.connect(inbox, registry=enrolled(device), state=ReplayState(), settle=0.0) as client:
        assert [frame.raw for frame in client] == raws


def test_an_inbox_is_bounded() -> None:
    """Who puts more than is read waits, and nothing is lost."""
    device = FakeDevice("walk")
    raws = [device.descriptor(), *(device.status() for _ in range(1500))]
    inbox = Inbox()

    taken = 0
    while inbox.put(raws[taken], 0.05):  # nobody reads yet
        taken += 1
    assert taken == MOST

    def fill() -> None:
        for raw in raws[taken:]:
            inbox.put(raw)
        inbox.end()

    thread = threading.Thread(target=fill)
    thread.start()
    with vitalwire.connect(inbox, registry=enrolled(device), state=ReplayState(), settle=0.0) as client:
        assert sum(1 for _ in client) == len(raws)
    thread.join()


def test_a_subscription_goes_on_where_it_was(broker: Mosquitto) -> None:
    """A named client gets what was published while it was away, also over a restart of the broker; once in all."""
    device = FakeDevice("walk")
    raws = [device.descriptor(), *(device.status() for _ in range(29))]
    url = f"mqtt://127.0.0.1:{broker.port}/vitalwire/+/frames?client=reader"
    options = {"registry": enrolled(device), "state": ReplayState(), "settle": 0.0}
    with vitalwire.connect(url, **options) as client:  # type: ignore[arg-type]
        publish(broker, "vitalwire/walk/frames", *raws[:10])
        got = [client.receive(FAR) for _ in range(10)]
        assert client.receive(0.1) is None  # asking for more says that the last one is stored
    publish(broker, "vitalwire/walk/frames", *raws[5:20])
    with vitalwire.connect(url, **options) as client:  # type: ignore[arg-type]
        got += [client.receive(FAR) for _ in range(10)]
        broker.stop()
        broker.start()
        publish(broker, "vitalwire/walk/frames", *raws[20:])
        got += [client.receive(FAR) for _ in range(10)]
        assert client.receive(0.2) is None
    assert [frame and frame.raw for frame in got] == raws


def test_nobody_there_and_wrong_addresses(broker: Mosquitto) -> None:
    """A broker that is away is a TransportError, an address without a topic a UsageError."""
    broker.kill()
    with pytest.raises(TransportError, match="cannot subscribe"):
        vitalwire.connect(f"mqtt://127.0.0.1:{broker.port}/frames", state=ReplayState())
    for url in ("mqtt://host", "mqtt:topic", "mqtt://host/topic?colour=red", "mqtts://host:x/topic"):
        with pytest.raises(UsageError):
            vitalwire.connect(url, state=ReplayState())
