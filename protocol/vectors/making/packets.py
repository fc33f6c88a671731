"""Vectors of section 9: packets. Header and CRC belong to the runs of COBS, so bodies are searched for its edges."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

from .independent import Table, Vector, accept, cobs, packet, refuse_all


def found(size: int, test: Callable[[bytes], bool]) -> bytes:
    """Return a body of `size` bytes 1 to 255 whose packet of type 1 and id 1 passes `test` of its bytes before COBS."""
    for salt in range(100_000):
        body = bytes(1 + (each * 7 + salt * (each % 5 + 1)) % 255 for each in range(size))
        content = b"\1\1" + body
        if test(content + struct.pack("<L", zlib.crc32(content))):
            return body
    raise LookupError(size)


def accepted(frames: list[bytes]) -> Iterator[Vector]:
    """Section 9."""

    def of(name: str, kind: int, number: int, body: bytes) -> Vector:
        return accept(name, "packet", packet(kind, number, body), {"type": kind, "id": number, "body": body})

    yield of("packet of nothing", 2, 1, b"")
    yield of("id 0", 2, 0, b"\1")
    yield of("id 255", 3, 255, b"\xa2\x01\x00\x07\x01")
    yield of("body of zeros", 1, 1, bytes(10))
    yield of("body of 600 zeros", 1, 1, bytes(600))
    yield of("body that ends in a zero", 1, 1, b"\1\0")
    for size in (253, 254, 255, 508, 509):
        yield of(f"a run of {size} bytes to the end", 1, 1, found(size - 6, lambda all: 0 not in all))
    yield of("a run of 254 bytes, then a zero", 1, 1, found(252, lambda all: 0 not in all) + b"\0")
    yield of("a run of 253 bytes, then a zero", 1, 1, found(251, lambda all: 0 not in all) + b"\0")
    yield of("a CRC that ends in a zero", 1, 1, found(5, lambda all: all[-1] == 0 and 0 not in all[:-1]))
    yield of("log line", 4, 9, b"\3" + "FIFO ✓".encode())
    yield of("log line of 200 bytes", 4, 9, b"\1" + b"x" * 200)
    yield of("a type that is not known", 200, 7, b"skipped")
    yield of("a frame", 1, 77, frames[1])
    yield of("a frame of 4032 bytes", 1, 78, next(raw for raw in frames if len(raw) == 4032))


def stuffed(content: bytes, crc: int | None = None, order: str = "<") -> bytes:
    """Return content and its CRC, or another number, as a packet."""
    return cobs(content + struct.pack(f"{order}L", zlib.crc32(content) if crc is None else crc))


CONTENT = b"\1\1some body"
GOOD = zlib.crc32(CONTENT)
PING = packet(2, 1, b"")
REFUSED: Table = {
    "cobs": {
        "a code past the end": b"\xff" + PING[1:],
        "cut": PING[:-1],
        "cut after the code": stuffed(CONTENT)[:1],
        "a last run of one too few": stuffed(b"\1" * 300)[:-1],
    },
    "crc": {
        "a bit of the body": stuffed(CONTENT[:-1] + b"x", GOOD),
        "a bit of the type": stuffed(b"\0" + CONTENT[1:], GOOD),
        "of zeros": stuffed(CONTENT, 0),
        "most significant byte first": stuffed(CONTENT, None, ">"),
        "of the body alone": stuffed(CONTENT, zlib.crc32(CONTENT[2:])),
        "not inverted": stuffed(CONTENT, GOOD ^ 0xFFFFFFFF),
    },
    "truncated": {
        "header without CRC": cobs(b"\1\1"),
        "five bytes": cobs(b"\1\1\1\1\1"),
        "one byte": b"\1",
        "a CRC of one byte of header": stuffed(b"\1"),
    },
    "oversized": {
        "a frame of 4033 bytes": packet(1, 1, b"x" * 4033),
        "a command of 513 bytes": packet(2, 1, b"x" * 513),
        "a reply of 513 bytes": packet(3, 1, b"x" * 513),
        "a log line of 201 bytes": packet(4, 1, b"\1" + b"x" * 201),
        "an unknown type of 4033 bytes": packet(99, 1, b"x" * 4033),
    },
}


def refused() -> Iterator[Vector]:
    """Section 9."""
    yield from refuse_all("packet", REFUSED)
