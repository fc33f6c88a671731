"""A FHIR server by its REST API (R4, http.html): reads and writes one resource, and says what an answer means.

Of the answers: 409 and 412 are races; 400, 413, 415 and 422 blame the resource; everything else is to pass.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import aiohttp

from vitalwire.errors import InputError, SinkError, UsageError
from vitalwire.fhir import dumps, loads
from vitalwire.fhir.jsontext import Resource
from vitalwire.sinks.http import retry_after

from .settings import Settings

JSON_TYPE = "application/fhir+json"
_RACES = {409, 412}
_BLAMED = {400, 413, 415, 422}
_MAX_SAID = 300  # characters of an answer that are kept
_MAX_ANSWER = 1 << 22  # bytes of an answer that are read


class RaceError(Exception):
    """Somebody else wrote the resource meanwhile."""


class RefusedError(Exception):
    """The server will never take the resource; the text is its own."""


class Found(NamedTuple):
    """A resource, and the version that If-Match takes, None where the server has no versions."""

    resource: Resource
    version: str | None


class Server:
    """One server, over one connection."""

    def __init__(self, settings: Settings) -> None:
        self._base = str(settings.url).rstrip("/")
        headers = {"Accept": JSON_TYPE, "Content-Type": JSON_TYPE}
        try:
            if settings.token is not None:
                headers["Authorization"] = f"Bearer {settings.token.read()}"
            connector = aiohttp.TCPConnector(ssl=settings.tls.context(), limit=1)
        except UsageError as error:
            raise SinkError(str(error), reason="configuration") from None
        timeout = aiohttp.ClientTimeout(total=settings.patience)
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout)

    async def close(self) -> None:
        """Close the connection."""
        await self._session.close()

    async def read(self, reference: str) -> Found | None:
        """Return a resource, None if there is none; raises SinkError."""
        status, version, text = await self._ask("GET", reference)
        if status in (404, 410):
            return None
        if status != 200:
            raise SinkError(f"the server answers {status} to a read", reason=str(status))
        try:
            resource = loads(text)
        except InputError:
            resource = None
        if not isinstance(resource, dict):
            raise SinkError("the server answers with what is no resource", reason="form")
        meta = resource.get("meta")
        if version is None and isinstance(meta, dict) and "versionId" in meta:
            version = f'W/"{meta["versionId"]}"'
        return Found(resource, version)

    async def write(self, resource: Resource, version: str | None = None) -> None:
        """Put a resource under its id, if given only over that version; raises RaceError, RefusedError, SinkError."""
        reference = f"{resource['resourceType']}/{resource['id']}"
        status, _, text = await self._ask("PUT", reference, dumps(resource), version)
        if status in _RACES:
            raise RaceError
        if status in _BLAMED:
            raise RefusedError(f"HTTP {status} {_said(text)}".rstrip())
        if status not in (200, 201):
            raise SinkError(f"the server answers {status}", reason=str(status))

    async def _ask(
        self, method: str, reference: str, body: str | None = None, version: str | None = None
    ) -> tuple[int, str | None, bytes]:
        headers = {} if version is None else {"If-Match": version}
        url = f"{self._base}/{reference}"
        try:
            asked = self._session.request(method, url, data=body, headers=headers, allow_redirects=False)
            async with asked as answer:
                text = await answer.content.read(_MAX_ANSWER) if answer.status >= 300 else await answer.read()
        except TimeoutError:
            raise SinkError("the server did not answer in time", reason="timeout") from None
        except aiohttp.ClientError as error:
            raise SinkError(f"cannot reach the server: {error}", reason="connection") from None
        if answer.status == 429 or answer.status >= 500:
            wait = retry_after(answer.headers.get("Retry-After", ""), time.time())
            raise SinkError(f"the server answers {answer.status}", reason=str(answer.status), retry_after=wait)
        return answer.status, answer.headers.get("ETag"), text


def _said(text: bytes) -> str:
    """Return what an OperationOutcome says, or else the beginning of the text."""
    said = text[:_MAX_SAID].decode("utf-8", "replace")
    try:
        outcome = loads(text)
        issues = outcome["issue"] if isinstance(outcome, dict) else []
        words = [each.get("diagnostics") or each.get("details", {}).get("text") for each in issues]
        said = "; ".join(str(each) for each in words if each) or said
    except (InputError, KeyError, TypeError, AttributeError):
        pass
    return " ".join("".join(c if c.isprintable() else " " for c in said[:_MAX_SAID]).split())
