"""Asks Azure's device provisioning service, over MQTT, which hub a device belongs to. Keeps nothing."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from typing import Any, NamedTuple

import aiomqtt

from vitalwire.errors import SinkError

from .connection import RefusedError, connected
from .credentials import Credential
from .settings import Provisioning

_API = "api-version=2019-03-31&ClientVersion=vitalwire"
_ANSWERS = "$dps/registrations/res/#"
_REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid={}"
_POLL = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid={}&operationId={}"
_ANSWER = re.compile(r"\$dps/registrations/res/(\d+)/\?\$rid=([^&]+)(?:&retry-after=(\d+))?")
_TOKEN_SECONDS = 600
_MAX_POLLS = 60
_MAX_WAIT = 10  # seconds between polls, whatever is asked for


class Assigned(NamedTuple):
    """A device's hub, and what it is called there."""

    host: str
    device: str


async def provision(service: Provisioning, device: str, credential: Credential, seconds: float) -> Assigned:
    """Return where the device belongs. Raises SinkError, `RefusedError` where the service does not want the device."""
    resource = f"{service.id_scope}/registrations/{device}"
    password = credential.password(resource, time.time() + _TOKEN_SECONDS, "registration")
    client = aiomqtt.Client(
        service.host,
        service.port,
        identifier=device,
        username=f"{resource}/{_API}",
        password=password,
        protocol=aiomqtt.ProtocolVersion.V311,
        tls_context=credential.tls(),
        timeout=seconds,
    )
    async with connected(client):
        await client.subscribe(_ANSWERS, qos=1)
        topic, body = _REGISTER, json.dumps({"registrationId": device})
        operation = ""
        for _ in range(_MAX_POLLS):
            request = secrets.token_hex(8)
            await client.publish(topic.format(request, operation), body, qos=1)
            status, wait, said = await _answer(client, request, seconds)
            if said.get("status") == "assigned":
                state = said.get("registrationState", {})
                return Assigned(str(state["assignedHub"]), str(state["deviceId"]))
            if status == 429 or status >= 500:
                raise SinkError(f"provisioning answers {status}", reason=str(status), retry_after=wait)
            if status >= 300 or said.get("status") in {"failed", "disabled"}:
                raise RefusedError(f"provisioning answers {status} {said.get('status', '')}".rstrip())
            operation = str(said.get("operationId", operation))
            topic, body = _POLL, ""
            await asyncio.sleep(wait)
    raise SinkError("provisioning does not come to an end", reason="timeout")


async def _answer(client: aiomqtt.Client, request: str, seconds: float) -> tuple[int, float, dict[str, Any]]:
    """Return status, seconds to wait and body of the answer to a request."""
    async with asyncio.timeout(seconds):
        async for message in client.messages:
            found = _ANSWER.match(str(message.topic))
            if found and found[2] == request:
                said = json.loads(bytes(message.payload or b"{}") or b"{}")
                return int(found[1]), float(min(int(found[3] or 1), _MAX_WAIT)), said if isinstance(said, dict) else {}
    raise SinkError("provisioning went away", reason="connection")
