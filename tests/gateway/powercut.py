"""A disk that loses power: SQLite's files as a cut would leave them, through a VFS that knows what was synced.

What was written and not yet synced survives a cut in parts: each 512-byte sector of each write by chance. Wants `apsw`.
"""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512


class Disk:
    """The files of one folder; `cut` leaves in another folder what a cut now would leave of them."""

    def __init__(self, name: str) -> None:
        self.operations = 0
        self._lock = threading.RLock()
        self._durable: dict[str, bytearray] = {}
        self._pending: dict[str, list[tuple[int, bytes | None]]] = {}  # offset and bytes; None: truncated there
        self._vfs = _Vfs(name, self)
        self._name = name

    def opened(self, path: Path | str) -> sqlite3.Connection:
        """Return a connection through this disk, as `sqlite3` would."""
        return _Connection(path, self._name)  # type: ignore[return-value]

    def cut(self, folder: Path, chance: random.Random) -> None:
        """Write what is left into a folder."""
        folder.mkdir()
        with self._lock:
            for name, durable in self._durable.items():
                left = bytearray(durable)
                for offset, data in self._pending.get(name, ()):
                    _apply(left, offset, data, chance)
                (folder / Path(name).name).write_bytes(left)

    # ------------------------------------------------------------ told by the VFS

    def write(self, name: str, offset: int, data: bytes | None) -> None:
        """Note a write or, without data, a truncation."""
        with self._lock:
            self.operations += 1
            self._durable.setdefault(name, bytearray())
            self._pending.setdefault(name, []).append((offset, data))

    def sync(self, name: str) -> None:
        """Note that all so far is on the disk."""
        with self._lock:
            self.operations += 1
            for offset, data in self._pending.pop(name, ()):
                _apply(self._durable[name], offset, data, None)

    def delete(self, name: str) -> None:
        """Note that a file is gone."""
        with self._lock:
            self._durable.pop(name, None)
            self._pending.pop(name, None)


def _apply(image: bytearray, offset: int, data: bytes | None, chance: random.Random | None) -> None:
    if data is None:
        if chance is None or chance.random() < 0.5:
            del image[offset:]
        return
    for start in range(0, len(data), SECTOR):
        if chance is None or chance.random() < 0.5:
            part = data[start : start + SECTOR]
            image.extend(bytes(max(0, offset + start - len(image))))
            image[offset + start : offset + start + len(part)] = part


class _Vfs(apsw.VFS):
    def __init__(self, name: str, disk: Disk) -> None:
        self._disk = disk
        super().__init__(name, "unix")

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        return _File(name, flags, self._disk)

    def xDelete(self, name: str, sync: bool) -> None:
        super().xDelete(name, sync)
        self._disk.delete(name)


class _File(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], disk: Disk) -> None:
        super().__init__("unix", name, flags)
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._disk.write(self._name, offset, bytes(data))

    def xTruncate(self, size: int) -> None:
        super().xTruncate(size)
        self._disk.write(self._name, size, None)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._disk.sync(self._name)


@contextmanager
def _as_sqlite3() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise sqlite3.OperationalError(str(error)) from None


class _Connection:
    """As much of `sqlite3.Connection` as a store needs."""

    def __init__(self, path: Path | str, vfs: str) -> None:
        self._connection = apsw.Connection(str(path), vfs=vfs)
        self._connection.set_busy_timeout(10_000)

    def execute(self, query: str, values: Sequence[object] = ()) -> Any:
        with _as_sqlite3():
            return self._connection.execute(query, tuple(values))

    def close(self) -> None:
        self._connection.close()
