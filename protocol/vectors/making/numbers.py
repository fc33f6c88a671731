"""Vectors of section 1: CBOR items, varints, checksums, thumbprints."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

from .independent import ALICE, BOB, Table, Vector, accept, encode, refuse_all, varint, zigzag

INTEGERS = (
    0,
    23,
    24,
    255,
    256,
    65535,
    65536,
    2**30 - 1,
    2**30,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
)
NEGATIVES = (-1, -24, -25, -256, -257, -65536, -65537, -(2**30) - 1, -(2**31), -(2**32), -(2**32) - 1, -(2**63))
ITEMS: dict[str, Any] = {
    "false and true": [False, True],
    "byte strings around 24 and 256": [bytes(size) for size in (0, 1, 23, 24, 255, 256)],
    "texts": ["", "a", "mV", "é", "✓", "𝄞", "x" * 23, "x" * 24, "x" * 64, "\0"],
    "text of 64 bytes in UTF-8": "𝄞" * 16,
    "arrays around 24": [[], [0] * 23, [0] * 24],
    "array of 64": list(range(64)),
    "map of 64": {number: number for number in range(64)},
    "depth of 5": [[[{1: []}]]],
    "keys in bytewise order": {
        10: 1,
        23: 2,
        24: 3,
        100: 4,
        1000: 5,
        65536: 6,
        -1: 7,
        -24: 8,
        -25: 9,
        -257: 10,
        -(2**63): 11,
    },
    "false and 0 beside each other": [False, 0, True, 1],
}


def accepted() -> Iterator[Vector]:
    """Section 1."""
    for number in INTEGERS + NEGATIVES:
        yield accept(f"integer {number}", "cbor", encode(number), number)
    for name, item in ITEMS.items():
        yield accept(name, "cbor", encode(item), item)
    for number in (0, 1, 127, 128, 16383, 16384, 2**21 - 1, 2**21, 2**28 - 1, 2**28, 2**31 - 1, 2**31, 2**32 - 1):
        yield accept(f"varint {number}", "varint", varint(number), number)
    for number in (0, -1, 1, -64, 64, 2**30 - 1, -(2**30), 2**30, 2**31 - 1, -(2**31)):
        yield accept(f"zigzag {number}", "zigzag", varint(zigzag(number)), number)
    for name, data in {"of nothing": b"", "of 123456789": b"123456789", "of every byte": bytes(range(256))}.items():
        yield accept(f"crc32 {name}", "crc32", data, zlib.crc32(data))
    for name, device in {"alice": ALICE, "bob": BOB}.items():
        yield accept(f"thumbprint of {name}", "thumbprint", encode(device.cose_key), device.thumbprint)


CBOR: dict[str, dict[str, str]] = {
    "truncated": {
        "nothing at all": "",
        "a head without its byte": "18",
        "a head with half its bytes": "1a0001",
        "a byte string": "4201",
        "a text": "6261",
        "an array": "8201",
        "a map without its last value": "a20100 02",
        "a map of one half": "a101",
    },
    "trailing": {"another item": "0000", "a break": "80f4", "a byte after a map": "a1010200"},
    "not-deterministic": {
        "23 in two bytes": "1817",
        "255 in three bytes": "1900ff",
        "65535 in five": "1a0000ffff",
        "2^32-1 in nine": "1b00000000ffffffff",
        "-24 in two bytes": "3817",
        "-256 in three": "3900ff",
        "a byte string's length": "580100",
        "a text's length": "780161",
        "an array's length": "980100",
        "a map's length": "b8010101",
        "a key": "a1180101",
        "keys falling": "a202000100",
        "keys ordered by length first": "a220001864 00",
        "positive after negative": "a2200001 00",
    },
    "indefinite": {
        "an array": "9f00ff",
        "a map": "bf0000ff",
        "a byte string": "5f4100ff",
        "a text": "7f6161ff",
        "a break alone": "ff",
        "an integer": "1f",
        "an array inside": "819fff",
    },
    "reserved": {
        "28": "1c",
        "29 of a negative": "3d",
        "30 of a byte string": "5e",
        "28 of an array": "9c",
        "30 of a simple": "fe",
    },
    "duplicate-key": {"twice 1": "a201000101", "twice -1": "a220002000", "with another between": "a3010002000100"},
    "key-type": {
        "true": "a1f500",
        "false": "a1f400",
        "a text": "a1616100",
        "a byte string": "a1410100",
        "an array": "a18000",
        "a map": "a1a000",
        "true after 1": "a20100f500",
        "inside an array": "81a1f501",
    },
    "depth": {
        "six arrays": "818181818180",
        "six maps": "a101a101a101a101a101a0",
        "a thousand arrays": "81" * 1000 + "80",
    },
    "items": {
        "an array of 65": "9841" + "00" * 65,
        "a map of 65": "b841" + "".join(encode(key).hex() + "00" for key in range(65)),
        "an array of 2^32-1": "9affffffff",
        "a map of 2^64-1": "bbffffffffffffffff",
    },
    "text": {"65 bytes": "7841" + "61" * 65, "65 bytes of fewer letters": "7841" + "c3a9" * 32 + "61"},
    "utf8": {
        "a lone byte": "61ff",
        "a continuation alone": "6180",
        "cut in the middle": "61c3",
        "overlong": "62c080",
        "a surrogate": "63eda080",
        "beyond U+10FFFF": "64f4908080",
        "overlong in three": "63e08080",
    },
    "float": {
        "half 0": "f90000",
        "single": "fa3f800000",
        "double": "fb3ff0000000000000",
        "infinity": "f97c00",
        "inside": "a101f93c00",
    },
    "simple": {
        "null": "f6",
        "undefined": "f7",
        "0": "e0",
        "19": "f3",
        "32 in two bytes": "f820",
        "false in two bytes": "f814",
        "inside": "81f6",
    },
    "tag": {
        "a date": "c100",
        "a bignum": "c2420100",
        "in two bytes": "d82000",
        "inside": "81c100",
        "CBOR itself": "d9d9f700",
    },
    "range": {"-2^63-1": "3b8000000000000000", "-2^64": "3bffffffffffffffff"},
}


VARINTS = {
    "varint": {
        "six bytes": "808080808001",
        "above 2^32-1": "8080808010",
        "superfluous zero": "8000",
        "2^32-1 with a zero": "ffffffff8f00",
    },
    "truncated": {"nothing": "", "no last byte": "80", "four of five bytes": "ffffffff"},
}


def _bytes(table: dict[str, dict[str, str]]) -> Table:
    return {error: {name: bytes.fromhex(data) for name, data in rows.items()} for error, rows in table.items()}


def refused() -> Iterator[Vector]:
    """Section 1."""
    yield from refuse_all("cbor", _bytes(CBOR))
    yield from refuse_all("varint", _bytes(VARINTS))
