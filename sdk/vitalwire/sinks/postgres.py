"""PostgreSQL: a row a frame in `vitalwire_frames`, a transaction a batch, what is there already left as it is.

A row the database will never take (class 22 and 23 of its errors, or beyond a limit) is found and rejected; whatever
else it says is the peer's or the operator's trouble: later.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Literal

import psycopg
from psycopg.types.json import Jsonb
from pydantic import Field

from vitalwire.errors import SinkError, UsageError
from vitalwire.settings import Secret, Tls
from vitalwire.spool import Entry

from .descriptors import FindDescriptor
from .forms import JSON_TYPE, Former, utc
from .settings import SinkSettings
from .sink import Rejected

_INSERT = """
    INSERT INTO vitalwire_frames
        (digest, thumbprint, device, kind, boot, seq, time, accuracy_us, arrived, trust, frame, event)
    VALUES (%b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b) ON CONFLICT (digest) DO NOTHING
"""
_THERE = "SELECT to_regclass('vitalwire_frames') IS NOT NULL, current_setting('fsync')"
_NEVER = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
_MAX_SAID = 200  # characters of a database's words that are kept

_Row = tuple[Any, ...]


class Settings(SinkSettings):
    """A database; `tls = false` only where nobody else can listen."""

    kind: Literal["postgres"]
    host: str
    port: int = Field(5432, ge=1, le=65535)
    database: str
    user: str
    password: Secret | None = None
    tls: Tls | Literal[False] = Tls()
    seconds: int = Field(10, ge=1)  # to connect


def from_settings(settings: Settings, find: FindDescriptor) -> Postgres:
    """Return the sink of these settings."""
    return Postgres(settings, Former(settings.form, envelope=False, find=find))


class Postgres:
    """One database."""

    def __init__(self, settings: Settings, form: Former) -> None:
        self._settings = settings
        self._form = form
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def open(self) -> None:
        """Connect, see that what is committed is on disk, and make the table if there is none."""
        settings = self._settings
        try:
            self._connection = await psycopg.AsyncConnection.connect(
                host=settings.host,
                port=settings.port,
                dbname=settings.database,
                user=settings.user,
                password=settings.password.read() if settings.password else None,
                connect_timeout=settings.seconds,
                application_name="vitalwire",
                options="-c synchronous_commit=on",
                autocommit=True,
                **_tls(settings.tls),
            )
            found = await (await self._connection.execute(_THERE)).fetchone()
            if found is not None and found[1] != "on":
                raise SinkError("the database does not write to disk (fsync is off)", reason="configuration")
            if found is None or not found[0]:
                await self._connection.execute(files(__package__).joinpath("postgres.sql").read_bytes())
        except UsageError as error:
            raise SinkError(str(error), reason="configuration") from None
        except psycopg.Error as error:
            raise _trouble(error) from None

    async def deliver(self, batch: Sequence[Entry]) -> Sequence[Rejected]:
        """Return when the batch is committed."""
        if self._connection is None:
            raise SinkError("the sink is not open")
        rejected: list[Rejected] = []
        rows: list[tuple[int, _Row]] = []
        for entry in batch:
            row = self._row(entry)
            if isinstance(row, Rejected):
                rejected.append(row)
            else:
                rows.append((entry.position, row))
        try:
            try:
                async with self._connection.transaction(), self._connection.cursor() as cursor:
                    await cursor.executemany(_INSERT, [row for _, row in rows])
            except _NEVER:
                rejected += await self._one_by_one(self._connection, rows)
        except psycopg.Error as error:
            raise _trouble(error) from None
        return rejected

    async def _one_by_one(
        self, connection: psycopg.AsyncConnection[Any], rows: Sequence[tuple[int, _Row]]
    ) -> list[Rejected]:
        rejected: list[Rejected] = []
        async with connection.transaction():
            for position, row in rows:
                try:
                    async with connection.transaction():
                        await connection.execute(_INSERT, row)
                except _NEVER as error:
                    rejected.append(Rejected(position, _said(error)))
        return rejected

    def _row(self, entry: Entry) -> _Row | Rejected:
        message = self._form(entry)
        if isinstance(message, Rejected):
            return message
        event = None
        if message.content_type == JSON_TYPE:
            event = Jsonb(message.body, dumps=bytes.decode)
        return (
            entry.digest,
            entry.thumbprint,
            entry.device,
            int(entry.kind),
            entry.boot,
            entry.seq,
            utc(entry.time_us),
            entry.accuracy_us,
            utc(entry.arrived_us),
            entry.trust.value,
            entry.raw,
            event,
        )

    async def close(self) -> None:
        """Disconnect."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _tls(tls: Tls | Literal[False]) -> dict[str, Any]:
    """Return how libpq is told; it reads the files itself."""
    if tls is False:
        return {"sslmode": "disable"}
    told = {
        "sslmode": "verify-full",
        "ssl_min_protocol_version": "TLSv1.2",
        "sslrootcert": str(tls.ca) if tls.ca else "system",
    }
    if tls.certificate is not None and tls.key is not None:
        told |= {"sslcert": str(tls.certificate), "sslkey": str(tls.key)}
        if tls.password is not None:
            told["sslpassword"] = tls.password.read()
    return told


def _trouble(error: psycopg.Error) -> SinkError:
    return SinkError(f"the database refuses: {_said(error)}", reason=error.sqlstate or "connection")


def _said(error: psycopg.Error) -> str:
    """Return the database's message; its detail would quote the row."""
    said = error.diag.message_primary or str(error) or type(error).__name__
    return " ".join(said.split())[:_MAX_SAID]
