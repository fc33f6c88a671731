"""The partition table of an ESP32's flash (ESP-IDF programming guide, "Partition Tables"): rows to bytes and back."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass

OFFSET, SIZE = 0x8000, 0x1000
APP, DATA = 0, 1
NVS, FAT, UNDEFINED = 0x02, 0x81, 0x06  # subtypes of data; MicroPython gives its littlefs FAT's
_MAGIC, _DIGEST = b"\xaa\x50", b"\xeb\xeb" + b"\xff" * 14
_ROW = struct.Struct("<2sBBII16sI")


@dataclass(frozen=True, slots=True)
class Partition:
    """One row; offset and size are bytes."""

    label: str
    kind: int
    subtype: int
    offset: int
    size: int
    flags: int = 0

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.offset + self.size


def render(rows: Iterable[Partition]) -> bytes:
    """Return the table's sector, its rows in order of offset, then their MD5."""
    body = b"".join(
        _ROW.pack(_MAGIC, row.kind, row.subtype, row.offset, row.size, row.label.encode(), row.flags)
        for row in sorted(rows, key=lambda row: row.offset)
    )
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    return (body + _DIGEST + digest).ljust(SIZE, b"\xff")


def parse(data: bytes) -> list[Partition]:
    """Return the rows of a table; raises ValueError for bytes that are none, or whose MD5 is wrong."""
    rows = []
    for at in range(0, min(len(data), SIZE) - _ROW.size + 1, _ROW.size):
        entry = data[at : at + _ROW.size]
        if entry[:16] == _DIGEST:
            if entry[16:] != hashlib.md5(data[:at], usedforsecurity=False).digest():
                raise ValueError("its partition table's MD5 is wrong")
            break
        if entry[:2] != _MAGIC:
            break
        _, kind, subtype, offset, size, label, flags = _ROW.unpack(entry)
        rows.append(Partition(label.rstrip(b"\0").decode("ascii", "replace"), kind, subtype, offset, size, flags))
    if not rows:
        raise ValueError("there is no partition table where one should be")
    return rows
