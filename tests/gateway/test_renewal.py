"""Certificates and secrets replaced under a running gateway: used from the next connection on, without a restart."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.fakeboard import Board
from tests.gateway.certificates import Certificates
from tests.gateway.site import SECRET, Site, connect_to, journal
from tests.gateway.test_operations import operated
from tests.mosquitto import Mosquitto
from tests.sinks.hub import KEY, MOSQUITTO, door, mosquitto, watching
from tests.sinks.servers import free_port
from tests.waiting import FAR

from vitalwire.audit import verify_head
from vitalwire.errors import SignatureError
from vitalwire.gateway import Delivered, SinkChanged, SinkState, SourceChanged
from vitalwire.gateway.operations import Auditor, AuditSettings
from vitalwire.testing import FakeDevice

NOWHERE = '[sink.nowhere]\nkind = "http"\nurl = "http://127.0.0.1:9/"\n'  # nobody listens there


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have changed files looked for, and failed connections tried again, more often."""
    for module in ("delivery", "sources.listen", "sources.http"):
        monkeypatch.setattr(f"vitalwire.gateway.{module}.LOOK", 0.1)
    monkeypatch.setattr("vitalwire.gateway.operations.server._LOOK", 0.1)
    monkeypatch.setattr("vitalwire.gateway.delivery.LONGEST_WAIT", 0.3)
    monkeypatch.setattr("vitalwire.gateway.gateway.AGAIN", 0.3)


def test_the_audit_logs_head_is_signed_with_the_key_there_is(tmp_path: Path) -> None:
    """A new key signs the next head; while its file holds none, the one before goes on, and the head stays whole."""
    key, head = tmp_path / "audit.pem", tmp_path / "head"
    old, new = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def put(data: bytes) -> None:
        key.with_suffix(".new").write_bytes(data)
        key.with_suffix(".new").replace(key)

    def pem(private: ec.EllipticCurvePrivateKey) -> bytes:
        return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def wait(signer: ec.EllipticCurvePrivateKey, count: int) -> None:
        end = time.monotonic() + FAR
        while True:
            with contextlib.suppress(SignatureError, FileNotFoundError):
                if verify_head(head.read_text(), signer.public_key()).n >= count:
                    return
            assert time.monotonic() < end
            time.sleep(0.01)

    put(pem(old))
    auditor = Auditor(AuditSettings(file=tmp_path / "audit.jsonl", key=key, head=head, every=0.02))
    try:
        for count, (data, signer) in enumerate(((pem(old), old), (pem(new), new), (b"no key", new)), 1):
            put(data)
            auditor.write("test", {"n": count})
            wait(signer, count)
    finally:
        auditor.close()


def swap(issued: tuple[Path, Path], certificate: Path, key: Path) -> None:
    """Put files in the place of others, each at once, as certbot and Kubernetes do."""
    for new, old in zip(issued, (certificate, key), strict=True):
        os.replace(new, old)


def serial(path: Path) -> int:
    """Return a certificate's number."""
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


async def shown(port: int, ca: Path) -> int | None:
    """Return the number of the certificate that a server shows; None if nobody listens."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context(cafile=ca))
        found = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        writer.transport.abort()
        return found.serial_number
    return None


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    """Return an authority."""
    return Certificates(tmp_path / "made")


@pytest.mark.asyncio
async def test_our_certificate_at_a_broker(tmp_path: Path, made: Certificates) -> None:
    """An expired one is named in the error, nothing is lost, and its replacement is used; so is the next one later."""
    device = FakeDevice("walk")
    certificate, key = made.issue("server")
    lines = [f"cafile {made.ca}", f"certfile {certificate}", f"keyfile {key}", "require_certificate true"]
    lines.append("use_subject_as_username true")
    ours, our_key = tmp_path / "ours.pem", tmp_path / "ours.key"
    swap(made.issue("old", expired=True), ours, our_key)
    with Board(device, SECRET) as board, Mosquitto(tmp_path / "broker", lines) as broker:
        site = Site(tmp_path, device)
        tls = '{ ca = "made/ca.pem", certificate = "ours.pem", key = "ours.key" }'
        site.configure(
            connect_to(board), f'[sink.broker]\nkind = "mqtt"\nhost = "localhost"\nport = {broker.port}\ntls = {tls}\n'
        )
        raws = list(journal(device, 6))
        board.send(*raws[:3])
        async with site.running():
            await site.until(lambda: any(e.why.startswith(f"{ours} expired on ") for e in site.of(SinkChanged)))
            await site.until(lambda: not board.journal)
            swap(made.issue("second"), ours, our_key)
            await site.until(lambda: delivered(site) == raws[:3])
            swap(made.issue("third"), ours, our_key)
            await asyncio.sleep(0.5)
            board.send(*raws[3:])
            await site.until(lambda: delivered(site) == raws)
            await site.until(lambda: "CN=third" in broker.log)
    assert "CN=second" in broker.log
    assert not [e for e in site.of(SinkChanged) if e.state is SinkState.BROKEN]


def delivered(site: Site) -> list[bytes]:
    """Return what sinks' peers have, in order."""
    return [entry.raw for event in site.of(Delivered) for entry in event.entries]


@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")  # paho's, when refused
async def test_an_expired_certificate_of_the_broker(tmp_path: Path, made: Certificates) -> None:
    """It is said to have expired, by sink and source; once the broker has another, everything goes on."""
    device = FakeDevice("walk")
    certificate, key = made.issue("server", expired=True)
    lines = [f"cafile {made.ca}", f"certfile {certificate}", f"keyfile {key}"]
    with Board(device, SECRET) as board, Mosquitto(tmp_path / "broker", lines) as broker:
        site = Site(tmp_path, device)
        peer = f'kind = "mqtt"\nhost = "localhost"\nport = {broker.port}\ntls = {{ ca = "made/ca.pem" }}\n'
        site.configure(connect_to(board), f"[source.broker]\n{peer}", f"[sink.broker]\n{peer}")
        raws = list(journal(device, 3))
        board.send(*raws)
        async with site.running():
            for kind in (SinkChanged, SourceChanged):
                await site.until(lambda kind=kind: any("certificate has expired" in e.why for e in site.of(kind)))  # type: ignore[misc]
            await asyncio.to_thread(broker.stop)
            made.issue("server")
            await asyncio.to_thread(broker.start)
            await site.until(lambda: delivered(site) == raws)


@pytest.mark.asyncio
@pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto (Debian)")
async def test_a_key_for_a_hub(tmp_path: Path, made: Certificates) -> None:
    """A wrong group key is said to be refused, and the right one is used as soon as it is in the file."""
    device, key = FakeDevice("bed-4"), tmp_path / "group"
    key.write_text(KEY[::-1].swapcase().strip("=") + "=")
    with Board(device, SECRET) as board, mosquitto(tmp_path) as broker:
        async with door(broker, made) as standing, watching(broker.port) as (watcher, _):
            site = Site(tmp_path, device)
            site.configure(
                connect_to(board),
                f'[sink.cloud]\nkind = "iothub"\nhost = "127.0.0.1"\nport = {standing.port}\n'
                'group_key = { file = "group" }\ntls = { ca = "made/ca.pem" }\n',
            )
            raws = list(journal(device, 3))
            board.send(*raws)
            async with site.running():
                await site.until(lambda: any("refuses the device" in e.why for e in site.of(SinkChanged)))
                assert standing.refused
                key.write_text(KEY)
                await site.until(lambda: watcher.bodies("bed-4") == raws)


@pytest.mark.asyncio
async def test_the_certificate_that_boards_see(tmp_path: Path, made: Certificates) -> None:
    """Who connects after a replacement sees the new one, connections there are stay; a damaged file changes nothing."""
    port = free_port()
    certificate, key = made.issue("server", expired=True)
    site = Site(tmp_path)
    table = f'listen = "127.0.0.1:{port}"\ntls = {{ certificate = "{certificate}", key = "{key}" }}\n'
    site.configure(f'[source.ward]\nkind = "listen"\n{table}', NOWHERE)
    async with site.running():
        await site.until(lambda: any("server.pem expired on " in e.why for e in site.of(SourceChanged)))
        swap(made.issue("first"), certificate, key)
        first = serial(certificate)
        await _until_shown(port, made, first)
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context(cafile=made.ca))
        certificate.write_text("nothing")
        await site.until(lambda: any("goes on with the certificates it had" in e.why for e in site.of(SourceChanged)))
        assert await shown(port, made.ca) == first
        swap(made.issue("second"), certificate, key)
        await _until_shown(port, made, serial(certificate))
        assert not writer.is_closing()
        writer.write(b"\0")
        await writer.drain()
        writer.transport.abort()


async def _until_shown(port: int, made: Certificates, number: int) -> None:
    async with asyncio.timeout(FAR):
        while await shown(port, made.ca) != number:
            await asyncio.sleep(0.05)


@pytest.mark.asyncio
async def test_tokens_and_certificates_of_what_answers_requests(tmp_path: Path, made: Certificates) -> None:
    """The HTTP source and the status page take a changed token and a changed certificate."""
    device, port, page = FakeDevice("walk"), free_port(), free_port()
    certificate, key = made.issue("server")
    tls = f'tls = {{ certificate = "{certificate}", key = "{key}" }}\n'
    for name in ("walk", "status"):
        (tmp_path / name).write_text(f"first token of {name}")
    site = Site(tmp_path, device)
    site.configure(
        f'[source.in]\nkind = "http"\nlisten = "127.0.0.1:{port}"\ntokens = {{ walk = {{ file = "walk" }} }}\n{tls}',
        f'[status]\nlisten = "127.0.0.1:{page}"\ntoken = {{ file = "status" }}\n',
        NOWHERE,
    )
    context = ssl.create_default_context(cafile=made.ca)
    frames = b"".join(journal(device, 2))
    async with operated(site, page), aiohttp.ClientSession() as session:

        async def answers(which: str) -> list[int]:
            headers = {name: {"Authorization": f"Bearer {which} token of {name}"} for name in ("walk", "status")}
            url, body = f"https://127.0.0.1:{port}/frames", frames
            async with session.post(url, data=body, headers=headers["walk"], ssl=context) as answer:
                posted = answer.status
            async with session.get(f"http://127.0.0.1:{page}/metrics", headers=headers["status"]) as answer:
                return [posted, answer.status]

        await _until_shown(port, made, serial(certificate))
        assert await answers("first") == [204, 200]
        assert await answers("second") == [401, 401]
        for name in ("walk", "status"):
            (tmp_path / name).write_text(f"second token of {name}")
        swap(made.issue("second"), certificate, key)
        await _until_shown(port, made, serial(certificate))
        async with asyncio.timeout(FAR):
            while await answers("second") != [204, 200]:
                await asyncio.sleep(0.05)
        assert await answers("first") == [401, 401]
