"""Frames by HTTP: answered when they are durable, bound to who brings them."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import aiohttp
import pytest
from tests.gateway.certificates import Certificates
from tests.gateway.site import Site, bulk, journal
from tests.sinks.servers import free_port

from vitalwire.errors import UsageError
from vitalwire.gateway import Spooled, load
from vitalwire.settings import Tls
from vitalwire.spool import Store
from vitalwire.testing import FakeDevice, flipped

NOWHERE = '[sink.nowhere]\nkind = "http"\nurl = "http://127.0.0.1:9/"\n'  # nobody listens there


async def post(port: int, body: bytes, token: str = "", **options: object) -> tuple[int, object]:
    """Post a body as soon as somebody listens; return status and JSON."""
    scheme = "https" if options else "http"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as session:
        for _ in range(5000):
            try:
                url = f"{scheme}://127.0.0.1:{port}/frames"
                async with session.post(url, data=body, headers=headers, **options) as answer:  # type: ignore[arg-type]
                    said = await answer.json() if answer.content_type == "application/json" else None
                    return answer.status, said
            except aiohttp.ClientConnectorCertificateError:
                raise
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.02)
    raise AssertionError("nobody listens")


@pytest.mark.asyncio
async def test_an_answer_means_durable(tmp_path: Path) -> None:
    """204 comes when the frames are in the spool, for the same ones again too; a hole is 503 until it is filled."""
    device = FakeDevice("walk")
    port = free_port()
    site = Site(tmp_path, device)
    site.configure(f'[source.in]\nkind = "http"\nlisten = "127.0.0.1:{port}"\npatience = 2.0\n', NOWHERE)
    raws = journal(device, 8)
    async with site.running():
        for _ in range(2):
            assert await post(port, b"".join(raws[:4])) == (204, None)
            store = Store(tmp_path / "spool.db")
            assert [entry.raw for entry in store.read(0, 100)] == raws[:4]
            store.close()
        late = hashlib.sha256(raws[7]).hexdigest()
        assert await post(port, raws[7]) == (503, {late: "waiting"})
        assert await post(port, b"".join(raws[4:])) == (204, None)
        bad = flipped(raws[5], -1)
        assert await post(port, bad) == (422, {hashlib.sha256(bad).hexdigest(): "forged"})
        status, said = await post(port, raws[0] + b"more")
        assert status == 422
        assert "no frame at" in str(said)


@pytest.mark.asyncio
async def test_a_large_request_keeps_its_order(tmp_path: Path) -> None:
    """Frames of one request are taken in the order they stand, also where they have to wait for room."""
    device = FakeDevice("walk")
    port = free_port()
    site = Site(tmp_path, device)
    site.configure(f'[source.in]\nkind = "http"\nlisten = "127.0.0.1:{port}"\n', NOWHERE)
    raws = [device.descriptor(), *bulk(device, 1023)]
    async with site.running():
        for start in range(0, 1024, 256):
            assert await post(port, b"".join(raws[start : start + 256])) == (204, None)
        # what is stored is told a moment later
        await site.until(lambda: sum(len(event.entries) for event in site.of(Spooled)) >= len(raws))
        assert [entry.raw for event in site.of(Spooled) for entry in event.entries] == raws


@pytest.mark.asyncio
async def test_a_token_binds_a_peer_to_its_device(tmp_path: Path) -> None:
    """Without a token or with a wrong one nothing is taken, with one only the frames of the device of that name."""
    walk, bed = FakeDevice("walk"), FakeDevice("bed")
    port = free_port()
    for name in ("walk", "bed"):
        (tmp_path / name).write_text(f"token of {name}\n")
    site = Site(tmp_path, walk, bed)
    site.configure(
        f'[source.in]\nkind = "http"\nlisten = "127.0.0.1:{port}"\n'
        '[source.in.tokens]\nwalk = { file = "walk" }\nbed = { file = "bed" }\n',
        NOWHERE,
    )
    body = b"".join(journal(walk, 3))
    async with site.running():
        assert (await post(port, body))[0] == 401
        assert (await post(port, body, "token of nobody"))[0] == 401
        status, said = await post(port, body, "token of bed")
        assert status == 422
        assert set(said.values()) == {"unbound"}  # type: ignore[attr-defined]
        assert await post(port, body, "token of walk") == (204, None)


@pytest.mark.asyncio
async def test_a_certificate_binds_a_peer_to_its_device(tmp_path: Path) -> None:
    """Over mutual TLS the common name is the device."""
    device = FakeDevice("walk")
    made = Certificates(tmp_path / "tls")
    certificate, key = made.issue("server")
    port = free_port()
    site = Site(tmp_path, device)
    site.configure(
        f'[source.in]\nkind = "http"\nlisten = "127.0.0.1:{port}"\n'
        f'tls = {{ certificate = "{certificate}", key = "{key}", ca = "{made.ca}" }}\n',
        NOWHERE,
    )
    body = b"".join(journal(device, 3))
    async with site.running():
        for name, status in (("bed", 422), ("walk", 204)):
            ours, our_key = made.issue(name)
            context = Tls(ca=made.ca, certificate=ours, key=our_key).context()
            assert (await post(port, body, ssl=context))[0] == status


@pytest.mark.parametrize("table", ['listen = "0.0.0.0:1"', 'listen = "0.0.0.0:1"\ntokens = { a = { env = "A" } }'])
def test_nobody_is_let_in_by_mistake(tmp_path: Path, table: str) -> None:
    """Beyond loopback a source wants to know who its peers are, and no token in the clear."""
    site = Site(tmp_path)
    site.configure(f'[source.in]\nkind = "http"\n{table}\n', NOWHERE)
    with pytest.raises(UsageError, match=r"source\.in"):
        load(site.file)
