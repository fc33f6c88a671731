"""Kafka, and Azure Event Hubs by its Kafka endpoint: an idempotent producer, each device's frames under its own key.

librdkafka keeps what is sent under one key in order through its own retries; where it gives a message up, it gives up
what lies behind it, too (gapless), and the batch comes again whole.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal, Self

from confluent_kafka import KafkaError, KafkaException, Producer
from pydantic import Field, model_validator

from vitalwire.errors import SinkError, UsageError
from vitalwire.settings import Secret, Tls
from vitalwire.spool import Entry

from .descriptors import FindDescriptor
from .forms import Former
from .settings import SinkSettings
from .sink import Rejected

log = logging.getLogger("vitalwire.sinks.kafka")

_PORT = 9093  # of Event Hubs
_USER = "$ConnectionString"
_ENDPOINT = re.compile(r"(?:^|;)Endpoint=sb://([^/;:]+)(?::(\d+))?/?(?:;|$)")
_ENTITY = re.compile(r"(?:^|;)EntityPath=([^;]+)(?:;|$)")
_NEVER = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE, KafkaError.INVALID_RECORD}
# What befalls the messages behind one that failed.
_FOLLOWED = {KafkaError._FATAL, KafkaError._GAPLESS_GUARANTEE, KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}
_TOLD = 16  # errors listened to, at most, where nothing could be opened
_STEP = 0.005  # seconds between looks at what was acknowledged


class Settings(SinkSettings):
    """`brokers` and `topic`; or an Event Hubs connection string, which says both (`topic` where it has no entity)."""

    kind: Literal["kafka"]
    brokers: tuple[str, ...] = ()
    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")] | None = None
    event_hubs: Secret | None = None
    user: str | None = None
    password: Secret | None = None
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    tls: Tls | Literal[False] = Tls()
    seconds: Annotated[float, Field(ge=1)] = 30.0  # until a message counts as not delivered

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.brokers) == (self.event_hubs is not None):
            raise ValueError("one of brokers and event_hubs")
        if self.brokers and self.topic is None:
            raise ValueError("brokers are given with a topic")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password are given together")
        return self


def from_settings(settings: Settings, find: FindDescriptor) -> Kafka:
    """Return the sink of these settings."""
    return Kafka(settings, Former(settings.form, find=find))


class Kafka:
    """One topic."""

    def __init__(self, settings: Settings, form: Former) -> None:
        self._settings = settings
        self._form = form
        self._producer: Producer | None = None
        self._topic = ""
        self._careful = False  # one message at a time, to find the one that a broker will not take
        self._never: dict[int, Rejected] = {}  # found so, by position
        self._error: KafkaError | None = None  # the last that librdkafka told beside the messages

    async def open(self) -> None:
        """Make the producer and see that a broker knows the topic."""
        try:
            options, self._topic = _options(self._settings)
            producer = Producer(options | {"error_cb": self._told})
        except UsageError as error:
            raise SinkError(str(error), reason="configuration") from None
        except KafkaException as error:
            raise SinkError(f"the settings do not fit: {error.args[0].str()}", reason="configuration") from None
        self._producer = producer
        try:
            found = await asyncio.to_thread(producer.list_topics, self._topic, self._settings.seconds)
        except KafkaException as error:
            for _ in range(_TOLD):  # what librdkafka told meanwhile: why it is not let in, for one
                self._served(producer)
            raise _trouble(self._error or error.args[0]) from None
        wrong = found.topics[self._topic].error
        if wrong is not None:
            raise _trouble(wrong)

    def _told(self, error: KafkaError) -> None:
        # Of several, the one that says why the brokers are down is worth more than that they are.
        if self._error is None or error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._error = error

    async def deliver(self, batch: Sequence[Entry]) -> Sequence[Rejected]:
        """Return when all replicas in step have each message."""
        producer = self._producer
        if producer is None:
            raise SinkError("the sink is not open")
        rejected = [self._never[entry.position] for entry in batch if entry.position in self._never]
        entries = [entry for entry in batch if entry.position not in self._never]
        step = 1 if self._careful else len(entries)
        for start in range(0, len(entries), step or 1):
            rejected += await self._send(producer, entries[start : start + step])
        self._never.clear()
        self._careful = False
        return rejected

    async def _send(self, producer: Producer, entries: Sequence[Entry]) -> list[Rejected]:
        rejected: list[Rejected] = []
        done: list[tuple[int, KafkaError | None]] = []
        for entry in entries:
            refused = await self._produce(producer, entry, done)
            if refused is not None:
                rejected.append(refused)
        sent = len(entries) - len(rejected)
        until = time.monotonic() + 2 * self._settings.seconds
        while len(done) < sent and time.monotonic() < until:
            if not self._served(producer):
                await asyncio.sleep(_STEP)
        failures = [(position, error) for position, error in done if error is not None]
        if failures:
            blamed = [Rejected(position, error.str()) for position, error in failures if error.code() in _NEVER]
            if self._careful:
                self._never |= {each.position: each for each in blamed}
            # A broker blames all that it got in one request: the next time each goes alone.
            self._careful = self._careful or bool(blamed)
            plain = [error for _, error in failures if error.code() not in _FOLLOWED]
            raise _trouble(plain[0] if plain else self._error or failures[0][1])
        if len(done) < sent:
            raise _trouble(self._error)
        return rejected

    def _served(self, producer: Producer) -> bool:
        """Call what waits to be called back; after a fatal error, of every message."""
        try:
            return producer.poll(0) > 0
        except KafkaException as error:
            self._told(error.args[0])
            producer.purge()
            return True

    async def _produce(
        self, producer: Producer, entry: Entry, done: list[tuple[int, KafkaError | None]]
    ) -> Rejected | None:
        message = self._form(entry)
        if isinstance(message, Rejected):
            return message
        headers: dict[str, Any] = {**message.properties, "content-type": message.content_type}
        try:
            while True:
                try:
                    producer.produce(
                        self._topic,
                        message.body,
                        entry.device,
                        timestamp=max(0, entry.arrived_us // 1000),
                        headers=headers,
                        on_delivery=lambda error, _: done.append((entry.position, error)),
                    )
                    return None
                except BufferError:
                    self._served(producer)
                    await asyncio.sleep(_STEP)
        except KafkaException as error:
            if error.args[0].code() in _NEVER:
                return Rejected(entry.position, error.args[0].str())
            raise _trouble(error.args[0]) from None

    async def close(self) -> None:
        """Forget what was not acknowledged, and disconnect."""
        producer, self._producer, self._error = self._producer, None, None
        if producer is not None:
            producer.purge()
            self._served(producer)
            await asyncio.to_thread(_flush, producer)


def _flush(producer: Producer) -> None:
    with suppress(KafkaException):
        producer.flush(1)


def _options(settings: Settings) -> tuple[dict[str, Any], str]:
    """Return librdkafka's options, and the topic."""
    brokers, topic = ",".join(settings.brokers), settings.topic
    user = settings.user
    password = settings.password.read() if settings.password else None
    if settings.event_hubs is not None:
        user, password = _USER, settings.event_hubs.read()
        endpoint, entity = _ENDPOINT.search(password), _ENTITY.search(password)
        if endpoint is None:
            raise UsageError("the Event Hubs connection string has no Endpoint")
        brokers = f"{endpoint[1]}:{endpoint[2] or _PORT}"
        topic = entity[1] if entity else topic
        if topic is None:
            raise UsageError("the Event Hubs connection string has no EntityPath, and no topic is given")
    assert topic is not None
    milliseconds = int(settings.seconds * 1000)
    options: dict[str, Any] = {
        "bootstrap.servers": brokers,
        "client.id": "vitalwire",
        "enable.idempotence": True,  # and with it acks=all
        "enable.gapless.guarantee": True,
        "delivery.timeout.ms": milliseconds,
        "request.timeout.ms": milliseconds,
        "socket.timeout.ms": milliseconds,
        "linger.ms": 2,
        "logger": log,
        "log_level": 3,  # errors and worse
        "security.protocol": ("SASL_" if user else "") + ("PLAINTEXT" if settings.tls is False else "SSL"),
    }
    if user is not None:
        options |= {"sasl.mechanism": settings.mechanism, "sasl.username": user, "sasl.password": password}
    if settings.tls is not False:
        options |= _tls(settings.tls)
    return options, topic


def _tls(tls: Tls) -> dict[str, Any]:
    told: dict[str, Any] = {"ssl.endpoint.identification.algorithm": "https"}
    if tls.ca is not None:
        told["ssl.ca.location"] = str(tls.ca)
    if tls.certificate is not None:
        told |= {"ssl.certificate.location": str(tls.certificate), "ssl.key.location": str(tls.key)}
        if tls.password is not None:
            told["ssl.key.password"] = tls.password.read()
    return told


def _trouble(error: KafkaError | None) -> SinkError:
    if error is None:
        return SinkError("not acknowledged in time", reason="timeout")
    return SinkError(f"Kafka: {error.str()}", reason=str(error.name()))
