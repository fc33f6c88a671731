"""The status page and its data over HTTP, on loopback and behind a token unless told otherwise; it only ever shows.

The token comes as `Authorization: Bearer`, or once as `?token=`, which becomes a cookie and leaves the address.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files

from aiohttp import web

from vitalwire.errors import TransportError, UsageError
from vitalwire.settings import Watch
from vitalwire.spool import State

from .health import Health
from .metrics import Metrics
from .settings import StatusSettings
from .view import View

_COOKIE = "vitalwire"
_OPEN = frozenset({"/healthz", "/readyz"})
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_ASSETS = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
_THUMBPRINT = 32
_LOOK = 2.0  # seconds between looks at whether certificates or the token were changed
log = logging.getLogger("vitalwire.gateway")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(24)


class StatusServer:
    """Serves what `view`, `metrics` and `health` know; `state` returns the spool's, None while there is none."""

    def __init__(
        self,
        settings: StatusSettings,
        token: str | None,
        view: View,
        metrics: Metrics,
        health: Health,
        state: Callable[[], State | None],
    ) -> None:
        self._settings = settings
        self._token = token
        self._view = view
        self._metrics = metrics
        self._health = health
        self._state = state
        self._runner: web.AppRunner | None = None
        self._watching: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises UsageError for an address that is none, TransportError for one that is taken."""
        host, _, port = self._settings.listen.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise UsageError(f"status.listen is {self._settings.listen!r}", advice="it is host:port, or off")
        app = web.Application(middlewares=[self._guard], client_max_size=1024)
        app.add_routes(
            [
                *(web.get(path, self._asset) for path in _ASSETS),
                web.get("/status.json", self._status),
                web.get("/waves/{device}.json", self._waves),
                web.get("/metrics", self._text),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        tls = None if self._settings.tls is None else self._settings.tls.context()
        site = web.TCPSite(self._runner, host.strip("[]"), int(port), ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise TransportError(f"cannot listen on {self._settings.listen}: {error.strerror}") from None
        self.port = self._runner.addresses[0][1]
        self._watching = asyncio.create_task(self._watch(self._runner, site, host.strip("[]")))

    async def _watch(self, runner: web.AppRunner, site: web.TCPSite, host: str) -> None:
        """Go over to changed certificates and to a changed token; where they cannot be used, go on as before."""
        watch = Watch(self._settings)
        while True:
            await asyncio.sleep(_LOOK)
            if not await asyncio.to_thread(watch.changed):
                continue
            try:
                token = None if self._settings.token is None else self._settings.token.read()
                tls = None if self._settings.tls is None else self._settings.tls.context()
            except UsageError as error:
                log.warning("the status page goes on with the files it had: %s", error)
                continue
            self._token = token or self._token
            if tls is not None:
                await site.stop()
                site = web.TCPSite(runner, host, self.port, ssl_context=tls)
                await site.start()

    async def stop(self) -> None:
        """End; again does nothing."""
        if self._watching is not None:
            self._watching.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._token is not None and request.path not in _OPEN:
            given = request.query.get("token")
            if given is not None and self._is_token(given):
                answer = web.HTTPSeeOther(request.path)
                answer.set_cookie(
                    _COOKIE, given, httponly=True, samesite="Strict", secure=self._settings.tls is not None
                )
                answer.headers.update(_HEADERS)
                raise answer
            scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
            if not (self._is_token(request.cookies.get(_COOKIE)) or (scheme == "Bearer" and self._is_token(bearer))):
                return web.Response(
                    status=401, text="a token is needed\n", headers={"WWW-Authenticate": "Bearer", **_HEADERS}
                )
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(_HEADERS)
            raise
        response.headers.update(_HEADERS)
        return response

    def _is_token(self, given: str | None) -> bool:
        return given is not None and hmac.compare_digest(given.encode(), (self._token or "").encode())

    # ------------------------------------------------------------ what there is

    async def _asset(self, request: web.Request) -> web.Response:
        name, kind = _ASSETS[request.path]
        text = files(__package__).joinpath(name).read_text(encoding="utf-8")
        return web.Response(text=text, content_type=kind)

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response(self._view.status(await asyncio.to_thread(self._state)))

    async def _waves(self, request: web.Request) -> web.Response:
        try:
            device = bytes.fromhex(request.match_info["device"])
        except ValueError:
            device = b""
        if len(device) != _THUMBPRINT:
            raise web.HTTPNotFound
        return web.json_response(self._view.waves(device))

    async def _text(self, request: web.Request) -> web.Response:
        text = self._metrics.text(await asyncio.to_thread(self._state), time.time_ns() // 1000)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def _readyz(self, request: web.Request) -> web.Response:
        ready, told = self._health.ready()
        return web.json_response({"ready": ready, **told}, status=200 if ready else 503)
