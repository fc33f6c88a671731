"""Frames from an MQTT broker, whose access rules bind each device to its topics: below `prefix`, a level for its name.

    PREFIX/DEVICE/frames     from the device: one frame, as it is
    PREFIX/DEVICE/replies    from the device: packets, as on a stream (SPEC section 9)
    PREFIX/DEVICE/commands   to the device: packets; acknowledgements among them, once its frames are durable

With `topics = "iothub"` they are IoT Hub's, which our firmware speaks; the content type tells frames from packets:

    devices/DEVICE/messages/events/PROPERTIES   from the device: `$.ct` is application/cose, or PACKETS
    devices/DEVICE/messages/devicebound/        to the device

A frame whose port is full is left out: its device keeps what is not acknowledged and sends it again.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, unquote

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import Field

from vitalwire.errors import TransportError, UsageError
from vitalwire.gateway.port import Port
from vitalwire.sinks.mqtt_link import cannot_connect
from vitalwire.sinks.mqtt_settings import BrokerSettings

from .door import Door, SourceSettings
from .streams import IDLE, Backoff

KEEPALIVE = 30  # seconds
CONNECT_SECONDS = 10.0
LOOK = 2.0  # seconds between looks at which devices fell silent
MOST_DEVICES = 10_000
MOST_WAITING = 1024  # messages on their way from paho's thread
PACKETS = "application/vnd.vitalwire.packets"


class Settings(BrokerSettings, SourceSettings):
    """`prefix`, of `plain` topics, may have several levels."""

    kind: Literal["mqtt"]
    topics: Literal["plain", "iothub"] = "plain"
    prefix: str = Field("vitalwire", pattern=r"^[^+#]+[^+#/]$")


def from_settings(settings: Settings) -> Mqtt:
    """Return the source of these settings."""
    return Mqtt(settings)


class _Plain:
    """Topics below a prefix."""

    def __init__(self, prefix: str) -> None:
        self.filters = [f"{prefix}/+/frames", f"{prefix}/+/replies"]
        self._prefix = prefix

    def read(self, topic: str) -> tuple[str, bool]:
        """Return a topic's level for the device, and whether a frame comes there."""
        *_, level, what = topic.split("/")
        return level, what == "frames"

    def commands(self, level: str) -> str:
        """Return where a device listens."""
        return f"{self._prefix}/{level}/commands"


class _IotHub:
    """IoT Hub's topics."""

    filters = ("devices/+/messages/events/#",)

    def read(self, topic: str) -> tuple[str, bool]:
        """Return a topic's level for the device, and whether a frame comes there."""
        _, level, _, _, *properties = topic.split("/", 4)
        return level, PACKETS not in parse_qs("".join(properties)).get("$.ct", ())

    def commands(self, level: str) -> str:
        """Return where a device listens."""
        return f"devices/{level}/messages/devicebound/"


@dataclass(slots=True)
class _Device:
    port: Port
    heard: float


class Mqtt:
    """One broker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def run(self, door: Door) -> None:
        """Keep subscribed. Raises UsageError for certificates and secrets that cannot be read."""
        backoff = Backoff()
        peer = f"{self._settings.host}:{self._settings.port}"
        while True:
            subscription = _Subscription(self._settings, door)
            try:
                await subscription.run()
            except TransportError as error:
                door.failed(peer, str(error))
            if subscription.worked:
                backoff.succeeded()
            await backoff.wait()


class _Subscription:
    """One connection, until it is lost."""

    def __init__(self, settings: Settings, door: Door) -> None:
        self.worked = False
        self._settings = settings
        self._topics = _IotHub() if settings.topics == "iothub" else _Plain(settings.prefix)
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[str] = self._loop.create_future()
        self._room = threading.Semaphore(MOST_WAITING)
        self._devices: dict[str, _Device] = {}
        client = self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client,
            protocol=MQTTProtocolVersion.MQTTv5 if settings.version == "5" else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        if settings.tls is not False:
            client.tls_set_context(settings.tls.context())
        if settings.user is not None or settings.password is not None:
            client.username_pw_set(settings.user, settings.password.read() if settings.password else None)
        client.on_connect = self._on_connect
        client.on_connect_fail = lambda client, data: self._say(cannot_connect())
        client.on_disconnect = lambda client, data, flags, code, properties: self._say(f"disconnected: {code}")
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message

    async def run(self) -> None:
        """Subscribe and pass on what comes; raises TransportError when the connection is lost."""
        try:
            self._client.connect_async(self._settings.host, self._settings.port, KEEPALIVE)
        except ValueError as error:
            raise UsageError(str(error)) from None
        self._client.loop_start()
        began = time.monotonic()
        try:
            while not self._lost.done():
                await asyncio.wait([self._lost], timeout=LOOK)
                if not self.worked and time.monotonic() - began > CONNECT_SECONDS:
                    raise TransportError("no answer")
                for name in [name for name, each in self._devices.items() if time.monotonic() - each.heard > IDLE]:
                    self._door.shut(self._devices.pop(name).port, f"silent for {IDLE:g} s")
            raise TransportError(self._lost.result())
        finally:
            self._client.disconnect()
            self._room.release(MOST_WAITING)  # so that nobody waits for it any more
            await asyncio.to_thread(self._client.loop_stop)
            for device in self._devices.values():
                self._door.shut(device.port)

    # ------------------------------------------------------------ paho's thread

    def _say(self, why: str) -> None:
        self._loop.call_soon_threadsafe(lambda: None if self._lost.done() else self._lost.set_result(why))

    def _on_connect(self, client: paho.Client, data: object, flags: object, code: ReasonCode, _: object) -> None:
        if code.is_failure:
            self._say(f"the broker refuses us: {code}")
        else:
            client.subscribe([(each, 1) for each in self._topics.filters])

    def _on_subscribe(self, client: paho.Client, data: object, mid: int, codes: list[ReasonCode], _: object) -> None:
        refused = [code for code in codes if code.is_failure]
        if refused:
            self._say(f"the broker refuses the subscription: {refused[0]}")
        else:
            self.worked = True

    def _on_message(self, client: paho.Client, data: object, message: paho.MQTTMessage) -> None:
        self._room.acquire()
        self._loop.call_soon_threadsafe(self._take, message.topic, bytes(message.payload))

    # ------------------------------------------------------------ the event loop

    def _take(self, topic: str, payload: bytes) -> None:
        self._room.release()
        level, is_frame = self._topics.read(topic)
        name = unquote(level)
        if name not in self._devices:
            if len(self._devices) >= MOST_DEVICES or self._lost.done():
                return
            commands = self._topics.commands(level)
            port = self._door.open(name, (name,), lambda packets: self._send(commands, packets))
            self._devices[name] = _Device(port, 0.0)
        device = self._devices[name]
        device.heard = time.monotonic()
        if device.port.is_full:
            return
        if is_frame:
            device.port.give_frame(payload)
        else:
            device.port.give(payload)

    def _send(self, topic: str, packets: bytes) -> None:
        self._client.publish(topic, packets)  # what is lost is said again
