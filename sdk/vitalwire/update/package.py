"""An update as a file: the signed manifest, then the contents of its files, one behind the other; no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

from vitalwire import cbor
from vitalwire.errors import InputError
from vitalwire_protocol import spec
from vitalwire_protocol.spec import UpdateKind

from .manifest import Manifest, PackedFile, parse_manifest, sign_manifest


@dataclass(frozen=True, slots=True)
class Package:
    """A whole update: `data` is what the device gets, its first `signed` bytes are the manifest."""

    manifest: Manifest
    signed: int
    data: bytes = field(repr=False)

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the signed manifest, which names this update."""
        return hashlib.sha256(self.data[: self.signed]).digest()


def pack(
    key: EllipticCurvePrivateKey,
    files: Mapping[str, bytes],
    *,
    board: str,
    firmware: str,
    counter: int,
    kind: UpdateKind = UpdateKind.APPLICATION,
) -> Package:
    """Return an update of `files`, by path, signed with the maker's key; UsageError if no device would take it."""
    rows = tuple(PackedFile(path, len(data), hashlib.sha256(data).digest()) for path, data in files.items())
    manifest = Manifest(kind, board, firmware, counter, rows)
    message = sign_manifest(manifest, key)
    return Package(manifest, len(message), message + b"".join(files.values()))


def read_package(data: bytes, key: EllipticCurvePublicKey) -> Package:
    """Return the update in a file if `key` signed it and its files are the ones it names.

    Raises SignatureError for another key's, other InputErrors for what is damaged or none.
    """
    tag = cbor.head(6, spec.Tag.SIGN1)
    if not data.startswith(tag):
        raise InputError("this is no update: no signed manifest stands in front", reason="tag")
    _, signed = cbor.decode_prefix(data[: spec.Limit.MAX_FRAME], len(tag))
    manifest = parse_manifest(data[:signed], key)
    at = signed
    for file in manifest.files:
        if hashlib.sha256(data[at : at + file.size]).digest() != file.digest:
            raise InputError(f"{file.path} is not the file whose digest was signed", reason="digest")
        at += file.size
    if at != len(data):
        raise InputError(f"{len(data) - at} bytes follow the update", reason="trailing")
    return Package(manifest, signed, data)
