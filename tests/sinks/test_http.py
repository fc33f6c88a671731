"""The HTTP sink against a real server on loopback."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohttp import web
from tests.gateway.certificates import Certificates
from tests.sinks.entries import entries_of

from vitalwire.errors import SinkError
from vitalwire.settings import Secret, ServerTls, Tls
from vitalwire.sinks.http import CONTENT_TYPE, KEY, Http, Settings, from_settings, retry_after
from vitalwire.spool import Entry
from vitalwire.testing import FakeDevice


def entries(count: int) -> list[Entry]:
    """Return the first entries of one device."""
    return entries_of([FakeDevice("walk")], count)


Answer = Callable[[bytes, web.Request], web.Response]


@asynccontextmanager
async def serving(answer: Answer, **options: object) -> AsyncIterator[tuple[str, list[bytes], list[str]]]:
    """Serve on a free port; yield the address, the bodies that were taken, the keys and types of all requests."""
    taken: list[bytes] = []
    keys: list[str] = []

    async def post(request: web.Request) -> web.Response:
        body = await request.read()
        keys.append(f"{request.headers[KEY]} {request.content_type}")
        response = answer(body, request)
        if response.status < 300:
            taken.append(body)
        return response

    app = web.Application()
    app.router.add_post("/frames", post)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, **options)  # type: ignore[arg-type]
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http{'s' * bool(options)}://127.0.0.1:{port}/frames", taken, keys
    finally:
        await runner.cleanup()


@asynccontextmanager
async def sink(url: str, **settings: object) -> AsyncIterator[Http]:
    """Open a sink."""
    made = from_settings(Settings(kind="http", url=url, **settings), lambda _: None)  # type: ignore[arg-type]
    try:
        await made.open()
        yield made
    finally:
        await made.close()


@pytest.mark.asyncio
async def test_frames_arrive_as_they_are() -> None:
    """A batch is posted as the frames one after another; the same batch again has the same key, another another."""
    batch = entries(4)
    async with serving(lambda *_: web.Response(status=204)) as (url, taken, keys), sink(url) as http:
        assert not await http.deliver(batch)
        assert not await http.deliver(batch)
        assert not await http.deliver(batch[1:])
    assert taken[0] == b"".join(entry.raw for entry in batch)
    assert keys[0] == keys[1] != keys[2]
    assert keys[0].endswith(f" {CONTENT_TYPE}")


@pytest.mark.asyncio
async def test_json_arrives_as_an_array() -> None:
    """In the JSON form a batch is one array, in order; what cannot be put into JSON goes out as frames before it."""
    batch = entries(4)
    async with serving(lambda *_: web.Response()) as (url, taken, keys), sink(url, form="json") as http:
        await http.deliver([batch[1]])  # nobody knows its descriptor
        await http.deliver(batch)
    assert taken[0] == batch[1].raw
    assert [event["Body"]["seq"] for event in json.loads(taken[1])] == [1, 2, 3, 4]
    assert keys[1].endswith(" application/json")


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [301, 401, 403, 404, 408, 429, 500, 503])
async def test_trouble_is_not_the_frames_fault(status: int) -> None:
    """Whatever the peer's or the operator's trouble is, nothing is given up: a SinkError, as late as was asked for."""
    answer = web.Response(status=status, headers={"Retry-After": "7"})
    async with serving(lambda *_: answer) as (url, _, _), sink(url) as http:
        with pytest.raises(SinkError) as caught:
            await http.deliver(entries(2))
    assert caught.value.retry_after == 7
    assert caught.value.reason == str(status)


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_poison_is_found(status: int) -> None:
    """Of a batch with one frame that the peer never takes, all others are delivered, in order."""
    batch = entries(9)
    poison = batch[5]

    def answer(body: bytes, _: web.Request) -> web.Response:
        return web.Response(status=status, text="no\nthanks") if poison.raw in body else web.Response()

    async with serving(answer) as (url, taken, _), sink(url) as http:
        (rejected,) = await http.deliver(batch)
    assert rejected.position == poison.position
    assert rejected.why == f"HTTP {status} no thanks"
    assert b"".join(taken) == b"".join(entry.raw for entry in batch if entry != poison)


@pytest.mark.asyncio
async def test_token_is_read_anew(tmp_path: Path) -> None:
    """The token is what its file holds when the sink is opened, and a missing one is the operator's trouble."""
    file = tmp_path / "token"
    seen: list[str] = []

    def answer(_: bytes, request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response()

    async with serving(answer) as (url, _, _):
        for token in ("one", "two"):
            file.write_text(token)
            async with sink(url, token=Secret(file=file)) as http:
                await http.deliver(entries(1))
        file.unlink()
        with pytest.raises(SinkError):
            async with sink(url, token=Secret(file=file)):
                pass
    assert seen == ["Bearer one", "Bearer two"]


@pytest.mark.asyncio
async def test_certificates_are_verified_both_ways(tmp_path: Path) -> None:
    """A server must have a certificate of the authority; one that wants ours gets it; an expired one is refused."""
    made = Certificates(tmp_path)
    certificate, key = made.issue("server")
    server = ServerTls(ca=made.ca, certificate=certificate, key=key).context()
    ours, our_key = made.issue("gateway")
    old, old_key = made.issue("old", expired=True)
    async with serving(lambda *_: web.Response(), ssl_context=server) as (url, taken, _):
        async with sink(url, tls=Tls(ca=made.ca, certificate=ours, key=our_key)) as http:
            await http.deliver(entries(1))
        for tls in (Tls(), Tls(ca=made.ca), Tls(ca=made.ca, certificate=old, key=old_key)):
            with pytest.raises(SinkError):
                async with sink(url, tls=tls) as http:
                    await http.deliver(entries(1))
    assert len(taken) == 1


@pytest.mark.asyncio
async def test_silence_ends() -> None:
    """A peer that is not there, or takes longer than the sink's patience, is a SinkError."""
    async with serving(lambda *_: web.Response()) as (url, _, _):
        pass
    async with sink(url) as http:
        with pytest.raises(SinkError):
            await http.deliver(entries(1))


def test_retry_after_is_seconds_or_a_date() -> None:
    """Both forms of RFC 9110 are understood, anything else asks for no wait."""
    now = time.time()
    assert retry_after("120", now) == 120
    assert 58 < retry_after(formatdate(now + 60, usegmt=True), now) <= 60
    assert retry_after(formatdate(now - 60, usegmt=True), now) == 0
    assert retry_after("soon", now) == retry_after("", now) == 0
