"""SPEC.md section 1: CBOR in its one encoding, and the COSE array of section 2; checks of values."""

from __future__ import annotations

from typing import Any

import cbor2


class Refused(Exception):  # noqa: N818
    """The bytes are not what SPEC.md allows."""


def need(good: bool, why: str) -> None:
    """Refuse unless `good`."""
    if not good:
        raise Refused(why)


def item(data: bytes) -> Any:
    """Return the one CBOR item that `data` is: whatever does not come out the same when encoded again is refused."""
    try:
        value = cbor2.loads(data)
    except (cbor2.CBORDecodeError, RecursionError, ValueError) as error:
        raise Refused(str(error)) from None
    need(encoded(value, 0) == data, "not deterministic")
    return value


def encoded(value: Any, depth: int) -> bytes:
    """Return the deterministic encoding, refusing what section 1 does not allow."""
    if type(value) is dict:
        need(all(type(key) is int for key in value), "a key that is no integer")
        pairs = sorted((encoded(key, 0), encoded(each, depth + 1)) for key, each in value.items())
        parts = [part for pair in pairs for part in pair]
    elif type(value) is list:
        parts = [encoded(each, depth + 1) for each in value]
    else:
        need(type(value) in (int, bool, bytes, str), "a type that may not be")
        need(type(value) is not int or -(2**63) <= value < 2**64, "an integer of more than 64 bits")
        need(type(value) is not str or len(value.encode()) <= 64, "a long text")
        return cbor2.dumps(value)
    need(len(value) <= 64 and depth < 5, "too much")
    head = bytearray(cbor2.dumps(len(value)))
    head[0] |= 0xA0 if type(value) is dict else 0x80
    return bytes(head) + b"".join(parts)


def cose(raw: bytes, tag: int, limit: int) -> list[Any]:
    """Return the four parts of a COSE message."""
    need(len(raw) <= limit and raw[:1] == bytes([0xC0 | tag]), "too long or not the right tag")
    parts = item(raw[1:])
    need(type(parts) is list and [type(part) for part in parts] == [bytes, dict, bytes, bytes], "not a COSE message")
    need(not parts[1], "an unprotected header")
    return parts


def whole(value: Any, low: int, high: int) -> bool:
    """Whether a value is an integer within bounds."""
    return type(value) is int and low <= value <= high


def sized(value: Any, size: int) -> bool:
    """Whether a value is a byte string of a size."""
    return type(value) is bytes and len(value) == size


def listed(value: Any, low: int, high: int) -> list[Any]:
    """Return an array of bounded length."""
    need(type(value) is list and low <= len(value) <= high, "not an array of that length")
    return value  # type: ignore[no-any-return]
