"""Where frames come from: who is let in, for whom a peer speaks, and what comes and goes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import socket
import ssl
import tty
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.gateway.certificates import Certificates
from tests.gateway.site import Site, journal
from tests.sinks.servers import free_port

from vitalwire.capture import Writer
from vitalwire.errors import UsageError
from vitalwire.gateway import Concluded, SourceChanged, Spooled, load
from vitalwire.packet import encode_packet
from vitalwire.session import Reason, Refused, SecurityEvent
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import PacketType

NOWHERE = '[sink.nowhere]\nkind = "http"\nurl = "http://127.0.0.1:9/"\n'  # nobody listens there


def packets(raws: Sequence[bytes]) -> bytes:
    """Return frames as they travel on a stream."""
    return b"".join(encode_packet(PacketType.FRAME, 0, raw) for raw in raws)


def spooled(site: Site) -> list[bytes]:
    """Return the frames that are durable, in order."""
    return [entry.raw for event in site.of(Spooled) for entry in event.entries]


def refused(site: Site) -> list[Reason]:
    """Return why frames were refused."""
    return [event.outcome.reason for event in site.of(Concluded) if isinstance(event.outcome, Refused)]


@pytest.mark.asyncio
async def test_a_certificate_binds_a_peer_to_its_devices(tmp_path: Path) -> None:
    """A peer brings frames of the device its certificate names, a relay of those in the table; others' are refused."""
    walk, bed, run = (FakeDevice(name) for name in ("walk", "bed", "run"))
    made = Certificates(tmp_path / "tls")
    certificate, key = made.issue("server")
    port = free_port()
    site = Site(tmp_path, walk, bed, run)
    site.configure(
        f'[source.ward]\nkind = "listen"\nlisten = "127.0.0.1:{port}"\npeers = {{ relay = ["walk", "bed"] }}\n'
        f'tls = {{ certificate = "{certificate}", key = "{key}", ca = "{made.ca}" }}\n',
        NOWHERE,
    )

    async def peer(name: str | None, raws: Sequence[bytes], *, expired: bool = False) -> asyncio.StreamWriter:
        context = ssl.create_default_context(cafile=made.ca)
        if name:
            context.load_cert_chain(*made.issue(name, expired=expired))
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(packets(raws))
        await writer.drain()
        return writer

    async with site.running():
        await site.until(lambda: _listens(port))
        frames = journal(walk, 5)
        stolen = await peer("run", frames)  # run's certificate, walk's frames
        await site.until(lambda: refused(site).count(Reason.UNBOUND) == 5)
        assert not spooled(site)
        events = [event.outcome for event in site.of(Concluded) if isinstance(event.outcome, SecurityEvent)]
        assert {(event.device, event.what) for event in events} == {(walk.thumbprint, Reason.UNBOUND)}
        own = await peer("walk", frames)
        relayed = await peer("relay", journal(bed, 5))
        await site.until(lambda: len(spooled(site)) == 10)
        for writer in (stolen, own, relayed):
            await _closed(writer)
        for name, expired in ((None, False), ("old", True)):
            with contextlib.suppress(OSError):  # when it is told differs
                await _closed(await peer(name, journal(run, 2), expired=expired))
        await asyncio.sleep(0.3)
        assert len(spooled(site)) == 10


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.mark.asyncio
async def test_a_source_may_be_bound_to_devices(tmp_path: Path) -> None:
    """`devices` of a source holds for every peer of it, by name or by fingerprint."""
    walk, bed, run = (FakeDevice(name) for name in ("walk", "bed", "run"))
    port = free_port()
    site = Site(tmp_path, walk, bed, run)
    site.configure(
        f'[source.ward]\nkind = "listen"\nlisten = "127.0.0.1:{port}"\ndevices = ["walk", "{bed.thumbprint.hex()}"]\n',
        NOWHERE,
    )
    async with site.running():
        await site.until(lambda: _listens(port))
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(packets([*journal(walk, 3), *journal(bed, 3), *journal(run, 3)]))
        await site.until(lambda: len(spooled(site)) == 6 and len(refused(site)) == 3)
        assert set(refused(site)) == {Reason.UNBOUND}
        await _closed(writer)


@pytest.mark.asyncio
async def test_a_flood_does_not_starve_others(tmp_path: Path) -> None:
    """While one peer sends as much as it can, frames and noise, the frames of another are durable meanwhile."""
    walk, bed = FakeDevice("walk"), FakeDevice("bed")
    port = free_port()
    site = Site(tmp_path, walk, bed)
    site.configure(f'[source.ward]\nkind = "listen"\nlisten = "127.0.0.1:{port}"\n', NOWHERE)
    flood = packets(journal(walk, 40)) * 50
    async with site.running():
        await site.until(lambda: _listens(port))
        _, loud = await asyncio.open_connection("127.0.0.1", port)
        unsent = asyncio.create_task(_pour(loud, flood + bytes(range(256)) * 4000))
        await site.until(lambda: bool(spooled(site)))
        _, quiet = await asyncio.open_connection("127.0.0.1", port)
        frames = journal(bed, 10)
        quiet.write(packets(frames))
        await site.until(lambda: set(frames) <= set(spooled(site)))
        assert not unsent.done()
        unsent.cancel()
        loud.transport.abort()
        await _closed(loud)
        await _closed(quiet)


async def _pour(writer: asyncio.StreamWriter, data: bytes) -> None:
    while True:
        writer.write(data)
        await writer.drain()


@pytest.mark.asyncio
async def test_captures_are_replayed(tmp_path: Path) -> None:
    """A capture's frames are spooled once, in order; a file that is none is said to be."""
    device = FakeDevice("walk")
    raws = journal(device, 30)
    with Writer(tmp_path / "walk.vwc") as writer:
        for raw in raws:
            writer.write(raw)
    (tmp_path / "none.vwc").write_bytes(b"no capture")
    site = Site(tmp_path, device)
    site.configure('[source.old]\nkind = "replay"\nfiles = ["walk.vwc", "none.vwc"]\n', NOWHERE)
    async with site.running():
        await site.until(lambda: len(spooled(site)) == 30)
        await site.until(lambda: any("none.vwc" in event.why for event in site.of(SourceChanged)))
    assert spooled(site) == raws


@pytest.mark.asyncio
async def test_serial_ports_come_and_go(tmp_path: Path) -> None:
    """A port that appears is read, one that vanishes is let go, and it is read again when it comes back."""
    device = FakeDevice("walk")
    ports = tmp_path / "ports"
    ports.mkdir()
    site = Site(tmp_path, device)
    site.configure('[source.usb]\nkind = "serial"\nports = ["' + str(ports) + '/*"]\n', NOWHERE)
    async with site.running():
        raws = journal(device, 9)
        for turn in range(3):
            board, held = pty.openpty()
            tty.setraw(held)
            (ports / "board").symlink_to(os.ttyname(held))
            await site.until(lambda turn=turn: sum(e.up and bool(e.peer) for e in site.of(SourceChanged)) > turn)  # type: ignore[misc]
            os.write(board, packets(raws[3 * turn : 3 * turn + 3]))
            await site.until(lambda turn=turn: len(spooled(site)) == 3 * turn + 3)  # type: ignore[misc]
            (ports / "board").unlink()
            os.close(board)
            os.close(held)
            await site.until(
                lambda turn=turn: sum(not e.up and bool(e.peer) for e in site.of(SourceChanged)) > turn  # type: ignore[misc]
            )
    assert spooled(site) == raws


@pytest.mark.asyncio
async def test_a_peer_that_we_connect_to_is_bound_too(tmp_path: Path) -> None:
    """Over TLS, a peer that we connect to speaks for the device its certificate names, or for those in the table."""
    walk, bed, run = (FakeDevice(name) for name in ("walk", "bed", "run"))
    made = Certificates(tmp_path / "tls")
    frames = {device: journal(device, 5) for device in (walk, bed, run)}

    async def serve(name: str) -> asyncio.Server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*made.issue(name))

        async def come(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(packets([raw for raws in frames.values() for raw in raws]))

        return await asyncio.start_server(come, "127.0.0.1", 0, ssl=context)

    async with await serve("walk") as board, await serve("relay") as relay:
        ports = [server.sockets[0].getsockname()[1] for server in (board, relay)]
        site = Site(tmp_path, walk, bed, run)
        site.configure(
            f'[source.ward]\nkind = "tcp"\nconnect = {[f"localhost:{port}" for port in ports]}\n'
            f'tls = {{ ca = "{made.ca}" }}\npeers = {{ relay = ["bed"] }}\n',
            NOWHERE,
        )
        async with site.running():
            await site.until(lambda: len(spooled(site)) == 10 and len(refused(site)) >= 20)
    assert set(spooled(site)) == {*frames[walk], *frames[bed]}
    assert set(refused(site)) == {Reason.UNBOUND}


@pytest.mark.parametrize("kind", ["tcp", "listen"])
def test_nobody_is_believed_by_mistake(tmp_path: Path, kind: str) -> None:
    """Beyond loopback a stream's peer must show a certificate, or that nobody need is said in so many words."""
    site = Site(tmp_path)
    where = 'connect = ["192.0.2.1:7400"]' if kind == "tcp" else 'listen = "0.0.0.0:7400"'
    site.configure(f'[source.in]\nkind = "{kind}"\n{where}\n', NOWHERE)
    with pytest.raises(UsageError, match=r"source\.in: peers must show a certificate"):
        load(site.file)
    site.configure(f'[source.in]\nkind = "{kind}"\n{where}\nanybody = true\n', NOWHERE)
    assert load(site.file).sources
