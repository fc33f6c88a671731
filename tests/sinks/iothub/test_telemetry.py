"""What the hub gets is what IoT Hub takes, and nobody's trouble loses or holds up another's frames."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest
from tests.gateway.certificates import Certificates
from tests.sinks.entries import drive, entries_of, entry_of, through_sdk
from tests.sinks.hub import MOSQUITTO, door, mosquitto, tls_lines, watching
from tests.sinks.iothub.making import hub
from tests.sinks.servers import Server, free_port
from tests.waiting import FAR

from vitalwire.errors import SinkError
from vitalwire.messages import Channel, Decimal10
from vitalwire.sinks.forms import Form
from vitalwire.testing import FakeDevice

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto (Debian)")


def test_telemetry_is_what_iot_hub_takes(broker: Server, made: Certificates, devices: list[FakeDevice]) -> None:
    """Each device is its own connection, in order; topics carry the properties; user names and tokens are the hub's."""

    async def run() -> None:
        async with door(broker, made) as standing, watching(broker.port) as (watcher, _):
            entries = entries_of(devices, 25)
            delivery = await drive(hub(made, standing.port), entries)
            assert (delivery.errors, delivery.rejected) == ([], [])
            await watcher.until(len(entries))
            for device in devices:
                assert watcher.bodies(device.name) == [each.raw for each in entries if each.device == device.name]
            topic, _ = watcher.messages[0]
            head, _, properties = topic.rpartition("/")
            name = head.split("/")[1]
            assert head == f"devices/{name}/messages/events"
            first = next(each for each in entries if each.device == name)
            told = dict(parse_qsl(properties, strict_parsing=True))
            assert told["$.mid"] == told["digest"] == first.digest.hex()
            assert told["$.ct"] == 'application/cose; cose-type="cose-sign1"'
            assert told["iothub-creation-time-utc"] == "2026-01-01T00:00:01.000000Z"
            assert "+" not in topic
            assert sorted(standing.connects) == ["bed-0", "bed-1", "bed-2"]
            assert standing.usernames == {f"127.0.0.1/{d.name}/?api-version=2021-04-12" for d in devices}

    asyncio.run(run())


def test_json_can_be_routed_by_its_body(broker: Server, made: Certificates, devices: list[FakeDevice]) -> None:
    """JSON says its type and encoding as routing wants them, and is the body alone: the hub adds the envelope."""

    async def run() -> None:
        async with door(broker, made) as standing, watching(broker.port) as (watcher, _):
            await drive(hub(made, standing.port, form=Form.JSON), entries_of(devices[:1], 2))
            await watcher.until(2)
            topic, body = watcher.messages[1]
            assert "%24.ct=application%2Fjson%3Bcharset%3Dutf-8&%24.ce=utf-8" in topic
            told = json.loads(body)
            assert told["device"] == "bed-0"
            assert told["readings"][0]["unit"] == "mV"

    asyncio.run(run())


def test_what_a_hub_never_takes_is_rejected(broker: Server, made: Certificates) -> None:
    """Above 256 KB, or of a device whose name no hub has, an entry is rejected with the reason; the others go out."""

    async def run() -> None:
        channel = Channel(0, "flat", None, "1", "none", 0, Fraction(100), 16, Decimal10(1, 0), Decimal10(0, 0))
        flood, odd = FakeDevice("flood", channels=[channel]), FakeDevice("bed 4/#")
        entries = [
            *entries_of([odd], 1),
            entry_of(flood, flood.descriptor(), 2),
            entry_of(flood, flood.data({"flat": np.zeros(8000, int)}), 3),
            entry_of(flood, flood.data({"flat": [1, 2]}), 4),
        ]
        async with door(broker, made) as standing, watching(broker.port) as (watcher, _):
            delivery = await drive(hub(made, standing.port, form=Form.JSON_SAMPLES), entries)
            assert delivery.errors == []
            assert {each.position for each in delivery.rejected} == {1, 3}
            assert "262144" in max(delivery.rejected, key=lambda each: each.position).why
            await watcher.until(2)

    asyncio.run(run())


def test_one_refused_device_holds_up_nobody_for_long(
    broker: Server, made: Certificates, devices: list[FakeDevice]
) -> None:
    """A device that the hub goes on refusing while it takes others is given up as rejected, its frames named."""

    async def run() -> None:
        async with door(broker, made) as standing, watching(broker.port) as (watcher, _):
            standing.answers = lambda client: 5 if client == "bed-1" else 0
            entries = entries_of(devices, 4)
            sink = hub(made, standing.port)
            mine = [entry for entry in entries if entry.device == "bed-1"]
            for batch in (entries, mine[:1], mine[:1], mine[:1]):  # a gateway goes on with little after failures
                with pytest.raises(SinkError):
                    await sink.deliver(batch)
                await sink.close()
            delivery = await drive(sink, entries)
            assert delivery.errors == []
            assert [each.position for each in delivery.rejected] == [entry.position for entry in mine]
            await watcher.until(8)

    asyncio.run(run())


def test_a_busy_hub_is_waited_for(broker: Server, made: Certificates, devices: list[FakeDevice]) -> None:
    """A hub that throttles (server unavailable) is a SinkError however often, and no entry is ever given up for it."""

    async def run() -> None:
        async with door(broker, made) as standing, watching(broker.port) as (watcher, _):
            left = iter([3] * 20)
            standing.answers = lambda client: next(left, 0) if client == "bed-0" else 0
            entries = entries_of(devices, 3)
            delivery = await drive(hub(made, standing.port), entries)
            assert len(delivery.errors) == 20
            assert delivery.rejected == []
            await watcher.until(len(entries))

    asyncio.run(run())


def test_connections_are_bounded(broker: Server, made: Certificates) -> None:
    """More devices than connections take turns."""

    async def run() -> None:
        devices = [FakeDevice(f"bed-{n}") for n in range(5)]
        async with door(broker, made) as standing, watching(broker.port) as (watcher, _):
            entries = entries_of(devices, 4)
            sink = hub(made, standing.port, connections=2)
            await sink.open()
            assert await sink.deliver(entries) == []
            assert len(sink._connections) <= 2
            await sink.close()
            await watcher.until(len(entries))

    asyncio.run(run())


def test_broken_connections_lose_nothing(broker: Server, made: Certificates, devices: list[FakeDevice]) -> None:
    """Connections break in the middle of batches: what was not acknowledged comes again, in order, once by digest."""

    async def run() -> None:
        async with door(broker, made) as standing, watching(broker.port) as (watcher, _):
            entries = entries_of(devices, 200)
            delivering = asyncio.create_task(drive(hub(made, standing.port, seconds=1.0), entries, size=90))
            for wanted in (100, 250, 400):
                await watcher.until(wanted)
                standing.slam()
            delivery = await delivering
            assert len(standing.connects) > len(devices)
            assert delivery.rejected == []
            await watcher.until(len(entries))
            for device in devices:
                assert watcher.bodies(device.name) == [each.raw for each in entries if each.device == device.name]
            numbers = through_sdk(devices, [body for _, body in watcher.messages])
            assert numbers == {device.name: list(range(1, device.seq + 1)) for device in devices}

    asyncio.run(run())


THEIRS = """
import json, sys
from azure.iot.device import IoTHubDeviceClient, Message, X509
host, ca, certificate, key, messages = sys.argv[1:]
client = IoTHubDeviceClient.create_from_x509_certificate(
    X509(certificate, key), host, "bed-1", server_verification_cert=open(ca).read())
client.connect()
for body, system, custom in json.loads(messages):
    message = Message(bytes.fromhex(body), message_id=system["$.mid"],
                      content_type=system["$.ct"], content_encoding=system.get("$.ce"))
    message.custom_properties.update(custom)
    client.send_message(message)
client.shutdown()
"""


@pytest.fixture(scope="session")
def azure_python() -> Path:
    """Return a Python that has azure-iot-device, which needs an older paho: a virtual environment kept in a cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vitalwire-tests" / "azure-iot-device-2.14"
    python = cache / "bin" / "python"
    if not (cache / "complete").exists():
        commands = (
            [sys.executable, "-m", "venv", "--clear", cache],
            [python, "-m", "pip", "install", "-q", "azure-iot-device~=2.14.0"],
        )
        for command in commands:
            done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600)
            if done.returncode != 0:
                pytest.skip("needs azure-iot-device 2.14, which pip could not install into a virtual environment")
        (cache / "complete").touch()
    return python


@pytest.mark.parametrize("form", [Form.FRAME, Form.JSON])
def test_microsofts_client_and_ours_say_the_same(
    form: Form, tmp_path: Path, made: Certificates, azure_python: Path
) -> None:
    """With the same bodies and properties, azure-iot-device and our sink publish the same topics, byte for byte."""

    async def run() -> None:
        address = "127.77.0.8"  # their port is always 8883: on an address that nobody else uses
        plain = free_port()
        certificate, key = made.issue("bed-1")
        lines = tls_lines(made, mutual=True)
        hosts = made.issue_for(address)
        lines = [line for line in lines if not line.startswith(("certfile", "keyfile"))]
        lines = [f"certfile {hosts[0]}", f"keyfile {hosts[1]}", *lines]
        with mosquitto(tmp_path, *lines, address=address, port=8883, plain=plain):
            async with watching(plain) as (watcher, _):
                entries = entries_of([FakeDevice("bed-1")], 3)
                sink = hub(made, 8883, certificates=str(made.ca.parent), host=address, form=form)
                assert (await drive(sink, entries)).errors == []
                await watcher.until(len(entries))
                ours, watcher.messages = watcher.messages, []
                told = []
                for topic, body in ours:
                    properties = dict(parse_qsl(topic.rpartition("/")[2], strict_parsing=True))
                    system = {name: text for name, text in properties.items() if name.startswith("$.")}
                    custom = {name: text for name, text in properties.items() if name not in system}
                    told.append((body.hex(), system, custom))
                arguments = [address, str(made.ca), str(certificate), str(key), json.dumps(told)]
                theirs = await asyncio.create_subprocess_exec(
                    str(azure_python), "-c", THEIRS, *arguments, stderr=asyncio.subprocess.PIPE
                )
                _, said = await asyncio.wait_for(theirs.communicate(), FAR)
                assert theirs.returncode == 0, said.decode()
                await watcher.until(len(entries))
                assert watcher.messages == ours

    asyncio.run(run())
