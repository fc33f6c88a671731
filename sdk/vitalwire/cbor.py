"""The CBOR of vitalwire: RFC 8949 in deterministic encoding (4.2.1) and nothing else, within the limits of `spec`.

Here lives one decoder and one encoder. Neither knows what an item means; tags, floats and `null` do not exist here.
By hand because no library refuses every other form, and because it lies on the hot path of every frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from vitalwire.errors import CborError
from vitalwire_protocol.spec import Limit

Item: TypeAlias = "int | bool | bytes | str | list[Item] | dict[int, Item]"

MIN_INT = -(1 << 63)
MAX_INT = (1 << 64) - 1

_MAX_DEPTH = int(Limit.MAX_DEPTH)
_MAX_ITEMS = int(Limit.MAX_ITEMS)
_MAX_TEXT = int(Limit.MAX_TEXT)

_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_SHORTEST = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}  # the least value each longer head may hold
_FALSE, _TRUE = 20, 21


def decode(data: bytes) -> Item:
    """Return the one item that `data` is.

    Raises `CborError` for anything but exactly one item in deterministic encoding within `Limit` (RFC 8949 4.2.1).
    """
    item, end = decode_prefix(data)
    if end != len(data):
        raise CborError(f"{len(data) - end} bytes follow the item", reason="trailing")
    return item


def decode_prefix(data: bytes, start: int = 0) -> tuple[Item, int]:
    """Return the item that begins at `start` and the offset behind it; raises `CborError` as `decode` does."""
    try:
        return _read(data, start, len(data), 0)
    except IndexError:
        raise CborError(f"cut off after {len(data)} bytes", reason="truncated") from None


def _read(data: bytes, pos: int, end: int, depth: int) -> tuple[Item, int]:
    first = data[pos]
    pos += 1
    count = first & 31
    major = first >> 5
    if count > 23 or major > _MAP:
        if major > _MAP:
            return _rare(first, pos)
        least = _SHORTEST.get(count)
        if least is None:
            raise _bad_head(count, pos)
        size = 1 << (count - 24)
        count = int.from_bytes(data[pos : pos + size], "big")
        pos += size
        if pos > end:
            raise IndexError
        if count < least:
            raise CborError(f"a longer head than needed at byte {pos - size - 1}", reason="not-deterministic")
    if major == _UINT:
        return count, pos
    if major == _BYTES:
        stop = pos + count
        if stop > end:
            raise IndexError
        return data[pos:stop], stop
    if major == _NEGATIVE:
        if count > -1 - MIN_INT:
            raise CborError(f"an integer below -2^63 at byte {pos}", reason="range")
        return -1 - count, pos
    if major == _TEXT:
        return _text(data, pos, end, count)
    if depth == _MAX_DEPTH:
        raise CborError(f"nested deeper than {_MAX_DEPTH}", reason="depth")
    if count > _MAX_ITEMS:
        raise CborError(f"{count} entries, more than {_MAX_ITEMS}", reason="items")
    if major == _ARRAY:
        items: list[Item] = []
        for _ in range(count):
            item, pos = _read(data, pos, end, depth + 1)
            items.append(item)
        return items, pos
    return _map(data, pos, end, depth + 1, count)


def _map(data: bytes, pos: int, end: int, depth: int, count: int) -> tuple[Item, int]:
    entries: dict[int, Item] = {}
    last = -1
    for _ in range(count):
        begin = pos
        key = data[pos]
        pos += 1
        if key < 24:  # nearly all keys are one byte
            rank = key
        else:
            item, pos = _read(data, begin, end, depth)
            if type(item) is not int:
                raise CborError(f"a map key that is not an integer at byte {begin}", reason="key-type")
            key = item
            rank = key if key >= 0 else MAX_INT - key  # in the bytewise order of the encodings
        if rank <= last:
            reason = "duplicate-key" if key in entries else "not-deterministic"
            raise CborError(f"map keys are not in rising order at byte {begin}", reason=reason)
        last = rank
        entries[key], pos = _read(data, pos, end, depth)
    return entries, pos


def _text(data: bytes, pos: int, end: int, count: int) -> tuple[str, int]:
    if count > _MAX_TEXT:
        raise CborError(f"a text of {count} bytes, more than {_MAX_TEXT}", reason="text")
    stop = pos + count
    if stop > end:
        raise IndexError
    try:
        return data[pos:stop].decode(), stop
    except UnicodeDecodeError:
        raise CborError(f"a text that is not UTF-8 at byte {pos}", reason="utf8") from None


def _rare(first: int, pos: int) -> tuple[bool, int]:
    """Read `false` and `true`; everything else of majors 6 and 7 is refused."""
    info = first & 31
    if first >> 5 == _SIMPLE:
        if info in (_FALSE, _TRUE):
            return info == _TRUE, pos
        if 25 <= info <= 27:
            raise CborError(f"a floating-point number at byte {pos - 1}", reason="float")
        if info > 27:
            raise _bad_head(info, pos)
        raise CborError(f"a simple value other than false and true at byte {pos - 1}", reason="simple")
    if info > 27:
        raise _bad_head(info, pos)
    raise CborError(f"a tag at byte {pos - 1}", reason="tag")


def _bad_head(info: int, pos: int) -> CborError:
    if info == 31:
        return CborError(f"an indefinite length at byte {pos - 1}", reason="indefinite")
    return CborError(f"reserved additional information at byte {pos - 1}", reason="reserved")


def encode(item: object) -> bytes:
    """Return the deterministic encoding of an `Item`; tuples count as arrays, any mapping as a map.

    Raises `CborError` for what vitalwire's CBOR has no form for. Lengths and nesting are the caller's business.
    """
    kind = type(item)
    if kind is bool:
        return b"\xf5" if item else b"\xf4"
    if isinstance(item, int):
        if not MIN_INT <= item <= MAX_INT:
            raise CborError("an integer outside 64 bits", reason="range")
        return head(_UINT, item) if item >= 0 else head(_NEGATIVE, -1 - item)
    if isinstance(item, bytes | bytearray | memoryview):
        return head(_BYTES, len(item)) + bytes(item)
    if isinstance(item, str):
        text = item.encode()
        return head(_TEXT, len(text)) + text
    if isinstance(item, list | tuple):
        return head(_ARRAY, len(item)) + b"".join(map(encode, item))
    if isinstance(item, Mapping):
        if any(type(key) is bool or not isinstance(key, int) for key in item):
            raise CborError("a map key that is not an integer", reason="key-type")
        pairs = sorted((encode(key), encode(value)) for key, value in item.items())
        return head(_MAP, len(pairs)) + b"".join(key + value for key, value in pairs)
    raise CborError(f"no form for {kind.__name__}", reason="type")


def head(major: int, value: int) -> bytes:
    """Return the shortest head of an item: major type 0 to 7 and its argument."""
    if value < 24:
        return bytes([major << 5 | value])
    size = next(size for size in range(4) if value >> (8 << size) == 0)
    return bytes([major << 5 | 24 + size]) + value.to_bytes(1 << size, "big")
