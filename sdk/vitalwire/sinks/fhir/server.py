"""A FHIR server by its REST API (R4, http.html): many reads or writes in one batch Bundle, with an answer to each.

What a server does not take as a Bundle is asked by halves, in the end one by one; one that knows no Bundles is asked
one by one from then on. Says what an answer means: 409 and 412 are races; 400, 413, 415 and 422 blame the resource;
everything else is to pass.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import aiohttp

from vitalwire.errors import InputError, SinkError, UsageError
from vitalwire.fhir import dumps, loads
from vitalwire.fhir.jsontext import Json, Resource
from vitalwire.sinks.http import retry_after

from .settings import Settings

JSON_TYPE = "application/fhir+json"
MAX_SIZE = 1 << 20  # bytes of a Bundle, but for one of a single entry
_RACES = {409, 412}
_GONE = {404, 410}
_BLAMED = {400, 413, 415, 422}
_NO_BUNDLES = {404, 405, 501}
_MAX_SAID = 300  # characters of an answer that are kept
_MAX_ERROR = 1 << 22  # bytes of an answer that is an error that are read


class RaceError(Exception):
    """Somebody else wrote the resource meanwhile."""


class RefusedError(Exception):
    """The server will never take the resource; the text is its own."""


class Ask(NamedTuple):
    """One read, or one write: of a resource, if given only over that version (If-Match)."""

    reference: str
    resource: Resource | None = None
    version: str | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        return "GET" if self.resource is None else "PUT"

    @property
    def entry(self) -> Resource:
        """The ask as an entry of a Bundle."""
        request = {"method": self.method, "url": self.reference}
        if self.version is not None:
            request["ifMatch"] = self.version
        return {"request": request} if self.resource is None else {"request": request, "resource": self.resource}


class Answer(NamedTuple):
    """What the server says to one ask."""

    status: int
    resource: Json = None
    version: str | None = None  # that If-Match takes
    said: str = ""


class Found(NamedTuple):
    """A resource, and the version that If-Match takes, None where the server has no versions."""

    resource: Resource
    version: str | None


class _Reply(NamedTuple):
    status: int
    version: str | None
    text: bytes


def put(resource: Resource, version: str | None = None) -> Ask:
    """Return the ask that writes a resource under its own id."""
    return Ask(reference(resource), resource, version)


def reference(resource: Resource) -> str:
    """Return where a resource stands on its server."""
    return f"{resource['resourceType']}/{resource['id']}"


def weigh(ask: Ask, answer: Answer) -> None:
    """Return if a write is done; raises RaceError, RefusedError, or SinkError for what may pass."""
    if answer.status in _RACES or (ask.version is not None and answer.status in _GONE):
        raise RaceError
    if answer.status in _BLAMED:
        raise RefusedError(f"HTTP {answer.status} {answer.said}".rstrip())
    if answer.status not in (200, 201):
        raise SinkError(f"the server answers {answer.status} to a write", reason=str(answer.status))


class Server:
    """One server, over one connection; `together` entries in a Bundle, at most."""

    def __init__(self, settings: Settings) -> None:
        self._base = str(settings.url).rstrip("/")
        self._together = settings.bundle
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

    async def read(self, references: Sequence[str]) -> dict[str, Found]:
        """Return those resources that are there, by reference; raises SinkError."""
        answers = await self.ask([Ask(each) for each in references])
        found = {}
        for where, answer in zip(references, answers, strict=True):
            if answer.status in _GONE:
                continue
            if answer.status != 200:
                raise SinkError(f"the server answers {answer.status} to a read", reason=str(answer.status))
            if not isinstance(answer.resource, dict):
                raise SinkError("the server answers with what is no resource", reason="form")
            meta = answer.resource.get("meta")
            version = answer.version
            if version is None and isinstance(meta, dict) and "versionId" in meta:
                version = f'W/"{meta["versionId"]}"'
            found[where] = Found(answer.resource, version)
        return found

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """Return the answer to each ask, in their order; raises SinkError where the server gives none."""
        answers: list[Answer] = []
        for group in self._groups(asks):
            answers += await self._answers(group)
        return answers

    def _groups(self, asks: Sequence[Ask]) -> Iterator[list[tuple[Ask, str]]]:
        """Yield the asks with their texts, as many together as fit into a Bundle."""
        group: list[tuple[Ask, str]] = []
        size = 0
        for ask in asks:
            text = dumps(ask.entry)
            if group and (len(group) >= self._together or size + len(text) > MAX_SIZE):
                yield group
                group, size = [], 0
            group.append((ask, text))
            size += len(text)
        if group:
            yield group

    async def _answers(self, group: Sequence[tuple[Ask, str]]) -> list[Answer]:
        if len(group) == 1:
            return [await self._alone(group[0][0])]
        if self._together > 1:
            entries = ",".join(text for _, text in group)
            body = f'{{"resourceType":"Bundle","type":"batch","entry":[{entries}]}}'
            reply = await self._send("POST", self._base, body)
            if reply.status == 200:
                answers = _bundled(reply.text)
                if len(answers) == len(group):
                    return answers
            elif reply.status in _NO_BUNDLES:
                self._together = 1
            elif reply.status not in _BLAMED:
                raise SinkError(f"the server answers {reply.status} to a Bundle", reason=str(reply.status))
        middle = len(group) // 2
        return [*await self._answers(group[:middle]), *await self._answers(group[middle:])]

    async def _alone(self, ask: Ask) -> Answer:
        body = None if ask.resource is None else dumps(ask.resource)
        reply = await self._send(ask.method, f"{self._base}/{ask.reference}", body, ask.version)
        try:
            said = loads(reply.text)
        except InputError:
            said = None
        words = _words(said) or _line(reply.text[:_MAX_SAID].decode("utf-8", "replace"))
        return Answer(reply.status, said, reply.version, words)

    async def _send(self, method: str, url: str, body: str | None, version: str | None = None) -> _Reply:
        headers = {} if version is None else {"If-Match": version}
        try:
            asked = self._session.request(method, url, data=body, headers=headers, allow_redirects=False)
            async with asked as answer:
                text = await answer.content.read(_MAX_ERROR) if answer.status >= 300 else await answer.read()
        except TimeoutError:
            raise SinkError("the server did not answer in time", reason="timeout") from None
        except aiohttp.ClientError as error:
            raise SinkError(f"cannot reach the server: {error}", reason="connection") from None
        if answer.status == 429 or (answer.status >= 500 and answer.status not in _NO_BUNDLES):
            wait = retry_after(answer.headers.get("Retry-After", ""), time.time())
            raise SinkError(f"the server answers {answer.status}", reason=str(answer.status), retry_after=wait)
        return _Reply(answer.status, answer.headers.get("ETag"), text)


def _bundled(text: bytes) -> list[Answer]:
    """Return the answers in a Bundle, in its order."""
    try:
        return [_answer(each) for each in loads(text)["entry"]]
    except (InputError, KeyError, TypeError, ValueError, AttributeError):
        raise SinkError("the server answers a Bundle with what is none", reason="form") from None


def _answer(entry: Json) -> Answer:
    response = entry["response"]
    status = int(str(response["status"])[:3])  # "201" or "201 Created"
    return Answer(status, entry.get("resource"), response.get("etag"), _words(response.get("outcome")))


def _words(outcome: Json) -> str:
    """Return what an OperationOutcome says."""
    try:
        words = [each.get("diagnostics") or each.get("details", {}).get("text") for each in outcome["issue"]]
        return _line("; ".join(str(each) for each in words if each))
    except (KeyError, TypeError, AttributeError):
        return ""


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text[:_MAX_SAID]).split())
