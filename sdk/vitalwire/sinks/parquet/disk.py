"""Files in a folder: a file is there whole or not at all, and on the disk when it is said to be."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import threading
from pathlib import Path

from vitalwire.errors import SinkError

_LOCK = ".vitalwire-lock"


class Disk:
    """One folder, which one gateway at a time writes to: what it reads, nobody changes before it writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: int | None = None
        self._gate = threading.Lock()
        self._opened = 0  # times; a write that outlived its `close` must not come over a newer one

    async def open(self) -> None:
        """Make the folder and take its lock."""
        await asyncio.to_thread(self._open)

    def _open(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._close()
            raise SinkError(f"another gateway writes to {self._folder}", reason="configuration") from None
        except OSError as error:
            self._close()
            raise SinkError(f"cannot write to {self._folder}: {error.strerror}", reason="storage") from None

    async def read(self, name: str) -> tuple[bytes | None, str | None]:
        """Return a file, or None, and None: nobody else changes it."""
        try:
            return await asyncio.to_thread((self._folder / name).read_bytes), None
        except FileNotFoundError:
            return None, None
        except OSError as error:
            raise SinkError(f"cannot read {name}: {error.strerror}", reason="storage") from None

    async def write(self, name: str, data: bytes, _: str | None) -> None:
        """Return when the file is there and stays there."""
        try:
            await asyncio.to_thread(self._write, self._folder / name, data, self._opened)
        except OSError as error:
            raise SinkError(f"cannot write {name}: {error.strerror}", reason="storage") from None

    def _write(self, path: Path, data: bytes, opened: int) -> None:
        missing = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{opened}.part")
        try:
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with self._gate:
                if opened != self._opened:
                    raise InterruptedError(errno.ECANCELED, "given up")
                beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        for folder in (path.parent, *(each.parent for each in missing)):
            _sync(folder)

    async def close(self) -> None:
        """Let the lock go; what is still being written is given up."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._gate:
            self._opened += 1
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
