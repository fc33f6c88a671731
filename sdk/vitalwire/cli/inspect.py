"""`vitalwire inspect`: one frame of a capture, explained down to its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from vitalwire.capture import Record, parts, peek, read
from vitalwire.crypto import frame_key, is_signed, load_public_key, verify_mac0, verify_sign1
from vitalwire.errors import CaptureError, InputError, TrustError, UsageError
from vitalwire.frame import parse
from vitalwire.inspect import Row, explain
from vitalwire.messages import Descriptor
from vitalwire.registry import Registry
from vitalwire.verdict import MAX_DESCRIPTORS
from vitalwire_protocol.spec import DIGEST_SIZE, Kind, Limit, Policy

from . import output
from .options import Fingerprints, Json, RegistryFile, opened

SHOWN = 16  # bytes of a field shown in the table; --json has them all


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A capture, or a file that holds one frame.")],
    seq: Annotated[
        int | None, typer.Option("--seq", metavar="N", help="The frame of this number; else the first.")
    ] = None,
    everything: Annotated[bool, typer.Option("--full", help="Show all bytes of each field.")] = False,
    registry: RegistryFile = None,
    fingerprint: Fingerprints = None,
    as_json: Json = False,
) -> None:
    """Explain one frame field by field: offset, bytes, CBOR path, meaning, blocks with their coding and overhead.

    Shows what is there whether it is to be believed or not, and says which.
    """
    raw, descriptor = _find(file, seq)
    rows = explain(raw, descriptor)
    with opened(registry, fingerprint) as trusted:
        trust = _trust(raw, descriptor, trusted)
    digest = hashlib.sha256(raw).hexdigest()
    if as_json:
        fields = [row.as_dict() for row in rows]
        output.show_json({"file": str(file), "length": len(raw), "digest": digest, "trust": trust, "fields": fields})
        return
    table = output.plain(f"{len(raw)} bytes, SHA-256 {digest}", "offset", "bytes", "path", "meaning")
    for row in rows:
        table.add_row(f"{row.offset:4}", _hex(row, everything), row.path, "  " * row.depth + row.meaning)
    output.show(table)
    output.console().print(trust)


def _hex(row: Row, everything: bool) -> str:
    data = row.data if everything or len(row.data) <= SHOWN else row.data[:SHOWN]
    return data.hex(" ") + (f" +{len(row.data) - len(data)}" if len(data) < len(row.data) else "")


def _find(file: Path, seq: int | None) -> tuple[bytes, Descriptor | None]:
    """Return the frame wanted and the descriptor it names, wherever in the capture that stands."""
    wanted, needed = None, b""
    descriptors: dict[bytes, bytes] = {}
    try:
        for raw in _frames(file):
            head = peek(raw)
            if head is not None and head.kind == Kind.DESCRIPTOR and len(descriptors) < MAX_DESCRIPTORS:
                descriptors[_digest(raw)] = raw
            if wanted is None and (seq is None or (head is not None and head.seq == seq)):
                wanted, needed = raw, (head.descriptor if head else None) or _digest(raw)
            if wanted is not None and needed in descriptors:
                break
    except CaptureError:
        wanted = file.read_bytes()[: Limit.MAX_FRAME + 1]
        descriptors[needed] = wanted
    if wanted is None:
        raise UsageError(f"{file} holds no frame {'at all' if seq is None else seq}")
    try:
        return wanted, parse(descriptors[needed]).body
    except (KeyError, InputError):
        return wanted, None


def _frames(file: Path) -> Iterator[bytes]:
    for part in parts(file) or [file]:
        for item in read(part):
            if isinstance(item, Record):
                yield item.raw


def _digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()[:DIGEST_SIZE]


def _authentic(raw: bytes, descriptor: Descriptor, registry: Registry) -> str:
    """Say the same of a frame with a MAC, which a seal elsewhere may cover."""
    if descriptor.policy != Policy.SEAL:
        return "not to be believed: a MAC, where its descriptor announces signatures"
    secret = registry.secret(descriptor.thumbprint)
    if secret is None:
        return "not verified: the registry has no secret to check the MAC with; a seal may cover it, `verify` says so"
    try:
        verify_mac0(raw, frame_key(secret, descriptor.thumbprint))
    except TrustError as error:
        return f"forged: {error}"
    return "authentic: the MAC verifies, the frame is not signed; a seal may cover it, `verify` says so"


def _trust(raw: bytes, descriptor: Descriptor | None, registry: Registry) -> str:
    """Say in one line whether the frame is to be believed."""
    try:
        parse(raw)
    except InputError as error:
        return f"malformed ({error.reason}): {error}"
    if descriptor is None:
        return "not verified: the file does not hold the descriptor it names"
    device = registry.get(descriptor.thumbprint)
    if not is_signed(raw):
        return _authentic(raw, descriptor, registry)
    try:
        verify_sign1(raw, load_public_key(descriptor.public_key))
    except TrustError as error:
        return f"forged: {error}"
    whose = f"{descriptor.thumbprint.hex()} ({descriptor.device})"
    if device is None:
        return f"the signature verifies under its own descriptor, but nobody enrolled {whose}"
    state = "enrolled" if device.revoked_us is None else "revoked"
    return f"the signature verifies: {device.name}, {state}, {whose}"
