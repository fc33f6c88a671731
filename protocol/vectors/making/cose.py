"""Refused frames: the COSE message around the map, and the CBOR of both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cbor2

from .independent import ALICE, BOB, ES256, HMAC, N, Table, Vector, encode, refuse_all, sign1


def message(*parts: Any, tag: int = 18) -> bytes:
    """Return a tagged array of what a COSE message is made of."""
    return encode(cbor2.CBORTag(tag, [*parts]))


def table(good: bytes) -> Table:
    """Return the damage of a good frame."""
    payload, signature = cbor2.loads(good).value[2:]
    unsigned = good[:-64]
    keys = cbor2.loads(payload)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    room = 4033 - len(sign1(encode({**keys, 30: bytes(1000)})))

    def more(value: Any) -> bytes:
        return sign1(encode({**keys, 30: value}))

    def rs(r: int, s: int) -> bytes:
        return unsigned + r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def under(header: Any) -> bytes:
        return sign1(payload, protected=header if isinstance(header, bytes) else encode(header))

    reversed_keys = b"".join(encode(key) + encode(value) for key, value in reversed(keys.items()))
    return {
        "truncated": {
            "nothing": b"",
            "tag only": good[:1],
            "half": good[: len(good) // 2],
            "but one byte": good[:-1],
            "but the signature": good[:-66],
        },
        "trailing": {"a zero": good + b"\0", "another frame": good + good},
        "oversized": {"4033 bytes": more(bytes(1000 + room))},
        "not-deterministic": {
            "the tag in two bytes": b"\xd8\x12" + good[1:],
            "the array's length in two bytes": good[:1] + b"\x98\x04" + good[2:],
            "the payload's length in three bytes": good[:7] + b"\x59\x00" + good[8:],
            "the signature's length in three bytes": good[:-66] + b"\x59\x00\x40" + signature,
            "the algorithm in two bytes": under(bytes.fromhex("a1013806")),
            "keys of the map out of order": sign1(payload[:1] + reversed_keys),
        },
        "indefinite": {
            "array": good[:1] + b"\x9f" + good[2:] + b"\xff",
            "payload": good[:7] + b"\x5f" + good[7:-66] + b"\xff" + good[-66:],
            "map": sign1(b"\xbf" + payload[1:] + b"\xff"),
        },
        "tag": {
            "none": good[1:],
            "that of a MAC": b"\xd1" + good[1:],
            "that of many signatures": b"\xd8\x62" + good[1:],
            "CBOR's own in front": b"\xd9\xd9\xf7" + good,
            "in the map": more(cbor2.CBORTag(1, 5)),
        },
        "form": {
            "three parts": message(ES256, {}, payload),
            "five parts": message(ES256, {}, payload, signature, 0),
            "a map": encode(cbor2.CBORTag(18, {1: 2})),
            "protected as a map": message({1: -7}, {}, payload, signature),
            "unprotected as an array": message(ES256, [], payload, signature),
            "payload as a map": message(ES256, {}, {1: 2}, signature),
            "signature as a text": message(ES256, {}, payload, "x" * 64),
        },
        "protected": {
            "empty": under(b""),
            "an empty map": under(b"\xa0"),
            "a key id beside": under({1: -7, 4: b"1"}),
            "not a map": under(b"\x26"),
            "another parameter alone": under({3: 0}),
        },
        "crit": {"an unknown one": under({1: -7, 2: [99], 99: 1}), "alg itself": under({1: -7, 2: [1]})},
        "algorithm": {
            "EdDSA": under({1: -8}),
            "ES384": under({1: -35}),
            "ES256K": under({1: -47}),
            "that of a MAC": under(HMAC),
            "a text": under({1: "ES256"}),
            "true": under({1: True}),
        },
        "unprotected": {
            "a key id": sign1(payload, unprotected={4: b"1"}),
            "the algorithm": sign1(payload, unprotected={1: -7}),
            "unknown": sign1(payload, unprotected={-70000: 0}),
        },
        "signature-size": {
            "63 bytes": message(ES256, {}, payload, signature[:-1]),
            "65 bytes": message(ES256, {}, payload, signature + b"\0"),
            "none": message(ES256, {}, payload, b""),
        },
        "high-s": {
            "the twin": sign1(payload, high=True),
            "just above": rs(r, (N + 1) // 2),
            "n": rs(r, N),
            "all ones": rs(r, 2**256 - 1),
        },
        "signature": {
            "a bit of the payload": good[:60] + bytes([good[60] ^ 1]) + good[61:],
            "the last bit": good[:-1] + bytes([good[-1] ^ 1]),
            "a bit of r": good[:-64] + bytes([good[-64] ^ 1]) + good[-63:],
            "another device": sign1(payload, BOB),
            "external_aad of a command": sign1(payload, aad=b"vitalwire/1 command"),
            "external_aad of a reply": sign1(payload, aad=b"vitalwire/1 reply"),
            "no external_aad": sign1(payload, aad=b""),
            "external_aad of a version 2": sign1(payload, aad=b"vitalwire/2 frame"),
            "r of 0": rs(0, s),
            "s of 0": rs(r, 0),
            "both 0": rs(0, 0),
            "r of n": rs(N, s),
            "r above n": rs(2**256 - 1, s),
            "r and s exchanged": rs(min(s, N - s), min(r, N - r)),
            "ES256 signed, ESP256 said": good[:5] + b"\x28" + good[6:],
            "signed as a signature beside others": unsigned
            + ALICE.sign(encode(["Signature", ES256, b"vitalwire/1 frame", payload])),
            "signed without the structure": unsigned + ALICE.sign(payload),
        },
        "key-type": {
            "true in the map": sign1(b"\xa2\x01\x02\xf5\x01"),
            "a text in the map": sign1(encode({**keys, "kind": 2})),
        },
        "float": {"in the map": more(1.5)},
        "simple": {"null in the map": more(None), "no payload": message(ES256, {}, None, signature)},
        "duplicate-key": {"in the map": sign1(bytes([payload[0] + 1]) + payload[1:3] + payload[1:])},
        "depth": {"in the map": more([[[[[]]]]])},
        "utf8": {"in the map": sign1(bytes([payload[0] + 1]) + payload[1:] + bytes.fromhex("181e61ff"))},
    }


def refused(good: bytes, key: Any) -> Iterator[Vector]:
    """Section 2."""
    yield from refuse_all("frame", table(good), key)
