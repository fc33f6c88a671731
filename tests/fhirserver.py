"""A real FHIR server for tests (medplum's, under Node), and a proxy in front of it that misbehaves as it is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp import web

from vitalwire_tools.fhirserver import HERE, running

TESTS = Path(__file__).resolve().parent


def ready() -> bool:
    """Return whether the server can run with the packages in tests/."""
    lists = [json.loads((folder / "package.json").read_text())["dependencies"] for folder in (HERE, TESTS)]
    assert lists[0].items() <= lists[1].items(), "tests/package.json has other versions than the server"
    return bool(shutil.which("node")) and all((TESTS / "node_modules" / name).exists() for name in lists[0])


@contextmanager
def fhir_server() -> Iterator[str]:
    """Run the server; yield where it listens: each name behind that is an empty server."""
    if not ready():
        pytest.skip("needs node and, in tests/, the npm packages of the FHIR server (npm ci)")
    with running(TESTS) as base:
        yield base


class Asked(NamedTuple):
    """One read or write, alone or in a Bundle."""

    method: str
    reference: str
    version: str | None  # If-Match
    resource: dict[str, Any] | None


@dataclass(frozen=True)
class Answer:
    """What the proxy says instead of the server."""

    status: int
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)


CUT, CUT_AFTER = Answer(0), Answer(-1)  # no answer at all: the server never got it, or did as it was told
HALF = Answer(-2)  # the server does and answers only the first half of a Bundle


@dataclass
class Proxy:
    """Where it listens, what it was asked, how much of that in each request, and what it does about it.

    `fault` is asked for each read and write, `whole` for each request. A cut at an entry of a Bundle comes between it
    and its neighbour.
    """

    fault: Callable[[Asked], Answer | None] = lambda asked: None
    whole: Callable[[list[Asked]], Answer | None] = lambda asked: None
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    bundles: list[str] = field(default_factory=list)  # as they came

    def written(self) -> list[str]:
        """Return what was put, in order."""
        return [each.reference for each in self.asked if each.method == "PUT"]


@asynccontextmanager
async def proxied(base: str) -> AsyncIterator[Proxy]:
    """Put a proxy in front of a server."""
    proxy = Proxy()
    async with aiohttp.ClientSession() as session:

        async def ask(method: str, reference: str, body: str | None, version: str | None) -> Answer:
            headers = {"Content-Type": "application/fhir+json"} | ({} if version is None else {"If-Match": version})
            url = f"{base}/{reference}" if reference else base
            async with session.request(method, url, data=body, headers=headers) as real:
                return Answer(real.status, await real.text(), {k: v for k, v in real.headers.items() if k == "ETag"})

        async def bundle(entries: list[dict[str, Any]], asked: list[Asked]) -> Answer:
            proxy.asked += asked
            whole = proxy.whole(asked)
            if whole is HALF:
                entries, asked, whole = entries[: len(entries) // 2], asked[: len(asked) // 2], None
            faults = [proxy.fault(each) for each in asked]
            for place, fault in enumerate(faults):
                if fault is CUT or fault is CUT_AFTER:
                    entries = entries[: place + (fault is CUT_AFTER)]
                    faults, whole = faults[: len(entries)], CUT_AFTER
                    break
            good = [entry for entry, fault in zip(entries, faults, strict=True) if fault is None or fault is CUT_AFTER]
            given = []
            if good and (whole is None or whole is CUT_AFTER):
                text = json.dumps({"resourceType": "Bundle", "type": "batch", "entry": good})
                answer = await ask("POST", "", text, None)
                assert answer.status == 200, answer.text
                given = json.loads(answer.text)["entry"]
            if whole is not None:
                return whole
            answers = [given.pop(0) if fault is None else said(fault) for fault in faults]
            return Answer(200, json.dumps({"resourceType": "Bundle", "type": "batch-response", "entry": answers}))

        async def alone(asked: Asked, body: str) -> Answer:
            proxy.asked.append(asked)
            fault = proxy.whole([asked]) or proxy.fault(asked)
            if fault is None or fault is CUT_AFTER:
                given = await ask(asked.method, asked.reference, body or None, asked.version)
            return fault or given

        async def handle(request: web.Request) -> web.Response:
            body = await request.text()
            if request.method == "POST":
                proxy.bundles.append(body)
                entries = json.loads(body)["entry"]
                asked = [
                    Asked(
                        each["request"]["method"],
                        each["request"]["url"],
                        each["request"].get("ifMatch"),
                        each.get("resource"),
                    )
                    for each in entries
                ]
                proxy.requests.append(len(asked))
                answer = await bundle(entries, asked)
            else:
                resource = json.loads(body) if body else None
                single = Asked(request.method, request.path.lstrip("/"), request.headers.get("If-Match"), resource)
                proxy.requests.append(1)
                answer = await alone(single, body)
            if answer is CUT or answer is CUT_AFTER:
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            return web.Response(status=answer.status, text=answer.text, headers=answer.headers)

        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{reference:.*}", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield proxy
        finally:
            await runner.cleanup()


def said(answer: Answer) -> dict[str, Any]:
    """Return an answer as an entry of a Bundle has it."""
    return {"response": {"status": str(answer.status)} | ({"outcome": json.loads(answer.text)} if answer.text else {})}
