"""What a maker's key signs: for which board, which files, and how old it may not be; no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vitalwire.crypto import PrivateKey, PublicKey
from vitalwire.errors import FrameError
from vitalwire.frame.fields import array, integer, text
from vitalwire.frame.signed import Document
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Limit, UpdateKey, UpdateKind

DIGEST = 32  # bytes of a file's SHA-256
_MAX_COUNTER = 0xFFFFFFFF
_RESERVED = {"manifest", "begun", "sectors"}  # names the device has in a slot for itself
_PATH = re.compile(r"(?:[a-z0-9_][a-z0-9_.]*/)?[a-z0-9_][a-z0-9_.]*")


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file of an update: its path in the slot, its size and its SHA-256."""

    path: str
    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an update is; `counter` rises with each release that must not be followed by an older one."""

    kind: UpdateKind
    board: str
    firmware: str
    counter: int
    files: tuple[PackedFile, ...]


def sign_manifest(manifest: Manifest, key: PrivateKey) -> bytes:
    """Return the manifest as a COSE_Sign1 for the use `AAD_UPDATE`; raises UsageError for one no device would take."""
    fields = {
        UpdateKey.VERSION: spec.VERSION,
        UpdateKey.KIND: manifest.kind,
        UpdateKey.BOARD: manifest.board,
        UpdateKey.FIRMWARE: manifest.firmware,
        UpdateKey.COUNTER: manifest.counter,
        UpdateKey.FILES: [[file.path, file.size, file.digest] for file in manifest.files],
    }
    return _DOCUMENT.sign(fields, key)


def parse_manifest(message: bytes, key: PublicKey) -> Manifest:
    """Return what `key` signed; raises FrameError or CborError for its form, SignatureError for another key's."""
    return _DOCUMENT.parse(message, key)


def _read(fields: Mapping[int, Any]) -> Manifest:
    integer(fields, UpdateKey.VERSION, spec.VERSION, spec.VERSION)
    kind = UpdateKind(integer(fields, UpdateKey.KIND, min(UpdateKind), max(UpdateKind)))
    is_image = kind == UpdateKind.IMAGE
    rows = array(fields, UpdateKey.FILES, 1, 1 if is_image else Limit.MAX_UPDATE_FILES)
    return Manifest(
        kind,
        text(fields, UpdateKey.BOARD),
        text(fields, UpdateKey.FIRMWARE),
        integer(fields, UpdateKey.COUNTER, 1, _MAX_COUNTER),
        _files(rows, Limit.MAX_UPDATE_IMAGE if is_image else Limit.MAX_UPDATE_FILE),
    )


def _files(rows: list[Any], most: int) -> tuple[PackedFile, ...]:
    files = []
    for row in rows:
        if not isinstance(row, list) or [type(item) for item in row] != [str, int, bytes] or len(row[2]) != DIGEST:
            raise FrameError("a file of a manifest is path, size and digest", reason="type")
        if not _PATH.fullmatch(row[0]) or len(row[0]) > Limit.MAX_PATH:
            raise FrameError(f"{row[0]!r} is no path of an update's file", reason="bounds")
        if not 0 < row[1] <= most:
            raise FrameError(f"{row[0]} has {row[1]} bytes", reason="bounds")
        files.append(PackedFile(*row))
    paths = {file.path for file in files}
    folders = {path.split("/")[0] for path in paths if "/" in path}
    if len(paths) < len(files) or paths & folders or paths & _RESERVED:
        raise FrameError("two files of a manifest have the same path, or one the device's own", reason="bounds")
    return tuple(files)


_DOCUMENT = Document("update", spec.AAD_UPDATE, UpdateKey, _read)
