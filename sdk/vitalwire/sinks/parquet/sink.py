"""Delivers batches into files: of each file that a batch touches, what is there and what is new are written as one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from vitalwire.errors import SinkError
from vitalwire.settings import Kind, Kinds
from vitalwire.spool import Entry

from ..descriptors import FindDescriptor
from ..forms import Former, Message
from ..sink import Rejected
from .disk import Disk
from .settings import Settings
from .tables import file_of, table_of, united

# Whoever writes to a disk needs nothing of Azure's.
STORES = Kinds("store of Parquet files", {"blob": Kind("vitalwire.sinks.parquet.blob", "blob")})
_AT_ONCE = 8  # files


class Store(Protocol):
    """Where files are; everything raises SinkError."""

    async def open(self) -> None:
        """Make ready."""

    async def read(self, name: str) -> tuple[bytes | None, str | None]:
        """Return a file, None if there is none, and what this state of it is known by."""
        ...

    async def write(self, name: str, data: bytes, tag: str | None) -> None:
        """Return when the file is durable, whole, in place of the state known by `tag`."""

    async def close(self) -> None:
        """Let go."""


def from_settings(settings: Settings, find: FindDescriptor) -> Parquet:
    """Return the sink of these settings."""
    return Parquet(settings, Former(settings.form, envelope=False, find=find))


class Parquet:
    """One folder or container."""

    def __init__(self, settings: Settings, form: Former) -> None:
        self._settings = settings
        self._form = form
        self._store = _store(settings)

    async def open(self) -> None:
        """Make ready."""
        await self._store.open()

    async def deliver(self, batch: Sequence[Entry]) -> Sequence[Rejected]:
        """Return when every file that has one of these frames is durable."""
        rejected: list[Rejected] = []
        files: dict[str, list[tuple[Entry, Message]]] = {}
        for entry in batch:
            message = self._form(entry)
            if isinstance(message, Rejected):
                rejected.append(message)
            else:
                files.setdefault(file_of(entry, self._settings.frames), []).append((entry, message))
        names = list(files)
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            for failed in await asyncio.gather(
                *(self._add(name, files[name]) for name in some), return_exceptions=True
            ):
                if failed is not None:
                    raise failed
        return rejected

    async def _add(self, name: str, messages: Sequence[tuple[Entry, Message]]) -> None:
        older, tag = await self._store.read(name)
        try:
            data = await asyncio.to_thread(lambda: united(older, table_of(messages)))
        except ValueError:
            raise SinkError(f"{name} is there and is no file of ours", reason="configuration") from None
        if data is not None:
            await self._store.write(name, data, tag)

    async def close(self) -> None:
        """Let go."""
        await self._store.close()


def _store(settings: Settings) -> Store:
    if settings.folder is not None:
        return Disk(settings.folder)
    blob: Store = STORES.module("blob").Blob(settings.blob)
    return blob
