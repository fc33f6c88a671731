"""Azure IoT Hub: topics, tokens, certificates, provisioning, methods and twins, against mosquitto on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import aiomqtt
import numpy as np
import pytest
from tests.gateway.certificates import Certificates
from tests.sinks.entries import drive, entries_of, entry_of, more_of, through_sdk, unknown
from tests.sinks.hub import KEY, MOSQUITTO, RENAMED, door, mosquitto, tls_lines, watching
from tests.sinks.servers import Server, free_port

from vitalwire.errors import InputError, SinkError
from vitalwire.messages import Channel, Decimal10
from vitalwire.sinks import Asked, Control
from vitalwire.sinks.forms import Form
from vitalwire.sinks.iothub import IotHub, Settings, connection, from_settings
from vitalwire.sinks.iothub.commands import from_desired, from_method, status_of
from vitalwire.spool import Entry
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Command, Result

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto (Debian)")


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    """Return an authority."""
    return Certificates(tmp_path / "made")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    """Run a broker without TLS, for behind the door."""
    with mosquitto(tmp_path) as server:
        yield server


@pytest.fixture
def devices() -> list[FakeDevice]:
    """Return some devices."""
    return [FakeDevice(f"bed-{n}", seed=n) for n in range(3)]


def hub(made: Certificates, port: int, control: Control | None = None, **more: object) -> IotHub:
    """Return the sink for devices of a group, or of what `more` says."""
    secret = made.ca.parent / "group"
    secret.write_text(KEY)
    proof = {} if "certificates" in more else {"group_key": {"file": str(secret)}}
    given = {"kind": "iothub", "host": "127.0.0.1", "port": port, "tls": {"ca": str(made.ca)}, "seconds": 3.0}
    settings = Settings.model_validate({key: value for key, value in (given | proof | more).items() if value})
    sink = from_settings(settings, unknown)
    if control is not None:
        sink.use(control)
    return sink


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


class Ward:
    """A control that notes what it is asked, and answers as told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Asked]] = []
        self.result: Result | None = Result.OK

    def channels(self, device: str) -> Mapping[str, int]:
        """Return the standard channels."""
        return {"ecg_lead_i": 0, "ppg_red": 1}

    async def carry_out(self, device: str, asked: Asked) -> Result | None:
        """Note it."""
        self.asked.append((device, asked))
        return self.result


def test_methods_and_twins_reach_the_device(broker: Server, made: Certificates) -> None:
    """A direct method is carried out and answered by its request; desired properties are applied and reported."""

    async def run() -> None:
        ward = Ward()
        async with door(broker, made) as standing, watching(broker.port, "$iothub/#") as (watcher, cloud):
            sink = hub(made, standing.port, ward, commands=True)
            await sink.deliver(entries_of([FakeDevice("bed-1")], 1))

            async def answer(topic: str, body: object, wanted: str) -> Any:
                await cloud.publish(topic, json.dumps(body), qos=1)
                async with asyncio.timeout(10):
                    while True:
                        for found, said in watcher.messages:
                            if found == wanted:
                                watcher.messages.remove((found, said))
                                return json.loads(said)
                        await asyncio.sleep(0.02)

            await watcher.until(1)
            assert "$iothub/twin/GET/?$rid=0" in [topic for topic, _ in watcher.messages]
            post = "$iothub/methods/POST"
            said = await answer(f"{post}/reboot/?$rid=7", {}, "$iothub/methods/res/200/?$rid=7")
            assert said == {"result": "OK"}
            await answer(f"{post}/start/?$rid=8", {"channels": ["ppg_red"]}, "$iothub/methods/res/200/?$rid=8")
            said = await answer(f"{post}/start/?$rid=9", {"channels": ["none"]}, "$iothub/methods/res/400/?$rid=9")
            assert "none" in said["error"]
            ward.result = None
            await answer(f"{post}/setTime/?$rid=a", None, "$iothub/methods/res/504/?$rid=a")
            ward.result = Result.OK
            twin = {"desired": {"logLevel": "debug", "$version": 3, "theirs": 1}, "reported": {}}
            said = await answer("$iothub/twin/res/200/?$rid=0", twin, "$iothub/twin/PATCH/properties/reported/?$rid=1")
            assert said == {"logLevel": {"value": "debug", "ac": 200, "av": 3, "ad": ""}}
            patch = {"channels": {"ecg_lead_i": False, "1": True}, "$version": 4}
            await answer(
                "$iothub/twin/PATCH/properties/desired/?$version=4",
                patch,
                "$iothub/twin/PATCH/properties/reported/?$rid=1",
            )
            patch = {"configuration": "0oRDoQEm", "$version": 5}
            await answer(
                "$iothub/twin/PATCH/properties/desired/?$version=5",
                patch,
                "$iothub/twin/PATCH/properties/reported/?$rid=1",
            )
            await sink.close()
        assert [asked for _, asked in ward.asked] == [
            Asked(Command.REBOOT),
            Asked(Command.START, (1,)),
            Asked(Command.SET_TIME),
            Asked(Command.LOG_LEVEL, 1),
            Asked(Command.START, (1,)),
            Asked(Command.STOP, (0,)),
            Asked(Command.CONFIGURE, b"\xd2\x84C\xa1\x01&"),
        ]

    asyncio.run(run())


def test_nobody_commands_who_was_not_allowed_to(broker: Server, made: Certificates) -> None:
    """Unless it was configured, the sink does not even listen for methods."""

    async def run() -> None:
        async with door(broker, made) as standing, watching(broker.port, "$iothub/#") as (watcher, cloud):
            ward = Ward()
            sink = hub(made, standing.port, ward)
            await sink.deliver(entries_of([FakeDevice("bed-1")], 1))
            await cloud.publish("$iothub/methods/POST/reboot/?$rid=1", b"{}", qos=1)
            await sink.deliver(entries_of([FakeDevice("bed-1")], 1))
            await sink.close()
            assert ward.asked == []
            assert [topic for topic, _ in watcher.messages] == ["$iothub/methods/POST/reboot/?$rid=1"]

    asyncio.run(run())


def test_words_of_the_cloud_become_commands() -> None:
    """Every method and property has its command; what is wrong is refused with what would be right."""
    channels = {"ecg_lead_i": 0, "ppg_red": 1}
    assert from_method("stop", {"channels": ["ppg_red", 5, "5"]}, channels) == Asked(Command.STOP, (1, 5))
    assert from_method("setLogLevel", {"level": "Warning"}, channels) == Asked(Command.LOG_LEVEL, 3)
    assert from_method("setTime", None, channels) == Asked(Command.SET_TIME)
    wrong: Sequence[tuple[str, object]] = (
        ("format", {}),
        ("start", {}),
        ("start", {"channels": []}),
        ("start", {"channels": [99]}),
        ("start", {"channels": [True]}),
        ("start", {"channels": [None]}),
        ("start", {"channels": [["ecg_lead_i"]]}),
        ("start", {"channels": ["٣"]}),
        ("start", {"channels": [1] * 99}),
        ("setLogLevel", {"level": 3}),
        ("setLogLevel", "debug"),
    )
    for name, payload in wrong:
        with pytest.raises(InputError):
            from_method(name, payload, channels)
    assert from_desired({"theirs": {}, "$version": 1}, channels) == {}
    with pytest.raises(InputError):
        from_desired({"channels": {"ecg_lead_i": 1}}, channels)
    with pytest.raises(InputError):
        from_desired({"channels": ["ecg_lead_i"]}, channels)
    assert [status_of(result) for result in (Result.OK, Result.BAD_ARGUMENT, Result.STALE_COUNTER, 77, None)] == [
        200, 400, 502, 502, 504,
    ]  # fmt: skip


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


# ------------------------------------------------------------ beside Microsoft's own client

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
                _, said = await asyncio.wait_for(theirs.communicate(), 60)
                assert theirs.returncode == 0, said.decode()
                await watcher.until(len(entries))
                assert watcher.messages == ours

    asyncio.run(run())
