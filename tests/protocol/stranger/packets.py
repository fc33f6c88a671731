"""SPEC.md sections 9 and 10: packets, and the answers of a device."""

from __future__ import annotations

import hmac
import struct
import zlib
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .blocks import Bytes
from .cbor import cose, encoded, item, need, sized, whole
from .frames import TOP


def read_packet(data: bytes) -> tuple[int, int, bytes]:
    """Return type, id and body of a packet, given without the zero byte at its end."""
    out = bytearray()
    left = Bytes(data)
    while left.at < len(data):
        (code,) = left.take(1)
        need(code > 0, "a zero")
        run = left.take(code - 1)
        need(0 not in run, "a zero")
        out += run + (b"\0" if code < 255 and left.at < len(data) else b"")
    need(len(out) >= 6, "too short")
    need(out[-4:] == struct.pack("<L", zlib.crc32(out[:-4])), "CRC")
    limit = {1: 4032, 2: 512, 3: 512, 4: 201}.get(out[0], 4032)
    need(len(out) - 6 <= limit, "too long")
    return out[0], out[1], bytes(out[2:-4])


def open_mac(raw: bytes, use: bytes, secret: bytes, thumbprint: bytes) -> dict[int, Any]:
    """Return the map of a closed command or reply."""
    protected, _, payload, mac = cose(raw, 17, 512)
    need(protected == b"\xa1\x01\x05" and len(mac) == 32, "another algorithm")
    key = HKDF(SHA256(), 32, salt=thumbprint, info=b"vitalwire/1 command mac").derive(secret)
    good = hmac.digest(key, encoded(["MAC0", protected, use, payload], 0), "sha256")
    need(hmac.compare_digest(good, mac), "forged")
    keys = item(payload)
    need(type(keys) is dict, "not a map")
    return keys  # type: ignore[no-any-return]


def read_reply(raw: bytes, secret: bytes, thumbprint: bytes) -> tuple[dict[int, Any], bool]:
    """Return a reply's map and whether its MAC proves it."""
    closed = raw[:1] == b"\xd1"
    keys = open_mac(raw, b"vitalwire/1 reply", secret, thumbprint) if closed else item(raw)
    need(len(raw) <= 512 and type(keys) is dict, "not a map")
    need(whole(keys.get(1), 0, 255) and whole(keys.get(7), 0, 255), "command or result")
    need(not closed or {4, 5} <= set(keys), "nonce or counter")
    need(sized(keys.get(4, bytes(8)), 8) and whole(keys.get(5, 1), closed, 2**64 - 1), "nonce or counter")
    need(whole(keys.get(8, 0), 0, TOP) and sized(keys.get(9, bytes(32)), 32), "ticks or thumbprint")
    return keys, closed
