"""How devices prove themselves: tokens, certificates, and the hub that provisioning names."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import aiomqtt
import pytest
from tests.gateway.certificates import Certificates
from tests.sinks.entries import drive, entries_of, more_of
from tests.sinks.hub import MOSQUITTO, RENAMED, door, mosquitto, tls_lines, watching
from tests.sinks.iothub.making import hub
from tests.sinks.servers import Server, free_port

from vitalwire.errors import SinkError
from vitalwire.sinks.iothub import connection
from vitalwire.spool import Entry
from vitalwire.testing import FakeDevice

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto (Debian)")


def test_tokens_are_renewed_before_they_expire(broker: Server, made: Certificates) -> None:
    """Over several lives of a token no connection outlives its own, none is refused, and nothing is lost or turned."""

    async def run() -> None:
        async with door(broker, made) as standing, watching(broker.port) as (watcher, _):
            device = FakeDevice("bed-1")
            entries: list[Entry] = []
            sink = hub(made, standing.port, token_seconds=3.0)
            await sink.open()
            until = time.monotonic() + 3.5
            while time.monotonic() < until:  # without a pause, so that renewals come in the middle of a delivery
                fresh = more_of([device], 20, len(entries) + 1)
                entries += fresh
                assert await sink.deliver(fresh) == []
            await asyncio.sleep(2.8)  # idle, and still renewed
            await sink.close()
            await watcher.until(len(entries))
            assert [body for _, body in watcher.messages] == [entry.raw for entry in entries]
            assert (standing.refused, standing.expired) == ([], [])
            assert 3 <= len(standing.connects) <= 8

    asyncio.run(run())


def test_an_expired_token_is_no_reason_to_knock_on(broker: Server, made: Certificates) -> None:
    """While the hub's clock says that our tokens are over, each attempt knocks once; afterwards all is delivered."""

    async def run() -> None:
        async with door(broker, made) as standing, watching(broker.port) as (watcher, _):
            standing.ahead = 7200.0
            sink = hub(made, standing.port)
            entries = entries_of([FakeDevice("bed-1")], 5)
            for attempt in range(1, 8):
                await sink.open()
                with pytest.raises(SinkError, match="refuses") as caught:
                    await sink.deliver(entries)
                await sink.close()
                assert caught.value.reason == "authentication"
                assert len(standing.connects) == attempt
            standing.ahead = 0.0
            await drive(sink, entries)
            await watcher.until(len(entries))

    asyncio.run(run())


def test_our_clock_may_be_wrong(broker: Server, made: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of a clock hours behind are refused and said to be; once it is right, or ahead, everything is delivered.

    Renewals go by elapsed time: a clock that is set while connected neither ends a connection nor makes a busy loop.
    """
    ahead = [-5 * 3600.0]
    monkeypatch.setattr(connection, "time", SimpleNamespace(time=lambda: time.time() + ahead[0]))

    async def run() -> None:
        async with door(broker, made) as standing, watching(broker.port) as (watcher, _):
            device = FakeDevice("bed-1")
            entries = more_of([device], 5, 1)
            sink = hub(made, standing.port, token_seconds=2.0)
            await sink.open()
            with pytest.raises(SinkError, match="refuses"):
                await sink.deliver(entries)
            await sink.close()
            for ahead[0] in (0.0, 9 * 3600.0):
                await drive(sink, entries)
                entries += more_of([device], 5, len(entries) + 1)
            await sink.open()
            assert await sink.deliver(entries) == []
            ahead[0] = -5 * 3600.0
            await asyncio.sleep(0.5)
            assert len(standing.connects) <= 5
            await asyncio.sleep(1.5)  # the renewal comes, and is refused
            ahead[0] = 0.0
            await drive(sink, entries)
            await sink.close()
            await watcher.until(len(entries))
            assert watcher.bodies("bed-1") == [entry.raw for entry in entries]

    asyncio.run(run())


def test_certificates_of_their_own(tmp_path: Path, made: Certificates, devices: list[FakeDevice]) -> None:
    """With X.509 each device shows its own certificate, whose name the broker sees; an expired one is said plainly."""

    async def run() -> None:
        plain = free_port()
        lines = [*tls_lines(made, mutual=True), "use_identity_as_username true"]
        with mosquitto(tmp_path, *lines, plain=plain) as server:
            for device in devices:
                made.issue(device.name)
            async with watching(plain) as (watcher, _):
                entries = entries_of(devices, 5)
                delivery = await drive(hub(made, server.port, certificates=str(made.ca.parent)), entries)
                assert (delivery.errors, delivery.rejected) == ([], [])
                await watcher.until(len(entries))
                for device in devices:
                    assert f"as {device.name} (p2, c1, k60, u'{device.name}')" in server.log
                made.issue("bed-0", expired=True)
                sink = hub(made, server.port, certificates=str(made.ca.parent))
                with pytest.raises(SinkError, match="expired"):
                    await sink.deliver(entries[:1])
                await sink.close()

    asyncio.run(run())


async def provisioning(client: aiomqtt.Client, hubs: Mapping[str, str]) -> None:
    """Answer registrations as Azure does: assigning at first, then assigned, or failed for whom it does not know."""
    async for message in client.messages:
        topic = str(message.topic)
        request = topic.rpartition("$rid=")[2].partition("&")[0]
        if "/PUT/" in topic:
            name = json.loads(bytes(message.payload or b""))["registrationId"]  # type: ignore[arg-type]
            said: dict[str, object] = {"operationId": f"op-{name}", "status": "assigning"}
            answer = f"$dps/registrations/res/202/?$rid={request}&retry-after=0"
        else:
            name = topic.partition("operationId=op-")[2]
            state = {"assignedHub": hubs.get(name), "deviceId": f"{name}{RENAMED}"}
            said = {"status": "assigned" if name in hubs else "failed", "registrationState": state}
            answer = f"$dps/registrations/res/200/?$rid={request}"
        await client.publish(answer, json.dumps(said), qos=1)


def test_provisioning_says_which_hub(broker: Server, made: Certificates, devices: list[FakeDevice]) -> None:
    """Each device registers once with its derived key, and sends as whom and where the service said."""

    async def run() -> None:
        async with (
            door(broker, made) as standing,
            watching(broker.port) as (watcher, _),
            aiomqtt.Client("127.0.0.1", broker.port, identifier="dps") as service,
        ):
            await service.subscribe("$dps/registrations/PUT/#", qos=1)
            await service.subscribe("$dps/registrations/GET/#", qos=1)
            answering = asyncio.create_task(provisioning(service, {"bed-0": "localhost", "bed-1": "localhost"}))
            scope = {"id_scope": "0ne00AB", "host": "127.0.0.1", "port": standing.port}
            sink = hub(made, standing.port, host=None, provisioning=scope)
            entries = entries_of(devices[:2], 3)
            await sink.open()
            assert await sink.deliver(entries) == []
            assert await sink.deliver(entries[:2]) == []
            await watcher.until(len(entries))
            assert {topic.split("/")[1] for topic, _ in watcher.messages} == {"bed-0-x", "bed-1-x"}
            assert sorted(standing.connects) == ["bed-0", "bed-0-x", "bed-1", "bed-1-x"]
            with pytest.raises(SinkError, match="failed"):
                await sink.deliver(entries_of(devices[2:], 1))
            await sink.close()
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    asyncio.run(run())
