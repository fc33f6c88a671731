"""A whole board at an IoT hub, played by mosquitto and this file: its twin configures it, and hears what came of it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.mosquitto import Mosquitto

from vitalwire import crypto
from vitalwire.configuration import Configuration, from_words, sign_configuration
from vitalwire.registry import Registry
from vitalwire_protocol.spec import Event, EventKey

from .ward import NOWHERE, Ward, broker, subscribed

OPERATOR, STRANGER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
TWIN = "$iothub/twin/"


class Twin:
    """What a hub keeps of a device: desired properties, changed by `desire`, and what was reported last."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.desired: dict[str, Any] = {"$version": 1}
        self.reported: dict[str, Any] = {}
        self.asked = 0
        self._client = client

    def keep(self, document: bytes) -> int:
        """Change what is desired, as while the device is away; returns the version of it."""
        version = int(self.desired["$version"]) + 1
        self.desired = {"configuration": base64.b64encode(document).decode(), "$version": version}
        return version

    async def desire(self, document: bytes) -> int:
        """Change what is desired, and tell a device that is there; returns the version of it."""
        version = self.keep(document)
        await self._client.publish(f"{TWIN}PATCH/properties/desired/?$version={version}", json.dumps(self.desired))
        return version

    async def serve(self) -> None:
        """Answer the device."""
        async for message in self._client.messages:
            topic, body = str(message.topic), bytes(message.payload or b"")
            if topic.startswith(f"{TWIN}GET/?$rid="):
                self.asked += 1
                answer = {"desired": self.desired, "reported": self.reported}
                await self._client.publish(f"{TWIN}res/200/?$rid={topic.partition('=')[2]}", json.dumps(answer))
            elif topic.startswith(f"{TWIN}PATCH/properties/reported/"):
                self.reported = json.loads(body)


@asynccontextmanager
async def twin_at(ward: Ward, hub: Mosquitto) -> AsyncIterator[Twin]:
    """Be the hub's side of the only device's twin."""
    certificate, key = ward.authority.server("gateway")
    tls = aiomqtt.TLSParameters(ca_certs=str(ward.authority.pem), certfile=str(certificate), keyfile=str(key))
    async with aiomqtt.Client("localhost", hub.port, identifier="cloud", tls_params=tls) as client:
        await client.subscribe(f"{TWIN}#", qos=1)
        twin = Twin(client)
        task = asyncio.create_task(twin.serve())
        yield twin
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def signed(ward: Ward, version: int, *words: str, key: ec.EllipticCurvePrivateKey = OPERATOR) -> bytes:
    """Return what an operator signs for the only board."""
    with Registry(ward.site.registry) as registry:
        (device,) = registry
    return sign_configuration(Configuration(device.thumbprint, version, from_words(words)), key)


@pytest.mark.asyncio
async def test_a_twin_configures_its_board(ward: Ward) -> None:
    """What an operator signed is in force, at once or after the start that it needs, and reported; what changed while
    the board was away is taken as it comes back, and the same once more changes nothing; a stranger's is refused with
    the reason and changes nothing; and every frame arrives, once."""
    with broker(ward) as hub:
        async with twin_at(ward, hub) as twin:
            ward.board([f"hub://localhost:{hub.port}"], keys={"operator": crypto.public_point(OPERATOR)})
            ward.site.configure(subscribed(ward, hub), NOWHERE)

            async def told(version: int, status: int, in_force: int) -> None:
                want = {"ac": status, "av": version}
                await ward.site.until(
                    lambda: (
                        want.items() <= twin.reported.get("configuration", {}).items()
                        and twin.reported["inForce"] == in_force
                    )
                )

            async with ward.site.running():
                await ward.whole(5)
                await told(await twin.desire(signed(ward, 7, "status_s=9")), 200, 7)
                assert twin.reported["settings"]["status_s"] == 9
                asked = twin.asked
                await twin.desire(signed(ward, 8, "status_s=9", "frame_ms=500"))
                await told(twin.keep(signed(ward, 9, "status_s=8", "frame_ms=500")), 200, 9)
                assert twin.asked > asked  # it started, and asked what had changed meanwhile
                assert twin.reported["settings"]["frame_ms"] == 500
                await told(await twin.desire(signed(ward, 9, "status_s=8", "frame_ms=500")), 200, 9)
                await told(await twin.desire(signed(ward, 10, "status_s=5", key=STRANGER)), 403, 9)
                assert "not signed" in twin.reported["configuration"]["ad"]
                await ward.whole(len(ward.seqs()) + 10)
    versions = [event.details[EventKey.VERSION] for event in ward.events() if event.code == Event.CONFIGURED]
    assert versions == [7, 8, 9]
