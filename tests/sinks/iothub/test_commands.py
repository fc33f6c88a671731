"""What the hub asks reaches the device it is for, if that is allowed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.gateway.certificates import Certificates
from tests.sinks.entries import entries_of
from tests.sinks.hub import MOSQUITTO, door, watching
from tests.sinks.iothub.making import hub
from tests.sinks.servers import Server
from tests.waiting import FAR

from vitalwire.errors import InputError
from vitalwire.sinks import Asked
from vitalwire.sinks.iothub.commands import from_desired, from_method, status_of
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Command, Result

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto (Debian)")


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
                async with asyncio.timeout(FAR):
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
