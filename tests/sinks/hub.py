"""What stands in for Azure's side on loopback: mosquitto behind a door that judges tokens as IoT Hub does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import shutil
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote

import aiomqtt
from tests.gateway.certificates import Certificates
from tests.sinks.servers import Server, free_port
from tests.waiting import FAR

# Debian keeps it where only root looks.
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
RENAMED = "-x"  # what our provisioning puts behind a registration's name
KEY = base64.b64encode(b"an enrolment group's key, 32 byte").decode()


def mosquitto(folder: Path, *lines: str, address: str = "127.0.0.1", port: int = 0, plain: int = 0) -> Server:
    """Return a broker with Azure's limits, not yet running; `lines` go to its listener. `plain` is one without TLS."""
    port = port or free_port()
    config = folder / f"mosquitto{port}.conf"
    limits = ("allow_anonymous true", "max_qos 1", "max_queued_messages 0")
    first = [f"listener {plain} 127.0.0.1"] if plain else []  # it listens before the one that is waited for
    text = [*first, f"listener {port} {address}", *lines, *limits, "user root", "set_tcp_nodelay true"]
    config.write_text("\n".join([*text, ""]))
    assert MOSQUITTO is not None
    return Server([MOSQUITTO, "-c", config], port, folder / f"mosquitto{port}.log", address=address)


def tls_lines(made: Certificates, *, mutual: bool) -> list[str]:
    """Return the lines of a listener with certificates."""
    certificate, key = made.issue("hub")
    asked = ["require_certificate true"] if mutual else []
    return [f"cafile {made.ca}", f"certfile {certificate}", f"keyfile {key}", *asked]


@dataclass
class Door:
    """Between devices and a broker: reads CONNECT, checks the token, closes when it expires."""

    behind: int
    connects: list[str] = field(default_factory=list)  # client ids
    refused: list[str] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)  # connections that outlived their token
    ahead: float = 0.0  # seconds by which the hub's clock is later than ours
    answers: Callable[[str], int] = lambda _: 0  # CONNACK codes by client id, before the token is looked at
    usernames: set[str] = field(default_factory=set)
    port: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    def slam(self) -> None:
        """Break all connections at once."""
        for writer in self.open:
            writer.transport.abort()

    def judge(self, username: str, password: str, client: str) -> float:
        """Return how long the token is good; 0 for one that is not."""
        self.usernames.add(username)
        given = parse_qs(password.removeprefix("SharedAccessSignature "))
        (resource,), (expires,) = given["sr"], given["se"]
        host = username.partition("/")[0]  # of the provisioning service: the scope
        wanted = f"{host}/registrations/{client}" if "skn" in given else f"{host}/devices/{client}"
        if resource != wanted or given.get("skn", ["registration"]) != ["registration"]:
            return 0
        name = client.removesuffix(RENAMED)  # the key stays that of the registration
        key = hmac.new(base64.b64decode(KEY), name.encode(), hashlib.sha256).digest()
        right = hmac.new(key, f"{quote(resource, safe='')}\n{expires}".encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(right, base64.b64decode(given["sig"][0])):
            return 0
        return max(0.0, int(expires) - time.time() - self.ahead)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)
        with suppress(OSError, asyncio.IncompleteReadError):
            first = await reader.readexactly(1)
            size, shift, head = 0, 0, first
            while True:
                byte = await reader.readexactly(1)
                head += byte
                size |= (byte[0] & 127) << shift
                shift += 7
                if byte[0] < 128:
                    break
            body = await reader.readexactly(size)
            at, texts = 10, []
            while at < len(body):
                length = int.from_bytes(body[at : at + 2], "big")
                texts.append(body[at + 2 : at + 2 + length].decode())
                at += 2 + length
            client, username, password = texts
            self.connects.append(client)
            code = self.answers(client)
            seconds = self.judge(username, password, client) if code == 0 else 0.0
            if seconds == 0:
                self.refused.append(client)
                writer.write(bytes([0x20, 2, 0, code or 5]))
                await writer.drain()
            else:
                await self._forward(head + body, reader, writer, client, seconds)
        writer.close()

    async def _forward(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: str, seconds: float
    ) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", self.behind)
        outer.write(first)
        self.open.add(writer)

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await source.read(65536):
                    target.write(data)
                    await target.drain()

        pumps = [asyncio.create_task(pump(reader, outer)), asyncio.create_task(pump(inner, writer))]
        done, _ = await asyncio.wait(pumps, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            self.expired.append(client)
        self.open.discard(writer)
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        outer.close()


@asynccontextmanager
async def door(behind: Server, made: Certificates) -> AsyncIterator[Door]:
    """Open the door for the block."""
    standing = Door(behind.port)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*made.issue("hub"))
    server = await asyncio.start_server(standing.serve, "127.0.0.1", 0, ssl=context)
    standing.port = server.sockets[0].getsockname()[1]
    try:
        yield standing
    finally:
        server.close()
        standing.slam()
        if standing.serving:
            await asyncio.wait(standing.serving, timeout=5)


@dataclass
class Watcher:
    """What came to the broker: topics and bodies, in order."""

    messages: list[tuple[str, bytes]] = field(default_factory=list)

    async def until(self, count: int) -> None:
        """Wait until so many different messages have come."""
        async with asyncio.timeout(FAR):
            while len(set(self.messages)) < count:
                await asyncio.sleep(0.02)

    def bodies(self, device: str) -> list[bytes]:
        """Return what came of a device, each body where it came first."""
        return list(dict.fromkeys(body for topic, body in self.messages if topic.split("/")[1] == device))


@asynccontextmanager
async def watching(port: int, topic: str = "devices/#") -> AsyncIterator[tuple[Watcher, aiomqtt.Client]]:
    """Subscribe for the block, over a listener without TLS; the client may publish as the cloud would."""
    watcher = Watcher()
    async with aiomqtt.Client("127.0.0.1", port, identifier="cloud", timeout=FAR) as client:
        await client.subscribe(topic, qos=1)

        async def listen() -> None:
            with suppress(aiomqtt.MqttError):
                async for message in client.messages:
                    watcher.messages.append((str(message.topic), bytes(message.payload or b"")))

        task = asyncio.create_task(listen())
        try:
            yield watcher, client
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
