"""NATS JetStream: real servers, one and three of them, killed, stopped and refusing."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import nats.errors
import nkeys
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DiscardPolicy, StorageType, StreamConfig
from tests.gateway.certificates import Certificates
from tests.sinks.entries import drive, entries_of, entry_of, more_of, through_sdk, unknown
from tests.sinks.servers import Server, free_port

from vitalwire.errors import SinkError
from vitalwire.sinks.nats import Nats, Settings, from_settings, token
from vitalwire.spool import Entry
from vitalwire.testing import FakeDevice

STREAM = "vitals"


def nats_of(*servers: Server, **more: object) -> Nats:
    """Return the sink for these servers."""
    urls = [f"nats://127.0.0.1:{server.port}" for server in servers]
    given = {"kind": "nats", "servers": urls, "stream": STREAM, "create": True, "tls": False} | more
    return from_settings(Settings.model_validate(given), unknown)


def node(folder: Path, *arguments: str, name: str = "solo") -> Server:
    """Return a server with its own store that syncs every write, not yet running."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    config = folder / f"{name}.conf"
    config.write_text(f'jetstream {{ store_dir: "{folder}/{name}", sync_interval: always }}\n')
    command = ["nats-server", "-a", "127.0.0.1", "-p", str(port), "-n", name, "-c", str(config), *arguments]
    return Server(command, port, folder / f"{name}.log")


@pytest.fixture
def solo(tmp_path: Path) -> Iterator[Server]:
    """Run one server."""
    with node(tmp_path) as server:
        yield server


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Sequence[Server]]:
    """Run a cluster of three; `monitor` ports answer who leads."""
    ports = [free_port() for _ in range(3)]
    routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
    with ExitStack() as stack:
        nodes = [
            node(
                tmp_path,
                *("--cluster_name", "ward", "--cluster", f"nats://127.0.0.1:{port}", "--routes", routes),
                name=f"n{number}",
            )
            for number, port in enumerate(ports)
        ]
        for server in nodes:
            server.start(wait=False)
            stack.callback(server.kill)
        for server in nodes:
            server.wait()
        yield nodes


async def client_of(*servers: Server) -> Client:
    """Connect a client of the test's own."""
    client = Client()
    await client.connect([f"nats://127.0.0.1:{server.port}" for server in servers], error_cb=silent)
    return client


async def silent(_: Exception) -> None:
    """Say nothing: the test sees for itself."""


async def stored(stream: JetStreamContext) -> list[Msg]:
    """Return what the stream holds, in its order."""
    reader = await stream.subscribe("vitalwire.frames.*", stream=STREAM, ordered_consumer=True)
    count = (await stream.stream_info(STREAM)).state.messages
    return [await reader.next_msg(10) for _ in range(count)]


def first_of_each(messages: Sequence[Msg]) -> list[bytes]:
    """Return the bodies without repeats, in the order in which each came first."""
    return list(dict.fromkeys(message.data for message in messages))


def assert_all_in_order(messages: Sequence[Msg], entries: Sequence[Entry]) -> None:
    """Every entry's frame is there, and those of each device in the spool's order."""
    for name in {entry.device for entry in entries}:
        subject = f"vitalwire.frames.{token(name)}"
        got = first_of_each([message for message in messages if message.subject == subject])
        assert got == [entry.raw for entry in entries if entry.device == name]


@pytest.fixture
def devices() -> list[FakeDevice]:
    """Return some devices, one with a name that is special in subjects."""
    return [FakeDevice(f"bed-{n}", seed=n) for n in range(4)] + [FakeDevice("a.b *>ü", seed=9)]


def test_frames_lie_in_the_stream(solo: Server, devices: list[FakeDevice]) -> None:
    """Each frame is stored byte for byte, in order of its device, with its digest as id and its type."""

    async def run() -> None:
        entries = entries_of(devices, 20)
        delivery = await drive(nats_of(solo), entries)
        assert (delivery.errors, delivery.rejected) == ([], [])
        client = await client_of(solo)
        messages = await stored(client.jetstream())
        assert len(messages) == len(entries)
        assert_all_in_order(messages, entries)
        headers = messages[0].headers or {}
        assert headers["content-type"] == 'application/cose; cose-type="cose-sign1"'
        assert headers["Nats-Msg-Id"] == headers["digest"] == entries[0].digest.hex()
        await client.close()

    asyncio.run(run())


def test_a_repeated_batch_is_stored_once(solo: Server, devices: list[FakeDevice]) -> None:
    """What is delivered again after a crash of the gateway is acknowledged and not stored a second time."""

    async def run() -> None:
        entries = entries_of(devices, 5)
        await drive(nats_of(solo), entries)
        await drive(nats_of(solo), entries)
        client = await client_of(solo)
        assert len(await stored(client.jetstream())) == len(entries)
        await client.close()

    asyncio.run(run())


def test_what_the_stream_never_takes_is_rejected(solo: Server, devices: list[FakeDevice]) -> None:
    """A message above the stream's size is named with its position, and the rest of the batch is stored."""

    async def run() -> None:
        client = await client_of(solo)
        stream = client.jetstream()
        await stream.add_stream(
            StreamConfig(STREAM, subjects=["vitalwire.frames.*"], storage=StorageType.FILE, max_msg_size=1500)
        )
        entries = entries_of(devices[:2], 10)
        entries[7:9] = [entry_of(device, device.sampled(4.0), 8 + n) for n, device in enumerate(devices[2:4])]
        delivery = await drive(nats_of(solo), entries)
        assert delivery.errors == []
        assert sorted(each.position for each in delivery.rejected) == [8, 9]
        assert len(await stored(stream)) == len(entries) - 2
        await client.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"storage": StorageType.MEMORY}, "memory"),
        ({"no_ack": True}, "no_ack"),
        ({"max_msgs": 5}, "discard"),
        ({"retention": "interest"}, "retention"),
        ({"persist_mode": "async"}, "persist_mode"),
    ],
)
def test_a_stream_that_forgets_is_refused(solo: Server, wrong: dict[str, object], said: str) -> None:
    """A stream whose acknowledgement does not mean durable is named as that before anything is sent."""

    async def run() -> None:
        client = await client_of(solo)
        config = {"storage": StorageType.FILE, "discard": DiscardPolicy.OLD} | wrong
        await client.jetstream().add_stream(StreamConfig(STREAM, subjects=["vitalwire.frames.*"], **config))  # type: ignore[arg-type]
        await client.close()
        sink = nats_of(solo)
        with pytest.raises(SinkError, match=said):
            await sink.open()
        await sink.close()

    asyncio.run(run())


def test_a_full_stream_keeps_us_waiting(solo: Server, devices: list[FakeDevice]) -> None:
    """A stream at its limit refuses new messages: the batch comes again, and nothing older was dropped for it."""

    async def run() -> None:
        client = await client_of(solo)
        stream = client.jetstream()
        await stream.add_stream(
            StreamConfig(
                STREAM, subjects=["vitalwire.frames.*"], storage=StorageType.FILE, max_msgs=7, discard=DiscardPolicy.NEW
            )
        )
        entries = entries_of(devices[:1], 10)
        sink = nats_of(solo)
        await sink.open()
        with pytest.raises(SinkError):
            await sink.deliver(entries)
        await sink.close()
        assert [message.data for message in await stored(stream)] == [entry.raw for entry in entries[:7]]
        await stream.purge_stream(STREAM)
        assert (await drive(nats_of(solo), entries)).errors == []
        await client.close()

    asyncio.run(run())


def test_wrong_credentials_and_absence_are_told_apart_from_bugs(tmp_path: Path) -> None:
    """A server that refuses our password, that is not there or that does not answer is a SinkError, without secrets."""

    async def refused(sink: Nats) -> str:
        with pytest.raises(SinkError) as caught:
            await sink.open()
        await sink.close()
        return str(caught.value)

    server = node(tmp_path, "--user", "gateway", "--pass", "right")
    secret = tmp_path / "secret"
    secret.write_text("wrong-password\n")
    more = {"user": "gateway", "password": {"file": str(secret)}, "seconds": 1.0}
    assert "NATS" in asyncio.run(refused(nats_of(server, **more)))
    with server:
        said = asyncio.run(refused(nats_of(server, **more)))
        assert "uthorization" in said
        assert "wrong-password" not in said
        server.send(signal.SIGSTOP)
        assert asyncio.run(refused(nats_of(server, **more)))
        server.send(signal.SIGCONT)
        secret.write_text("right\n")
        sink = nats_of(server, **more)
        asyncio.run(drive(sink, entries_of([FakeDevice()], 2)))


def test_tls_is_mutual_and_expired_certificates_are_refused(tmp_path: Path) -> None:
    """Both sides show certificates; ours expired, or theirs of another authority, and nothing is sent."""
    made = Certificates(tmp_path / "made")
    certificate, key = made.issue("server")
    server = node(
        tmp_path,
        *("--tls", "--tlsverify", "--tlscert", str(certificate), "--tlskey", str(key), "--tlscacert", str(made.ca)),
    )

    def sink(authority: Path, name: str, **more: bool) -> Nats:
        ours, its_key = made.issue(name, **more)
        tls = {"ca": str(authority), "certificate": str(ours), "key": str(its_key)}
        return nats_of(server, tls=tls, seconds=2.0)

    async def refused(one: Nats) -> None:
        with pytest.raises(SinkError):
            await one.open()
        await one.close()

    with server:
        assert asyncio.run(drive(sink(made.ca, "gateway"), entries_of([FakeDevice()], 2))).errors == []
        asyncio.run(refused(sink(made.ca, "late", expired=True)))
        asyncio.run(refused(sink(Certificates(tmp_path / "other").ca, "gateway")))


class Nkey:
    """A key of NATS' own kind, and the tokens it issues."""

    def __init__(self, prefix: int) -> None:
        self.seed = nkeys.encode_seed(os.urandom(32), prefix)
        self._pair = nkeys.from_seed(bytearray(self.seed))
        self.public = self._pair.public_key.decode()

    def issue(self, subject: str, kind: str, **claims: object) -> str:
        """Return a token for a public key."""
        nats_claims = {**claims, "type": kind, "version": 2}
        body = {"jti": "x", "iat": int(time.time()), "iss": self.public, "sub": subject, "nats": nats_claims}
        parts = ({"typ": "JWT", "alg": "ed25519-nkey"}, body)
        text = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
        return b".".join((text, base64.urlsafe_b64encode(self._pair.sign(text)).rstrip(b"="))).decode()


def test_a_credentials_file_lets_us_in(tmp_path: Path) -> None:
    """With operator, account and user in tokens, as hosted NATS has it, the file is enough; a stranger's is not."""
    account = nkeys.PREFIX_BYTE_ACCOUNT
    operator, user = Nkey(nkeys.PREFIX_BYTE_OPERATOR), Nkey(nkeys.PREFIX_BYTE_USER)
    system, ours, stranger = Nkey(account), Nkey(account), Nkey(account)
    unlimited = ("subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage", "disk_storage")
    limits = {**dict.fromkeys((*unlimited, "streams", "consumer"), -1), "wildcards": True}
    none = limits | {"mem_storage": 0, "disk_storage": 0, "streams": 0, "consumer": 0}
    tokens = {
        system.public: operator.issue(system.public, "account", limits=none),
        ours.public: operator.issue(ours.public, "account", limits=limits),
    }
    server = node(tmp_path)
    config = tmp_path / "solo.conf"
    preload = "".join(f"  {public}: {jwt}\n" for public, jwt in tokens.items())
    config.write_text(
        f"{config.read_text()}operator: {operator.issue(operator.public, 'operator')}\n"
        f"system_account: {system.public}\nresolver: MEMORY\nresolver_preload {{\n{preload}}}\n"
    )
    file = tmp_path / "gateway.creds"

    def credentials(issuer: Nkey) -> None:
        jwt = issuer.issue(user.public, "user", pub={}, sub={}, subs=-1, data=-1, payload=-1)
        file.write_text(
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
        )

    with server:
        credentials(stranger)
        refused = asyncio.run(drive(nats_of(server, credentials=str(file)), entries_of([FakeDevice()], 1), patience=0))
        assert "uthorization" in str(refused.errors[0])
        credentials(ours)
        assert asyncio.run(drive(nats_of(server, credentials=str(file)), entries_of([FakeDevice()], 2))).errors == []


def test_a_server_without_tls_hears_no_password(tmp_path: Path) -> None:
    """Where TLS is configured, a server (or somebody between) that does not ask for it gets nothing but a farewell."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576,"headers":true}\r\n')
        heard.append(await reader.read(4096))
        writer.close()

    async def run() -> None:
        secret = tmp_path / "secret"
        secret.write_text("the-password")
        plain = await asyncio.start_server(listen, "127.0.0.1", 0)
        url = f"nats://127.0.0.1:{plain.sockets[0].getsockname()[1]}"
        login = {"user": "gateway", "password": {"file": str(secret)}, "tls": {}, "servers": [url], "seconds": 2.0}
        sink = nats_of(**login)
        with pytest.raises(SinkError):
            await sink.open()
        await sink.close()
        plain.close()

    asyncio.run(run())
    assert b"CONNECT" not in b"".join(heard)


def test_kills_of_the_server_lose_nothing(
    solo: Server, devices: list[FakeDevice], long: bool, results: Callable[..., None]
) -> None:
    """The server is killed at random moments of publishing, and has every frame in the end, once and in order."""
    cycles = 300 if long else 4
    chance = random.Random(1)

    async def run() -> int:
        entries: list[Entry] = []
        sink = nats_of(solo, seconds=1.0)
        for _ in range(cycles):
            fresh = more_of(devices, 25, len(entries) + 1)
            entries += fresh
            delivering = asyncio.create_task(drive(sink, fresh))
            await asyncio.sleep(chance.uniform(0.0, 0.1))
            solo.kill()
            await asyncio.to_thread(solo.start)
            await delivering
        client = await client_of(solo)
        messages = await stored(client.jetstream())
        assert_all_in_order(messages, entries)
        assert len(messages) == len(entries)
        numbers = through_sdk(devices, [message.data for message in messages])
        assert numbers == {device.name: list(range(1, device.seq + 1)) for device in devices}
        await client.close()
        return len(entries)

    results("NATS, one node killed while publishing", kills=cycles, frames=asyncio.run(run()), lost=0)


def test_three_nodes_survive_a_dead_leader_and_a_partition(
    three: Sequence[Server], devices: list[FakeDevice], long: bool, results: Callable[..., None]
) -> None:
    """R3: leaders are killed with -9 or cut off while publishing; the group of consumers sees every frame."""
    cycles = 40 if long else 2
    chance = random.Random(2)

    async def leader() -> Server:
        client = await client_of(*three)
        while True:
            with suppress(TimeoutError, nats.errors.Error):
                info = await client.jetstream(timeout=2).stream_info(STREAM)
                if info.cluster is not None and info.cluster.leader:
                    await client.close()
                    return three[int(info.cluster.leader[1:])]
            await asyncio.sleep(0.1)

    async def consume(wanted: int) -> list[bytes]:
        """Read as a group of two that share one durable consumer."""
        client = await client_of(*three)
        seen: list[bytes] = []

        async def member() -> None:
            while len(set(seen)) < wanted:
                with suppress(TimeoutError, nats.errors.Error):
                    stream = client.jetstream()
                    reader = await stream.pull_subscribe(
                        "vitalwire.frames.*", "group", STREAM, config=ConsumerConfig(ack_wait=2)
                    )
                    for message in await reader.fetch(50, timeout=1):
                        await message.ack_sync(1)
                        seen.append(message.data)

        await asyncio.gather(member(), member())
        await client.close()
        return seen

    async def run() -> int:
        entries = more_of(devices, 1, 1)
        sink = nats_of(*three, replicas=3, seconds=2.0)
        await drive(sink, entries, patience=500)
        for cycle in range(cycles):
            server = await leader()
            fresh = more_of(devices, 40, len(entries) + 1)
            entries += fresh
            delivering = asyncio.create_task(drive(sink, fresh, patience=500))
            await asyncio.sleep(chance.uniform(0.0, 0.2))
            if cycle % 2:
                server.send(signal.SIGSTOP)
                await asyncio.sleep(chance.uniform(0.5, 3.0))
                server.send(signal.SIGCONT)
            else:
                server.kill()
                await asyncio.sleep(chance.uniform(0.1, 1.0))
                await asyncio.to_thread(server.start)
            await delivering
        seen = await consume(len(entries))
        assert set(seen) == {entry.raw for entry in entries}
        client = await client_of(*three)
        messages = await stored(client.jetstream())
        assert_all_in_order(messages, entries)
        numbers = through_sdk(devices, [message.data for message in messages])
        assert numbers == {device.name: list(range(1, device.seq + 1)) for device in devices}
        await client.close()
        return len(entries)

    results("NATS, three nodes, leaders killed or stopped", leaders_lost=cycles, frames=asyncio.run(run()), lost=0)
