"""One device's connection to its hub: telemetry in order, a new token before the old one expires, methods and twin."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.reasoncodes import ReasonCode

from vitalwire.errors import InputError, SinkError, UsageError

from ..control import Control
from . import topics
from .commands import MAX_PAYLOAD, from_desired, from_method, status_of
from .credentials import Credential

_WINDOW = 10  # messages under way: a connection keeps their order, and what follows a lost one is lost, too
_RENEW_AT = 0.8  # of a token's life
_MAX_INCOMING = 64
# Identifier, name or password, not authorised: CONNACK's 2, 4 and 5, which paho tells by the numbers of version 5.
_REFUSALS = {0x85, 0x86, 0x87}
_ALL_TWIN, _REPORT = "0", "1"


class RefusedError(SinkError):
    """The hub does not want this device; of others it says nothing."""


@asynccontextmanager
async def connected(client: aiomqtt.Client) -> AsyncIterator[None]:
    """Connect for the block, and tell what goes wrong as SinkError or `RefusedError`."""
    try:
        async with client:
            yield
    except MqttConnectError as error:
        if isinstance(error.rc, ReasonCode) and error.rc.value in _REFUSALS:
            raise RefusedError(f"the hub refuses the device: {error}", reason="authentication") from None
        raise SinkError(f"the hub refuses to be connected to: {error}", reason="connection") from None
    except (aiomqtt.MqttError, OSError, TimeoutError, ValueError) as error:
        raise SinkError(
            f"the connection to the hub failed: {error or type(error).__name__}", reason="connection"
        ) from None


class Connection:
    """Open from `open` to `close`; after an error it is closed and can be opened again."""

    def __init__(
        self,
        device: str,
        host: str,
        port: int,
        credential: Credential,
        *,
        token_seconds: float,
        seconds: float,
        control: Control | None = None,
    ) -> None:
        self._device = device
        self._host = host
        self._port = port
        self._credential = credential
        self._token_seconds = token_seconds
        self._seconds = seconds
        self._control = control
        self._life: asyncio.Task[None] | None = None
        self._client: aiomqtt.Client | None = None
        self._quiet = asyncio.Lock()  # held while publishing, so that a renewal waits
        self._renewal: float | None = None  # seconds after connecting

    async def open(self) -> None:
        """Connect. Raises SinkError, `RefusedError` if the hub does not want the device."""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live(ready))
        either: set[asyncio.Future[None]] = {ready, self._life}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await self._life

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Return when the hub has acknowledged each message (topic and body). Raises SinkError."""
        async with self._quiet:
            for start in range(0, len(messages), _WINDOW):
                await self._publish(messages[start : start + _WINDOW])

    async def _publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        assert self._life is not None
        client = self._client
        if client is None or self._life.done():
            raise SinkError("the connection to the hub is gone", reason="connection")
        sending = asyncio.gather(*(client.publish(topic, body, qos=1) for topic, body in messages))
        either: set[asyncio.Future[Any]] = {sending, self._life}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                await self._life
                raise SinkError("the connection to the hub is gone", reason="connection")
            await sending
        except aiomqtt.MqttError as error:
            raise SinkError(f"not acknowledged: {error}", reason="connection") from None
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, aiomqtt.MqttError):
                await sending

    @property
    def alive(self) -> bool:
        """Whether the hub took the device, and it is connected."""
        return self._client is not None and self._life is not None and not self._life.done()

    async def close(self) -> None:
        """Disconnect."""
        life, self._life = self._life, None
        if life is not None:
            life.cancel()
            with suppress(asyncio.CancelledError, SinkError, UsageError):
                await life

    # ------------------------------------------------------------ the life of the connection

    async def _live(self, ready: asyncio.Future[None]) -> None:
        """Be connected, with a new token each time the old one nears its end, until an error or a cancellation."""
        try:
            async with AsyncExitStack() as pause:
                await pause.enter_async_context(self._quiet)
                while True:
                    client = self._make()
                    async with connected(client):
                        await self._listen(client)
                        self._client = client
                        if not ready.done():
                            ready.set_result(None)
                        await pause.aclose()
                        with suppress(TimeoutError):
                            async with asyncio.timeout(self._renewal):
                                async for message in client.messages:
                                    await self._answer(client, message)
                        await pause.enter_async_context(self._quiet)
        finally:
            self._client = None

    def _make(self) -> aiomqtt.Client:
        password = self._credential.password(f"{self._host}/devices/{self._device}", time.time() + self._token_seconds)
        self._renewal = None if password is None else self._token_seconds * _RENEW_AT
        return aiomqtt.Client(
            self._host,
            self._port,
            identifier=self._device,
            username=topics.username(self._host, self._device),
            password=password,
            protocol=aiomqtt.ProtocolVersion.V311,
            tls_context=self._credential.tls(),
            timeout=self._seconds,
            max_queued_incoming_messages=_MAX_INCOMING,
        )

    async def _listen(self, client: aiomqtt.Client) -> None:
        if self._control is not None:
            await client.subscribe([(topic, 0) for topic in (topics.METHODS, topics.DESIRED, topics.TWIN_ANSWERS)])
            await client.publish(topics.get_twin(_ALL_TWIN), b"", qos=0)

    # ------------------------------------------------------------ methods and the twin

    async def _answer(self, client: aiomqtt.Client, message: aiomqtt.Message) -> None:
        topic = str(message.topic)
        body = bytes(message.payload or b"")
        called = topics.method(topic)
        if called is not None:
            status, said = await self._call(called.name, body)
            await client.publish(topics.method_answer(status, called.request), json.dumps(said), qos=0)
        elif topics.is_desired(topic):
            await self._configure(client, _object(body))
        elif (answer := topics.twin_answer(topic)) is not None and answer == (200, _ALL_TWIN):
            desired = _object(body).get("desired")
            await self._configure(client, desired if isinstance(desired, dict) else {})

    async def _call(self, name: str, body: bytes) -> tuple[int, dict[str, object]]:
        assert self._control is not None
        try:
            asked = from_method(name, _object(body), self._control.channels(self._device))
        except InputError as error:
            return 400, {"error": str(error)}
        result = await self._control.carry_out(self._device, asked)
        return status_of(result), {} if result is None else {"result": getattr(result, "name", str(result))}

    async def _configure(self, client: aiomqtt.Client, desired: dict[str, Any]) -> None:
        """Carry out desired properties, and report each with a status, as IoT Plug and Play has it."""
        assert self._control is not None
        reported: dict[str, object] = {}
        version = desired.get("$version")
        for name in ("logLevel", "channels", "configuration"):
            if name not in desired:
                continue
            status, said = 200, ""
            try:
                asked = from_desired({name: desired[name]}, self._control.channels(self._device))[name]
                for each in asked:
                    status = max(status, status_of(await self._control.carry_out(self._device, each)))
            except InputError as error:
                status, said = 400, str(error)
            reported[name] = {"value": desired[name], "ac": status, "av": version, "ad": said}
        if reported:
            await client.publish(topics.report(_REPORT), json.dumps(reported), qos=0)


def _object(body: bytes) -> dict[str, Any]:
    """Return a JSON object; an empty one for anything else, and for more than we would ever be asked."""
    if len(body) > MAX_PAYLOAD:
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
