"""Frames by HTTP POST: one, or several as a CBOR sequence (RFC 8742). The answer comes when they are durable.

A peer is who its certificate names, or whose bearer token (RFC 6750) it shows; that name is its device unless `peers`
says for which devices it speaks. 204: all are durable. 422: some never will be, the JSON says which and why. 503: some
are not yet, for instance because a frame before them is missing: send them again.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Literal, Self

from aiohttp import web
from pydantic import Field, model_validator

from vitalwire.capture.scan import FormError, IncompleteError, frame_end
from vitalwire.errors import FrameError, UsageError
from vitalwire.gateway.port import Port
from vitalwire.settings import Address, Secret, ServerTls, Watch
from vitalwire_protocol.spec import Limit

from .door import EVERY, Door, SourceSettings
from .peers import common_name

PATH = "/frames"
MOST_FRAMES = 256  # in one request
MOST_PEERS = 10_000
RETRY_AFTER = "2"  # seconds
LOOK = 2.0  # seconds between looks at whether certificates or tokens were changed
LATER = ("waiting", "busy")  # what may become durable yet


class Settings(SourceSettings):
    """`tokens` are by name of the peer; `patience` is how many seconds an answer may wait for durability."""

    kind: Literal["http"]
    listen: Address
    tls: ServerTls | None = None
    tokens: Mapping[str, Secret] = Field(default_factory=dict)
    peers: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)  # name: devices
    anybody: bool = False
    patience: float = Field(10.0, gt=0)

    @model_validator(mode="after")
    def _bound(self) -> Self:
        known = bool(self.tokens) or (self.tls is not None and self.tls.ca is not None)
        if not known and not self.anybody and not self.listen.is_local:
            raise ValueError("peers must show a certificate (tls with ca) or a token, or anybody = true must be said")
        if self.tokens and self.tls is None and not self.listen.is_local:
            raise ValueError("tokens need tls: whoever listens could use them")
        return self


def from_settings(settings: Settings) -> Http:
    """Return the source of these settings."""
    return Http(settings)


class Http:
    """One listening socket."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ports: dict[str, Port] = {}
        self._tokens: dict[bytes, str] = {}  # names by the SHA-256 of their token

    async def run(self, door: Door) -> None:
        """Answer requests. Raises OSError if nobody can listen there, UsageError without certificates or tokens.

        Changed files are for requests on connections that come from then on; where they cannot be used, it goes on as
        before.
        """
        settings = self._settings
        watch = Watch(settings)
        app = web.Application(client_max_size=MOST_FRAMES * Limit.MAX_FRAME)
        app.router.add_post(PATH, partial(self._post, door))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site: web.TCPSite | None = None
        try:
            while True:
                try:
                    tokens = {_hashed(secret.read()): name for name, secret in settings.tokens.items()}
                    context = None if settings.tls is None else settings.tls.context()
                except UsageError as error:
                    if site is None:
                        raise
                    door.failed("", f"goes on with the files it had: {error}")
                else:
                    self._tokens = tokens
                    if site is not None:
                        await site.stop()
                    site = web.TCPSite(runner, *settings.listen, ssl_context=context)
                    await site.start()
                while not await asyncio.to_thread(watch.changed):
                    await asyncio.sleep(LOOK)
        finally:
            await runner.cleanup()
            for port in self._ports.values():
                door.shut(port)

    async def _post(self, door: Door, request: web.Request) -> web.Response:
        name = self._name(request)
        if name is None:
            door.failed(str(request.remote), "shows neither certificate nor token")
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        port = self._port(door, name)
        if port is None:
            return web.Response(status=503, headers={"Retry-After": RETRY_AFTER})
        try:
            raws = list(_frames(await request.read()))
        except FrameError as error:
            return web.json_response({"why": str(error)}, status=422)
        if len(raws) > MOST_FRAMES:
            return web.json_response({"why": f"more than {MOST_FRAMES} frames"}, status=413)
        answers = await port.ask_frames(raws, self._settings.patience)
        why = {
            hashlib.sha256(raw).hexdigest(): answer.why
            for raw, answer in zip(raws, answers, strict=True)
            if not answer.durable
        }
        if not why:
            return web.Response(status=204)
        if all(each in LATER for each in why.values()):
            return web.json_response(why, status=503, headers={"Retry-After": RETRY_AFTER})
        return web.json_response(why, status=422)

    def _name(self, request: web.Request) -> str | None:
        """Return who asks; None: nobody knows, and that matters."""
        transport = request.transport
        name = common_name(transport.get_extra_info("peercert")) if transport is not None else None
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if name is None and scheme.lower() == "bearer":
            given = _hashed(token.strip())
            name = next((each for known, each in self._tokens.items() if hmac.compare_digest(known, given)), None)
        if name is None and not self._tokens and (self._settings.tls is None or self._settings.tls.ca is None):
            return EVERY
        return name

    def _port(self, door: Door, name: str) -> Port | None:
        if name not in self._ports:
            if len(self._ports) >= MOST_PEERS:
                return None
            devices = (EVERY,) if name == EVERY else self._settings.peers.get(name, (name,))
            self._ports[name] = door.open("anybody" if name == EVERY else name, devices)
        return self._ports[name]


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _frames(body: bytes) -> Iterator[bytes]:
    """Yield the frames of a body; raises FrameError where there is none."""
    at = 0
    while at < len(body):
        try:
            end = frame_end(body, at)
        except (FormError, IncompleteError) as error:
            raise FrameError(f"no frame at {at}: {str(error) or 'it goes on'}") from None
        yield body[at:end]
        at = end
