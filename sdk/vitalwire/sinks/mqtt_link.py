"""One connection to an MQTT broker: opened, published through with QoS 1, closed. Knows neither entries nor topics.

paho's thread does the network; what it says comes back into the event loop. A lost connection stays lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from vitalwire.errors import SinkError

from .mqtt_settings import BrokerSettings

KEEPALIVE = 30  # seconds
FAREWELL = 1.0  # seconds that saying goodbye takes at most
UNLIMITED = 0xFFFFFFFF


class Publication(NamedTuple):
    """What is to be published."""

    topic: str
    body: bytes
    content_type: str
    properties: Sequence[tuple[str, str]]


class MqttLink:
    """Made open by `connect`."""

    def __init__(self, settings: BrokerSettings) -> None:
        """Prepare a connection; raises UsageError for certificates and secrets that cannot be read."""
        self._loop = asyncio.get_running_loop()
        self._is_5 = settings.version == "5"
        self._window = settings.window
        self._settings = settings
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[str] = self._loop.create_future()  # why
        self._done: dict[int, ReasonCode] = {}  # by message id
        self._told = asyncio.Event()
        self.max_packet = UNLIMITED
        client = self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client,
            protocol=MQTTProtocolVersion.MQTTv5 if self._is_5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(0)  # what is under way is counted here
        if settings.tls is not False:
            client.tls_set_context(settings.tls.context())
        if settings.user is not None or settings.password is not None:
            client.username_pw_set(settings.user, settings.password.read() if settings.password else None)
        client.on_socket_open = _undelayed
        client.on_connect = self._on_connect
        client.on_connect_fail = lambda client, data: self._say(self._lost, cannot_connect())
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish

    async def connect(self) -> None:
        """Connect and authenticate; raises SinkError."""
        settings = self._settings
        try:
            self._client.connect_async(settings.host, settings.port, KEEPALIVE)
        except ValueError as error:
            raise SinkError(str(error), reason="configuration") from None
        self._client.loop_start()
        waiting: list[asyncio.Future[Any]] = [self._opened, self._closed]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not self._opened.done():
            raise SinkError(self._closed.result(), reason="connection")
        self._opened.result()

    async def publish(self, messages: Sequence[Publication]) -> list[ReasonCode]:
        """Publish in order; return what the broker says to each. Raises SinkError if the connection is lost."""
        ids: list[int] = []
        finished = 0
        results: list[ReasonCode] = []
        while len(results) < len(messages):
            self._told.clear()
            while len(ids) < len(messages) and len(ids) - finished < self._window:
                ids.append(self._send(messages[len(ids)]))
            while len(results) < len(ids) and ids[len(results)] in self._done:
                results.append(self._done.pop(ids[len(results)]))
            finished = len(results) + len(self._done)
            if len(results) < len(messages) and (len(ids) - finished >= self._window or len(ids) == len(messages)):
                if self._closed.done():
                    refused = [code for code in (*results, *self._done.values()) if code.is_failure]
                    raise SinkError(str(refused[0]) if refused else self._closed.result(), reason="connection")
                await self._told.wait()
        return results

    def _send(self, message: Publication) -> int:
        properties = None
        if self._is_5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ContentType = message.content_type
            properties.UserProperty = list(message.properties)
        info = self._client.publish(message.topic, message.body, qos=1, properties=properties)
        if info.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
            raise SinkError(f"cannot publish: {paho.error_string(info.rc)}")
        return info.mid

    async def close(self) -> None:
        """Say goodbye, and end the thread."""
        if self._opened.done() and not self._closed.done():
            self._client.disconnect()
            await asyncio.wait([self._closed], timeout=FAREWELL)
        await asyncio.to_thread(self._client.loop_stop)

    # ------------------------------------------------------------ paho's thread

    def _say(self, call: object, *values: object) -> None:
        self._loop.call_soon_threadsafe(call, *values)  # type: ignore[arg-type]

    def _on_connect(
        self, client: paho.Client, data: object, flags: object, code: ReasonCode, properties: Properties | None
    ) -> None:
        self._say(self._connected, code, properties)

    def _on_disconnect(
        self, client: paho.Client, data: object, flags: object, code: ReasonCode, properties: Properties | None
    ) -> None:
        self._say(self._lost, f"disconnected: {code}")

    def _on_publish(
        self, client: paho.Client, data: object, mid: int, code: ReasonCode, properties: Properties | None
    ) -> None:
        self._done[mid] = code
        _quickly(client)
        if not self._told.is_set():
            self._say(self._told.set)

    # ------------------------------------------------------------ the event loop

    def _connected(self, code: ReasonCode, properties: Properties | None) -> None:
        if self._opened.done():
            return
        if code.is_failure:
            self._opened.set_exception(SinkError(f"the broker refuses us: {code}", reason="refused"))
            return
        self._window = min(self._window, getattr(properties, "ReceiveMaximum", self._window))
        self.max_packet = getattr(properties, "MaximumPacketSize", UNLIMITED)
        self._opened.set_result(None)

    def _lost(self, why: str) -> None:
        if not self._closed.done():
            self._closed.set_result(why)
        self._told.set()


def cannot_connect() -> str:
    """Say why a connection was not made, called from paho's `on_connect_fail`: it is in the middle of the exception."""
    error = sys.exc_info()[1]
    why = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error or "")
    return f"cannot connect: {why}" if why else "cannot connect"


def _quickly(client: paho.Client) -> None:
    """Acknowledge the broker's segment now: one that does not send small packets at once waits for that, 40 ms."""
    if hasattr(socket, "TCP_QUICKACK"):
        _set(client.socket(), socket.TCP_QUICKACK)


def _undelayed(client: paho.Client, data: object, connection: object) -> None:
    """Have our own small packets sent at once, for the same reason."""
    _set(connection, socket.TCP_NODELAY)


def _set(connection: object, option: int) -> None:
    if isinstance(connection, socket.socket):
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, option, 1)
