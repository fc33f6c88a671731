"""Kafka and Event Hubs, on librdkafka's mock cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Message
from pydantic import ValidationError
from tests.sinks.entries import drive, entries_of, unknown
from tests.sinks.kafka_mock import MockCluster, mock_cluster
from tests.sinks.servers import free_port

from vitalwire.errors import SinkError
from vitalwire.sinks.kafka import Kafka, Settings, _options, from_settings
from vitalwire.spool import Entry
from vitalwire.testing import FakeDevice

TOPIC = "vitals"


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    """Run three brokers that know the topic."""
    with mock_cluster() as found:
        found.create(TOPIC)
        yield found


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    """Return frames of some devices."""
    return entries_of([FakeDevice(f"bed-{n}") for n in range(5)], 30)


def kafka(brokers: Sequence[str], **more: object) -> Kafka:
    """Return the sink for these brokers."""
    given = {"kind": "kafka", "brokers": list(brokers), "topic": TOPIC, "tls": False, "seconds": 5.0}
    return from_settings(Settings.model_validate(given | more), unknown)


def assert_all_in_order(messages: Sequence[Message], entries: Sequence[Entry]) -> None:
    """Each device's frames are under its key, in one partition, in order; repeats only of what was not acknowledged."""
    for name in {entry.device for entry in entries}:
        mine = [message for message in messages if message.key() == name.encode()]
        assert len({message.partition() for message in mine}) == 1
        bodies = list(dict.fromkeys(message.value() for message in mine))
        assert bodies == [entry.raw for entry in entries if entry.device == name]


def test_frames_lie_under_their_device(cluster: MockCluster, entries: list[Entry]) -> None:
    """Every frame is there once, byte for byte, keyed by device, with its digest and its type beside it."""
    delivery = asyncio.run(drive(kafka(cluster.brokers), entries))
    assert (delivery.errors, delivery.rejected) == ([], [])
    messages = cluster.stored(TOPIC)
    assert len(messages) == len(entries)
    assert_all_in_order(messages, entries)
    by_body = {entry.raw: entry for entry in entries}
    for message in messages:
        entry = by_body[message.value() or b""]
        headers = dict(message.headers() or [])
        assert headers["digest"] == entry.digest.hex().encode()
        assert headers["content-type"] == b'application/cose; cose-type="cose-sign1"'
        assert message.timestamp()[1] == entry.arrived_us // 1000


def test_passing_errors_are_ridden_out(cluster: MockCluster, entries: list[Entry]) -> None:
    """Leaders that moved, replicas missing, time-outs: retried within the producer, still once and in order."""
    cluster.fail(
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    )
    delivery = asyncio.run(drive(kafka(cluster.brokers), entries))
    assert delivery.rejected == []
    assert_all_in_order(cluster.stored(TOPIC), entries)


def test_brokers_that_fall_lose_nothing(cluster: MockCluster, entries: list[Entry], long: bool) -> None:
    """All brokers go away in the middle of batches and come back: everything is there, in order, once by digest."""

    async def run() -> int:
        for number in (1, 2, 3):
            cluster.slow(number, 20)
        delivering = asyncio.create_task(drive(kafka(cluster.brokers, seconds=1.0), entries, size=20))
        for _ in range(2 if long else 1):
            await asyncio.sleep(0.1)
            for number in (1, 2, 3):
                cluster.down(number)
            await asyncio.sleep(1.7)
            for number in (1, 2, 3):
                cluster.up(number)
        return len((await delivering).errors)

    assert asyncio.run(run()) > 0
    assert_all_in_order(cluster.stored(TOPIC), entries)


def test_what_lies_behind_a_lost_request_waits(cluster: MockCluster, entries: list[Entry]) -> None:
    """Of several requests of one device under way the first is refused: none behind it gets in front of it."""
    large = [replace(entries[0], position=n, seq=n, raw=b"\xd2" + n.to_bytes(4) + bytes(2500)) for n in range(1, 1001)]
    for number in (1, 2, 3):
        cluster.slow(number, 30)
    cluster.fail(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    delivery = asyncio.run(drive(kafka(cluster.brokers), large, size=1000))
    assert delivery.errors
    assert_all_in_order(cluster.stored(TOPIC), large)


def test_what_a_broker_never_takes_is_found(cluster: MockCluster, entries: list[Entry]) -> None:
    """A request refused for a message's size is sent again one by one; only what is refused alone is rejected."""
    entries = [entry for entry in entries if entry.seq <= 8]
    cluster.fail(KafkaError.MSG_SIZE_TOO_LARGE)  # the first request, whatever is in it
    delivery = asyncio.run(drive(kafka(cluster.brokers), entries))
    assert delivery.rejected == []
    assert delivery.errors
    assert_all_in_order(cluster.stored(TOPIC), entries)

    async def run() -> None:
        sink = kafka(cluster.brokers)
        more = entries_of([FakeDevice("late")], 3, first=1000)
        for _ in range(2):  # together, then alone
            cluster.fail(KafkaError.MSG_SIZE_TOO_LARGE)
            await sink.open()
            with pytest.raises(SinkError):
                await sink.deliver(more)
            await sink.close()
        delivery = await drive(sink, more)
        assert [each.position for each in delivery.rejected] == [1000]

    asyncio.run(run())
    assert sum(message.key() == b"late" for message in cluster.stored(TOPIC)) == 2


def test_who_is_away_or_not_allowed_is_told(cluster: MockCluster, tmp_path: Path, entries: list[Entry]) -> None:
    """Nobody there, a topic we may not write to and a login that fails are SinkErrors, without the password."""

    def error(sink: Kafka) -> SinkError:
        return asyncio.run(drive(sink, entries[:1], patience=0)).errors[0]

    assert error(kafka([f"127.0.0.1:{free_port()}"], seconds=1.0)).reason in {"_TRANSPORT", "_ALL_BROKERS_DOWN"}
    cluster.fail(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    assert error(kafka(cluster.brokers)).reason == "TOPIC_AUTHORIZATION_FAILED"
    secret = tmp_path / "secret"
    secret.write_text("the-password")
    login = {"user": "gateway", "password": {"file": str(secret)}, "seconds": 1.0}
    said = error(kafka(cluster.brokers, **login))
    assert said.reason in {"_AUTHENTICATION", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_TIMED_OUT"}
    assert "the-password" not in str(said)


def test_event_hubs_is_one_thing_to_say(tmp_path: Path) -> None:
    """A connection string alone gives broker, topic, user and password, over TLS; what is not one is refused."""
    secret = tmp_path / "hubs"
    text = "Endpoint=sb://ward.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=a2V5;EntityPath=vitals"
    secret.write_text(text + "\n")
    hubs = Settings.model_validate({"kind": "kafka", "event_hubs": {"file": str(secret)}})
    options, topic = _options(hubs)
    assert topic == "vitals"
    assert options["bootstrap.servers"] == "ward.servicebus.windows.net:9093"
    assert (options["security.protocol"], options["sasl.mechanism"]) == ("SASL_SSL", "PLAIN")
    assert (options["sasl.username"], options["sasl.password"]) == ("$ConnectionString", text)
    for wrong in ("nothing", text.replace("EntityPath=vitals", "")):
        secret.write_text(wrong)
        with pytest.raises(SinkError, match="Event Hubs connection string has no"):
            asyncio.run(from_settings(hubs, unknown).open())
    for strange in ({}, {"brokers": ["a:1"]}, {"brokers": ["a:1"], "topic": "a", "user": "u"}):
        with pytest.raises(ValidationError):
            Settings.model_validate({"kind": "kafka"} | strange)
