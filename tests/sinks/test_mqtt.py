"""The MQTT sink against a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.certificates import Certificates
from tests.mosquitto import Listener, Mosquitto, pbkdf2
from tests.sinks.entries import drive, entries_of, entry_of
from tests.waiting import FAR

from vitalwire.errors import SinkError
from vitalwire.settings import Secret, Tls
from vitalwire.sinks import Sink
from vitalwire.sinks.mqtt import Settings, from_settings
from vitalwire.testing import FakeDevice


def sink(broker: Mosquitto, **settings: object) -> Sink:
    """Return a sink, not yet open."""
    given = {"kind": "mqtt", "host": "localhost", "port": broker.port, "tls": False} | settings
    return from_settings(Settings.model_validate(given), lambda _: None)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Return a broker of the test's own."""
    with Mosquitto(tmp_path / "broker") as started:
        yield started


@pytest.mark.asyncio
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_frames_arrive_in_order(broker: Mosquitto, version: str) -> None:
    """Each frame is one message on its device's topic, in order; on version 5 with its digest as a user property."""
    entries = entries_of([FakeDevice("walk"), FakeDevice("bed/4")], 30)
    with Listener(broker) as listener:
        delivery = await drive(sink(broker, version=version, window=7), entries)
        came = await asyncio.to_thread(listener.take, len(entries))
    assert not delivery.rejected
    assert not delivery.errors
    assert [message.payload for message in came] == [entry.raw for entry in entries]
    assert {message.topic for message in came} == {"vitalwire/walk/frames", "vitalwire/bed%2F4/frames"}
    if version == "5":
        digests = [dict(message.properties.UserProperty)["digest"] for message in came]  # type: ignore[union-attr]
        assert digests == [entry.digest.hex() for entry in entries]


@pytest.mark.asyncio
async def test_a_broker_that_restarts_gets_everything(broker: Mosquitto) -> None:
    """A delivery that a restart interrupts is a SinkError; repeated, everything arrives, the first copies in order."""
    entries = entries_of([FakeDevice("walk")], 400)
    with Listener(broker) as listener:
        delivering = asyncio.ensure_future(drive(sink(broker, window=5), entries, size=40))
        for _ in range(2):
            await asyncio.sleep(0.05)
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(broker.start)
        delivery = await asyncio.wait_for(delivering, FAR)
        seen: dict[bytes, None] = {}
        while len(seen) < len(entries):
            (message,) = await asyncio.to_thread(listener.take, 1)
            seen.setdefault(message.payload)
    assert delivery.errors
    assert list(seen) == [entry.raw for entry in entries]


@pytest.mark.asyncio
async def test_nobody_there_is_trouble_for_later(broker: Mosquitto) -> None:
    """A broker that is away, or that takes no such client, is a SinkError."""
    made = sink(broker)
    broker.kill()
    with pytest.raises(SinkError):
        await made.open()
    await made.close()
    await made.close()


@pytest.mark.asyncio
async def test_passwords_are_for_the_broker_only(tmp_path: Path) -> None:
    """A user is let in by the password in a file; a wrong one is refused, and is in no error."""
    (tmp_path / "acl").write_text("user gateway\ntopic write vitalwire/#\n")
    secret = tmp_path / "password"
    secret.write_text("open sesame\n")
    hashed = "$7$101$" + pbkdf2("open sesame")
    (tmp_path / "users").write_text(f"gateway:{hashed}\n")
    lines = [f"password_file {tmp_path / 'users'}", f"acl_file {tmp_path / 'acl'}"]
    entries = entries_of([FakeDevice("walk")], 2)
    with Mosquitto(tmp_path / "broker", lines, anonymous=False) as broker:
        access = {"user": "gateway", "password": Secret(file=secret)}
        made = sink(broker, **access)
        await made.open()
        assert not await made.deliver(entries)
        await made.close()
        forbidden = sink(broker, topic="other/{device}", **access)
        await forbidden.open()
        with pytest.raises(SinkError, match="Not authorized"):
            await forbidden.deliver(entries)
        await forbidden.close()
        secret.write_text("guess")
        wrong = sink(broker, **access)
        with pytest.raises(SinkError) as caught:
            await wrong.open()
        assert "guess" not in str(caught.value)
        await wrong.close()


@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")  # paho's, when refused
async def test_certificates_are_verified_both_ways(tmp_path: Path) -> None:
    """The broker must be who it says, and wants to know who we are; an expired certificate is refused at once."""
    made = Certificates(tmp_path / "tls")
    certificate, key = made.issue("localhost")
    lines = [f"cafile {made.ca}", f"certfile {certificate}", f"keyfile {key}", "require_certificate true"]
    ours, our_key = made.issue("gateway")
    old, old_key = made.issue("old", expired=True)
    with Mosquitto(tmp_path / "broker", lines) as broker:
        good = sink(broker, tls=Tls(ca=made.ca, certificate=ours, key=our_key))
        await good.open()
        assert not await good.deliver(entries_of([FakeDevice("walk")], 3))
        await good.close()
        for tls in (Tls(), Tls(ca=made.ca), Tls(ca=made.ca, certificate=old, key=old_key)):
            bad = sink(broker, tls=tls)
            delivery = await drive(bad, entries_of([FakeDevice("walk")], 1), patience=0)
            assert delivery.errors


@pytest.mark.asyncio
async def test_what_is_too_large_is_rejected(tmp_path: Path) -> None:
    """A message above the size that the broker announces is not sent, and the others are."""
    device = FakeDevice("walk")
    large = entry_of(device, device.sampled(4.0), 5)
    entries = [entry_of(device, device.status(), 4), large, entry_of(device, device.status(), 6)]
    with Mosquitto(tmp_path / "broker", [f"max_packet_size {len(large.raw)}"]) as broker, Listener(broker) as listener:
        delivery = await drive(sink(broker), entries)
        came = await asyncio.to_thread(listener.take, 2)
    assert [each.position for each in delivery.rejected] == [large.position]
    assert [message.payload for message in came] == [entry.raw for entry in entries if entry is not large]
