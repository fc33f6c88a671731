"""Frames and captures made by hand, for tests of what reads and writes them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

import cbor2

from vitalwire.capture import Damage, Record
from vitalwire_protocol.spec import CAPTURE_FORMAT, VERSION, Key, Kind

HEADER = cbor2.dumps({1: CAPTURE_FORMAT, 2: VERSION}, canonical=True)


def frame(kind: int, seq: int, *, descriptor: bytes = bytes(8), utc: int | None = None, size: int = 40) -> bytes:
    """Return a frame of the right form, made with cbor2; its signature is noise, which a capture does not judge."""
    payload = {Key.KIND: kind, Key.BOOT: 1, Key.SEQ: seq, Key.PREV: bytes(16), Key.TICKS: seq * 2_000_000}
    if kind != Kind.DESCRIPTOR:
        payload[Key.DESCRIPTOR] = descriptor
    if utc is not None:
        payload[Key.UTC], payload[Key.UTC_ACCURACY] = utc, 10
    noise = random.Random(seq)
    payload[Key.BLOCKS] = noise.randbytes(size)
    body = cbor2.dumps({int(key): value for key, value in payload.items()}, canonical=True)
    return cbor2.dumps(cbor2.CBORTag(18, [bytes.fromhex("a10126"), {}, body, noise.randbytes(64)]))


def digest(descriptor: bytes) -> bytes:
    """Return what frames call a descriptor."""
    return hashlib.sha256(descriptor).digest()[:8]


DESCRIPTOR = frame(Kind.DESCRIPTOR, 1)
FRAMES = [frame(Kind.DATA, seq, descriptor=digest(DESCRIPTOR)) for seq in range(2, 12)]


def raws(items: Iterator[Record | Damage]) -> list[bytes]:
    """Return the frames' bytes."""
    return [item.raw for item in items if isinstance(item, Record)]
