"""Delivers batches by HTTP POST: frames as a CBOR sequence, JSON as an array, under a key that a repeated batch keeps.

Of the answers (RFC 9110, RFC 6585): 2xx is durable; 400, 413, 415 and 422 blame the content, and the batch is halved
until the frame is found that the peer will never take; everything else is the peer's or the operator's trouble: later.
"""

from __future__ import annotations

import email.utils
import hashlib
import time
from collections.abc import Sequence
from itertools import groupby
from typing import Literal, NamedTuple

import aiohttp
from pydantic import Field, HttpUrl

from vitalwire.errors import SinkError, UsageError
from vitalwire.settings import Secret, Tls
from vitalwire.spool import Entry

from .descriptors import FindDescriptor
from .forms import JSON_TYPE, Former, Message
from .settings import SinkSettings
from .sink import Rejected

CONTENT_TYPE = "application/cbor-seq"  # RFC 8742
KEY = "Idempotency-Key"
_BLAMED = {400, 413, 415, 422}
_MAX_SAID = 200  # characters of an answer that are kept


class Settings(SinkSettings):
    """`token`, if given, is sent as a bearer token (RFC 6750)."""

    kind: Literal["http"]
    url: HttpUrl
    token: Secret | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    tls: Tls = Tls()


def from_settings(settings: Settings, find: FindDescriptor) -> Http:
    """Return the sink of these settings."""
    return Http(settings, Former(settings.form, find=find))


class _Item(NamedTuple):
    """One entry on its way."""

    entry: Entry
    message: Message


class Http:
    """One endpoint."""

    def __init__(self, settings: Settings, form: Former) -> None:
        self._settings = settings
        self._form = form
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Read certificates and token; the connection itself is made with the first batch."""
        try:
            headers = dict(self._settings.headers)
            if self._settings.token is not None:
                headers["Authorization"] = f"Bearer {self._settings.token.read()}"
            connector = aiohttp.TCPConnector(ssl=self._settings.tls.context(), limit=1)
        except UsageError as error:
            raise SinkError(str(error), reason="configuration") from None
        timeout = aiohttp.ClientTimeout(total=self._settings.patience)
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout)

    async def deliver(self, batch: Sequence[Entry]) -> Sequence[Rejected]:
        """Post a batch, what is of one content type together; by halves, if it is refused for what is in it."""
        rejected: list[Rejected] = []
        items: list[_Item] = []
        for entry in batch:
            message = self._form(entry)
            if isinstance(message, Rejected):
                rejected.append(message)
            else:
                items.append(_Item(entry, message))
        for content_type, run in groupby(items, lambda item: item.message.content_type):
            rejected += await self._halve(list(run), content_type)
        return rejected

    async def _halve(self, items: Sequence[_Item], content_type: str) -> list[Rejected]:
        status, said = await self._post(items, content_type)
        if status not in _BLAMED:
            return []
        if len(items) == 1:
            return [Rejected(items[0].entry.position, f"HTTP {status} {said}".rstrip())]
        middle = len(items) // 2
        return [
            *await self._halve(items[:middle], content_type),
            *await self._halve(items[middle:], content_type),
        ]

    async def close(self) -> None:
        """Close the connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, items: Sequence[_Item], content_type: str) -> tuple[int, str]:
        """Return the status and what was said, of an answer that settles something; else raise SinkError."""
        if self._session is None:
            raise SinkError("the sink is not open")
        bodies = [item.message.body for item in items]
        is_json = content_type == JSON_TYPE
        body = b"[%b]" % b",".join(bodies) if is_json else b"".join(bodies)
        headers = {
            "Content-Type": JSON_TYPE if is_json else CONTENT_TYPE,
            KEY: hashlib.sha256(b"".join(item.entry.digest for item in items)).hexdigest(),
        }
        try:
            post = self._session.post(str(self._settings.url), data=body, headers=headers, allow_redirects=False)
            async with post as answer:
                said = (await answer.content.read(_MAX_SAID)).decode("utf-8", "replace")
        except TimeoutError:
            raise SinkError("the peer did not answer in time", reason="timeout") from None
        except aiohttp.ClientError as error:
            raise SinkError(f"cannot post: {error}", reason="connection") from None
        if answer.status // 100 != 2 and answer.status not in _BLAMED:
            wait = retry_after(answer.headers.get("Retry-After", ""), time.time())
            raise SinkError(f"the peer answers {answer.status}", reason=str(answer.status), retry_after=wait)
        return answer.status, " ".join("".join(c if c.isprintable() else " " for c in said).split())


def retry_after(text: str, now: float) -> float:
    """Return the seconds that a Retry-After header asks for (RFC 9110 10.2.3: seconds or a date); 0 if it does not."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except ValueError:
        return 0.0
