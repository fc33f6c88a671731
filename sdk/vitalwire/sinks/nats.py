"""NATS JetStream: a subject for each device, acknowledged by the stream one by one, known twice by `Nats-Msg-Id`.

Of each device one message is under way at a time, because a stream that changes its leader may lose a message and
keep the one behind it; of several devices, up to `window`. The stream is looked at before anything is sent to it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal
from urllib.parse import quote

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, Header, PersistMode, RetentionPolicy, StorageType, StreamConfig
from pydantic import Field

from vitalwire.errors import SinkError, UsageError
from vitalwire.settings import Existing, Secret, Tls
from vitalwire.spool import Entry

from .batches import by_device
from .descriptors import FindDescriptor
from .forms import Former
from .settings import SinkSettings
from .sink import Rejected

_TOO_LARGE = 10054  # JetStream's err_code for a message above the stream's max_msg_size
_NAME = "vitalwire"
_FAREWELL = 1.0  # seconds for the last bytes

Subject = Annotated[str, Field(pattern=r"^[^\s.*>]+(\.[^\s.*>]+)*$")]


class Settings(SinkSettings):
    """A stream on one or several servers; the device's name follows `subject`."""

    kind: Literal["nats"]
    servers: Annotated[tuple[str, ...], Field(min_length=1)]
    stream: Annotated[str, Field(pattern=r"^[^\s.*>/\\]+$")]
    subject: Subject = "vitalwire.frames"
    create: bool = False  # make the stream if there is none
    replicas: Annotated[int, Field(ge=1, le=5)] = 1  # the stream has at least so many
    window: Annotated[int, Field(ge=1, le=1024)] = 64  # devices with a message under way
    seconds: Annotated[float, Field(gt=0)] = 5.0  # to connect to a server, to wait for an acknowledgement
    user: str | None = None
    password: Secret | None = None
    token: Secret | None = None
    credentials: Existing | None = None  # a file with a JWT and its seed
    tls: Tls | Literal[False] = Tls()  # false only where nobody else can listen


def from_settings(settings: Settings, find: FindDescriptor) -> Nats:
    """Return the sink of these settings."""
    return Nats(settings, Former(settings.form, find=find))


class Nats:
    """One stream."""

    def __init__(self, settings: Settings, form: Former) -> None:
        self._settings = settings
        self._form = form
        self._client: Client | None = None
        self._stream: JetStreamContext | None = None

    async def open(self) -> None:
        """Connect to a server that is there, and see that the stream keeps what it acknowledges."""
        servers = random.sample(self._settings.servers, len(self._settings.servers))
        for number, server in enumerate(servers):
            try:
                self._client = await self._connect(server)
                break
            except UsageError as error:
                raise SinkError(str(error), reason="configuration") from None
            except (OSError, TimeoutError, nats.errors.Error) as error:
                if number + 1 == len(servers):
                    raise SinkError(f"no NATS server takes us: {error or type(error).__name__}") from None
        assert self._client is not None
        self._stream = self._client.jetstream(timeout=self._settings.seconds)
        try:
            self._check(await self._config(self._stream))
        except (TimeoutError, nats.errors.Error) as error:
            raise SinkError(f"the stream {self._settings.stream} cannot be looked at: {error}") from None

    async def _connect(self, server: str) -> Client:
        settings = self._settings
        # What cannot be read fails here, where there is no connection yet that must be closed.
        tls = None if settings.tls is False else settings.tls.context()
        password = settings.password.read() if settings.password else None
        token = settings.token.read() if settings.token else None
        client = Client() if settings.tls is False else _TlsClient()
        try:
            async with asyncio.timeout(settings.seconds):
                await client.connect(
                    server,
                    name=_NAME,
                    error_cb=_known_already,
                    allow_reconnect=False,  # the gateway opens us again, and waits longer each time
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=settings.seconds,  # type: ignore[arg-type]
                    tls=tls,
                    user=settings.user,
                    password=password,
                    token=token,
                    user_credentials=str(settings.credentials) if settings.credentials else None,
                )
            if isinstance(client, _TlsClient) and not client.asked:
                raise nats.errors.SecureConnRequiredError
        except BaseException:
            await _drop(client)
            raise
        return client

    async def _config(self, stream: JetStreamContext) -> StreamConfig:
        try:
            return (await stream.stream_info(self._settings.stream)).config
        except nats.js.errors.NotFoundError:
            if not self._settings.create:
                raise SinkError(
                    f"there is no stream {self._settings.stream}",
                    reason="configuration",
                    advice="set create",
                ) from None
        wanted = StreamConfig(
            name=self._settings.stream,
            subjects=[f"{self._settings.subject}.*"],
            storage=StorageType.FILE,
            num_replicas=self._settings.replicas,
            discard=DiscardPolicy.NEW,
        )
        return (await stream.add_stream(wanted)).config

    def _check(self, config: StreamConfig) -> None:
        """Refuse a stream that acknowledges what it then does not keep."""
        limited = any(limit is not None and limit > 0 for limit in (config.max_msgs, config.max_bytes))
        wrong = [
            text
            for found, text in (
                (config.storage != StorageType.FILE, "is kept in memory"),
                (config.persist_mode == PersistMode.ASYNC, "acknowledges before it writes (persist_mode)"),
                (config.no_ack, "acknowledges nothing (no_ack)"),
                (config.sealed, "is sealed"),
                (config.retention == RetentionPolicy.INTEREST, "keeps only what somebody waits for (retention)"),
                (limited and config.discard != DiscardPolicy.NEW, "makes room by dropping what is old (discard)"),
                ((config.num_replicas or 1) < self._settings.replicas, f"has {config.num_replicas} replicas"),
            )
            if found
        ]
        if wrong:
            raise SinkError(f"the stream {self._settings.stream} {', '.join(wrong)}", reason="configuration")

    async def deliver(self, batch: Sequence[Entry]) -> Sequence[Rejected]:
        """Return when the stream has acknowledged each message."""
        room = asyncio.Semaphore(self._settings.window)
        rejected: list[Rejected] = []
        try:
            async with asyncio.TaskGroup() as group:
                for entries in by_device(batch):
                    group.create_task(self._of_device(entries, room, rejected))
        except ExceptionGroup as failed:
            error = failed.exceptions[0]
            if isinstance(error, (OSError, TimeoutError, nats.errors.Error)):
                raise SinkError(f"not acknowledged: {error or type(error).__name__}") from None
            raise error from None
        return rejected

    async def _of_device(self, entries: Sequence[Entry], room: asyncio.Semaphore, rejected: list[Rejected]) -> None:
        for entry in entries:
            async with room:
                refused = await self._publish(entry)
            if refused is not None:
                rejected.append(refused)

    async def _publish(self, entry: Entry) -> Rejected | None:
        assert self._stream is not None
        message = self._form(entry)
        if isinstance(message, Rejected):
            return message
        try:
            await self._stream.publish(
                f"{self._settings.subject}.{token(entry.device)}",
                message.body,
                stream=self._settings.stream,
                headers={
                    **{name: quote(text, safe=' :;=/"') for name, text in message.properties.items()},
                    "content-type": message.content_type,
                    Header.MSG_ID: entry.digest.hex(),
                },
            )
        except nats.errors.MaxPayloadError:
            return Rejected(entry.position, f"the server takes no message of {len(message.body)} bytes")
        except nats.js.errors.APIError as error:
            if error.err_code != _TOO_LARGE:
                raise
            return Rejected(entry.position, f"the stream takes no message of {len(message.body)} bytes")
        return None

    async def close(self) -> None:
        """Let the connection go."""
        client, self._client, self._stream = self._client, None, None
        if client is not None:
            await _drop(client)


class _TlsClient(Client):
    """Goes on only if the server asks for TLS: else it would send everything, passwords too, for anybody to read."""

    asked = False

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        self.asked = self.asked or bool(info.get("tls_required"))
        if not self.asked:
            raise nats.errors.SecureConnRequiredError
        await super()._process_info(info, initial_connection)


async def _drop(client: Client) -> None:
    # Closing waits for ever where the handshake failed: asyncio never tells it that the plain connection ended.
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(_FAREWELL):
            await client.close()


async def _known_already(_: Exception) -> None:
    """Take what the client reports beside raising it."""


def token(name: str) -> str:
    """Return a device's name as one token of a subject: what is special there or in text is percent-encoded."""
    return quote(name, safe="").replace(".", "%2E")
