"""`mqtt://host:port/topic` and `mqtts://...`: the frames published under a topic filter. Needs `vitalwire[mqtt]`.

With `client=NAME` the broker keeps what comes while nobody reads. Other options: `user`, `password_file`; of mqtts
`ca`, `certificate` and `key`, files in PEM.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from pathlib import Path

try:
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode
except ImportError:
    paho = None  # type: ignore[assignment]

from vitalwire.errors import TransportError, UsageError
from vitalwire.transports.address import Address

from .inbox import Inbox

PORTS = {"mqtt": 1883, "mqtts": 8883}
CONNECT_SECONDS = 10.0
KEPT_SECONDS = 7 * 86_400  # that a broker keeps messages for a named client, unless it says less
WAIT = 0.25  # seconds between looks at whether somebody still reads


def from_address(address: Address) -> Mqtt:
    """Return the transport of an address, not yet open. Raises UsageError for one it does not understand."""
    options = address.read(**dict.fromkeys(("client", "user", "password_file", "ca", "certificate", "key"), str))
    host, _, topic = address.target.removeprefix("//").partition("/")
    name, _, port = host.partition(":") if host.count(":") == 1 else (host, "", "")
    if not address.target.startswith("//") or not name or not topic or not (port.isdecimal() or not port):
        raise UsageError(f"{address.scheme}:{address.target} names no host and topic", advice="mqtt://host/topic")
    if paho is None:
        raise UsageError("MQTT needs paho-mqtt", advice='Install "vitalwire[mqtt]".')
    return Mqtt(address.scheme, name, int(port or PORTS[address.scheme]), topic, options)


class Mqtt(Inbox):
    """One subscription, of quality of service 1."""

    def __init__(self, scheme: str, host: str, port: int, topic: str, options: Mapping[str, str]) -> None:
        super().__init__()
        self._is_tls = scheme == "mqtts"
        self._peer = (host, port)
        self._topic = topic
        self._options = options
        self._client: paho.Client | None = None
        self._ready = threading.Event()
        self._refusal = ""

    def open(self) -> None:
        """Connect and subscribe; TransportError if that cannot be done now."""
        super().open()
        self._ready.clear()
        self._refusal = "no answer"
        client = self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            self._options.get("client", ""),
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.on_connect = self._on_connect
        client.on_connect_fail = lambda *_: self._lost("cannot connect")
        client.on_disconnect = lambda client, data, flags, code, properties: self._lost(str(code))
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        named = "client" in self._options
        if named:
            properties.SessionExpiryInterval = KEPT_SECONDS
        try:
            self._authenticate(client)
            client.connect_async(*self._peer, clean_start=not named, properties=properties)
        except (OSError, ValueError) as error:
            raise TransportError(f"cannot subscribe at {self._peer[0]}: {error}") from None
        client.loop_start()
        if not self._ready.wait(CONNECT_SECONDS) or self._refusal:
            self.close()
            raise TransportError(f"cannot subscribe at {self._peer[0]}: {self._refusal}")

    def close(self) -> None:
        """Disconnect."""
        super().close()
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def _authenticate(self, client: paho.Client) -> None:
        options = self._options
        if "user" in options or "password_file" in options:
            file = options.get("password_file")
            client.username_pw_set(options.get("user"), Path(file).read_text().rstrip("\r\n") if file else None)
        if self._is_tls:
            context = ssl.create_default_context(cafile=options.get("ca"))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if "certificate" in options:
                context.load_cert_chain(options["certificate"], options.get("key"))
            client.tls_set_context(context)

    # ------------------------------------------------------------ paho's thread

    def _on_connect(self, client: paho.Client, data: object, flags: object, code: ReasonCode, _: object) -> None:
        if code.is_failure:
            self._lost(str(code))
        else:
            client.subscribe(self._topic, qos=1)

    def _on_subscribe(self, client: paho.Client, data: object, mid: int, codes: list[ReasonCode], _: object) -> None:
        self._refusal = str(codes[0]) if codes[0].is_failure else ""
        self._ready.set()

    def _on_message(self, client: paho.Client, data: object, message: paho.MQTTMessage) -> None:
        while self._is_open and not self.put(bytes(message.payload), WAIT):
            pass

    def _lost(self, why: str) -> None:
        self.fail(f"lost {self._peer[0]}: {why}")
        if not self._ready.is_set():
            self._refusal = why
            self._ready.set()
