"""librdkafka's own mock cluster: brokers in memory that speak the protocol over TCP, and fail as they are told."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka import Consumer, Message, TopicPartition
from tests.waiting import FAR

PRODUCE = 0  # the protocol's number of the request


def _library() -> Any:
    (path,) = Path(confluent_kafka.__file__).parents[1].glob("confluent_kafka.libs/librdkafka-*")
    library = ctypes.CDLL(str(path))
    handle, text = ctypes.c_void_p, ctypes.c_char_p
    for name, result, arguments in (
        ("conf_new", handle, ()),
        ("conf_set", ctypes.c_int, (handle, text, text, text, ctypes.c_size_t)),
        ("new", handle, (ctypes.c_int, handle, text, ctypes.c_size_t)),
        ("destroy", None, (handle,)),
        ("mock_cluster_new", handle, (handle, ctypes.c_int)),
        ("mock_cluster_destroy", None, (handle,)),
        ("mock_cluster_bootstraps", text, (handle,)),
        ("mock_topic_create", ctypes.c_int, (handle, text, ctypes.c_int, ctypes.c_int)),
        ("mock_broker_set_down", ctypes.c_int, (handle, ctypes.c_int32)),
        ("mock_broker_set_up", ctypes.c_int, (handle, ctypes.c_int32)),
        ("mock_broker_set_rtt", ctypes.c_int, (handle, ctypes.c_int32, ctypes.c_int)),
    ):
        function = getattr(library, f"rd_kafka_{name}")
        function.restype, function.argtypes = result, arguments
    return library


@dataclass
class MockCluster:
    """Three brokers."""

    library: Any
    handle: int
    brokers: list[str]

    def create(self, topic: str, partitions: int = 4) -> None:
        """Make a topic with three replicas."""
        assert self.library.rd_kafka_mock_topic_create(self.handle, topic.encode(), partitions, 3) == 0

    def down(self, number: int) -> None:
        """Take a broker away: connections end, new ones are refused."""
        self.library.rd_kafka_mock_broker_set_down(self.handle, number)

    def up(self, number: int) -> None:
        """Bring a broker back."""
        self.library.rd_kafka_mock_broker_set_up(self.handle, number)

    def slow(self, number: int, milliseconds: int) -> None:
        """Let a broker take so long to answer."""
        self.library.rd_kafka_mock_broker_set_rtt(self.handle, number, milliseconds)

    def fail(self, *errors: int, request: int = PRODUCE) -> None:
        """Let the next requests of this kind fail with these errors, one each."""
        array = (ctypes.c_int * len(errors))(*errors)
        push = self.library.rd_kafka_mock_push_request_errors_array
        push(ctypes.c_void_p(self.handle), ctypes.c_int16(request), ctypes.c_size_t(len(errors)), array)

    def stored(self, topic: str, partitions: int = 4) -> list[Message]:
        """Return what is in the topic, partition by partition."""
        options = {"bootstrap.servers": ",".join(self.brokers), "group.id": "test", "enable.auto.commit": False}
        consumer = Consumer({**options, "log_level": 0})
        try:
            messages: list[Message] = []
            for number in range(partitions):
                _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=FAR)
                consumer.assign([TopicPartition(topic, number, 0)])
                while end:
                    message = consumer.poll(FAR)
                    assert message is not None
                    assert message.error() is None
                    messages.append(message)
                    if (message.offset() or 0) + 1 >= end:
                        break
            return messages
        finally:
            consumer.close()


@contextmanager
def mock_cluster() -> Iterator[MockCluster]:
    """Run a cluster for the block."""
    library = _library()
    settings = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(settings, b"log_level", b"0", None, 0)
    client = library.rd_kafka_new(0, settings, ctypes.create_string_buffer(512), 512)
    handle = library.rd_kafka_mock_cluster_new(client, 3)
    try:
        brokers = library.rd_kafka_mock_cluster_bootstraps(handle).decode().split(",")
        yield MockCluster(library, handle, brokers)
    finally:
        library.rd_kafka_mock_cluster_destroy(handle)
        library.rd_kafka_destroy(client)
