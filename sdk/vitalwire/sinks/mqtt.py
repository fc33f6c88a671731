"""Delivers to an MQTT broker, version 5 or 3.1.1, with QoS 1: durable is what the broker has acknowledged (PUBACK).

A batch goes out in its order, `window` messages under way at a time. On version 5 each message bears the properties of
its form as user properties, the digest among them, and the broker says why it does not take one; on 3.1.1 it cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from urllib.parse import quote

from pydantic import Field

from vitalwire.errors import SinkError, UsageError
from vitalwire.spool import Entry

from .descriptors import FindDescriptor
from .forms import Former, Message
from .mqtt_link import MqttLink, Publication
from .mqtt_settings import BrokerSettings
from .settings import SinkSettings
from .sink import Rejected

TOPIC_NAME_INVALID, PACKET_TOO_LARGE, PAYLOAD_FORMAT_INVALID = 0x90, 0x95, 0x99  # MQTT 5, section 2.4
_BLAMED = (TOPIC_NAME_INVALID, PACKET_TOO_LARGE, PAYLOAD_FORMAT_INVALID)
_OVERHEAD = 64  # bytes of a PUBLISH beside topic, properties and body, at most
_PER_PROPERTY = 5


class Settings(BrokerSettings, SinkSettings):
    """`topic` may hold {device}, {thumbprint} and {kind}; a name is %-quoted where it is no topic level."""

    kind: Literal["mqtt"]
    topic: str = Field("vitalwire/{device}/frames", pattern=r"^([^{}+#\x00]|\{(device|thumbprint|kind)\})+$")


def from_settings(settings: Settings, find: FindDescriptor) -> Mqtt:
    """Return the sink of these settings."""
    return Mqtt(settings, Former(settings.form, find=find))


class Mqtt:
    """One broker."""

    def __init__(self, settings: Settings, form: Former) -> None:
        self._settings = settings
        self._form = form
        self._link: MqttLink | None = None

    async def open(self) -> None:
        """Connect and authenticate."""
        try:
            self._link = MqttLink(self._settings)
        except UsageError as error:
            raise SinkError(str(error), reason="configuration") from None
        await self._link.connect()

    async def deliver(self, batch: Sequence[Entry]) -> Sequence[Rejected]:
        """Publish a batch and wait for all its acknowledgements."""
        if self._link is None:
            raise SinkError("the sink is not open")
        rejected: list[Rejected] = []
        entries: list[Entry] = []
        publications: list[Publication] = []
        for entry in batch:
            message = self._form(entry)
            if not isinstance(message, Rejected):
                publication = self._publication(entry, message)
                size = _size(publication)
                if size <= self._link.max_packet:
                    entries.append(entry)
                    publications.append(publication)
                    continue
                message = Rejected(entry.position, f"{size} bytes, the broker takes {self._link.max_packet}")
            rejected.append(message)
        for entry, code in zip(entries, await self._link.publish(publications), strict=True):
            if code.value in _BLAMED:
                rejected.append(Rejected(entry.position, str(code)))
            elif code.is_failure:
                raise SinkError(f"the broker does not take a message: {code}", reason=str(code.value))
        return rejected

    async def close(self) -> None:
        """Disconnect."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def _publication(self, entry: Entry, message: Message) -> Publication:
        topic = self._settings.topic.format(
            device=quote(entry.device, safe=" "),
            thumbprint=entry.thumbprint.hex(),
            kind=message.properties["kind"],
        )
        return Publication(topic, message.body, message.content_type, list(message.properties.items()))


def _size(publication: Publication) -> int:
    """Return how long a PUBLISH is at most."""
    topic, body, content_type, properties = publication
    texts = sum(len(name.encode()) + len(value.encode()) + _PER_PROPERTY for name, value in properties)
    return len(topic.encode()) + len(body) + len(content_type) + texts + _OVERHEAD
