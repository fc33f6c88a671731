"""Littlefs partitions as MicroPython's VfsLfs2 makes and mounts them: files in, bytes out, and back."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from littlefs import LittleFS
from littlefs.errors import LittleFSError

from vitalwire_protocol import spec

# MicroPython's own sizes: a file of up to a cache stays inline in its directory, and has to fit the reader's cache.
# The disk's version is the one that every littlefs 2 mounts; MicroPython's raises it when it first writes.
SIZES = {"read_size": 32, "prog_size": 32, "cache_size": 128, "lookahead_size": 32}
VERSION = 0x00020000


def pack(files: Mapping[str, bytes], size: int) -> bytes:
    """Return a partition of `size` bytes with these files, the same for the same files; paths are relative to its root.

    Raises ValueError when they do not fit.
    """
    disk = LittleFS(block_size=spec.SECTOR_SIZE, block_count=size // spec.SECTOR_SIZE, disk_version=VERSION, **SIZES)
    try:
        for path in sorted(files):
            if folder := posixpath.dirname(path):
                disk.makedirs(folder, exist_ok=True)
            with disk.open(path, "wb") as file:
                file.write(files[path])
    except LittleFSError as error:
        raise ValueError(f"{sum(map(len, files.values()))} bytes of files do not fit a partition of {size}") from error
    return bytes(disk.context.buffer)


def unpack(image: bytes) -> dict[str, bytes]:
    """Return the files of a partition by path; raises ValueError for bytes that are none."""
    disk = LittleFS(block_size=spec.SECTOR_SIZE, block_count=len(image) // spec.SECTOR_SIZE, mount=False, **SIZES)
    disk.context.buffer = bytearray(image)
    files = {}
    try:
        disk.mount()
        for folder, _, names in disk.walk("/"):
            for name in names:
                path = posixpath.join(folder, name)
                with disk.open(path, "rb") as file:
                    files[path.removeprefix("/")] = bytes(file.read())
    except LittleFSError as error:
        raise ValueError("not a littlefs partition") from error
    return files
