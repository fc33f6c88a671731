"""SPEC.md sections 2 to 5 and 7: one frame, verified and opened; its blocks are not read here."""

from __future__ import annotations

import hmac
import struct
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .cbor import Refused, cose, encoded, item, listed, need, sized, whole

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
TOP = 2**63 - 1


def read_frame(raw: bytes, key: tuple[bytes, bytes] | None) -> dict[int, Any]:
    """Return the map of a frame signed by the public key (x, y), or in a descriptor by its own."""
    protected, _, payload, signature = cose(raw, 18, 4032)
    need(protected in (b"\xa1\x01\x26", b"\xa1\x01\x28") and len(signature) == 64, "another algorithm")
    keys = item(payload)
    check_frame(keys)
    if key is None:
        need(keys[1] == 1, "no key")
        key = keys[18][-2], keys[18][-3]
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    need(s <= (N - 1) // 2, "high s")
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + key[0] + key[1])
        signed_bytes = encoded(["Signature1", protected, b"vitalwire/1 frame", payload], 0)
        public.verify(encode_dss_signature(r, s), signed_bytes, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise Refused("forged") from None
    return keys


def derived(secret: bytes, thumbprint: bytes, use: str, length: int) -> bytes:
    """Return one of a device's keys (section 2)."""
    return HKDF(SHA256(), length, salt=thumbprint, info=use.encode()).derive(secret)


def read_mac_frame(raw: bytes, secret: bytes, thumbprint: bytes) -> dict[int, Any]:
    """Return the map of a frame with a MAC."""
    protected, _, payload, tag = cose(raw, 17, 4032)
    need(protected == b"\xa1\x01\x05" and len(tag) == 32, "another algorithm")
    keys = item(payload)
    check_frame(keys)
    key = derived(secret, thumbprint, "vitalwire/1 frame mac", 32)
    need(hmac.digest(key, encoded(["MAC0", protected, b"vitalwire/1 frame", payload], 0), "sha256") == tag, "forged")
    return keys


def open_private(keys: dict[int, Any], secret: bytes, thumbprint: bytes) -> dict[int, Any]:
    """Return the map of what a verified frame keeps private (section 5)."""
    nonce = struct.pack("<LL5x", keys[2], keys[3])
    associated = encoded(["Encrypt0", b"\xa1\x01\x0a", b"vitalwire/1 private"], 0)
    try:
        plaintext = AESCCM(derived(secret, thumbprint, "vitalwire/1 private", 16), 8).decrypt(
            nonce, keys[25][2], associated
        )
    except InvalidTag:
        raise Refused("does not decrypt") from None
    inside = item(plaintext)
    need(type(inside) is dict and not (inside.keys() & keys.keys() & {9, 10, 11}), "not a map, or on both sides")
    events = [*keys.get(12, []), *inside.get(12, [])]
    check_frame(
        {**{key: each for key, each in keys.items() if key != 25}, **inside, **({12: events} if events else {})}
    )
    return inside


def check_frame(keys: Any) -> None:
    """Refuse a map that is not that of a frame."""
    need(type(keys) is dict, "not a map")
    need(whole(keys.get(1), 1, 255) and whole(keys.get(6), 0, TOP) and sized(keys.get(4), 16), "kind, ticks or prev")
    need(all(whole(keys.get(key), 1, 2**32 - 2) for key in (2, 3)), "boot or seq")
    if 7 in keys or 8 in keys:
        need(whole(keys.get(7), 0, TOP) and whole(keys.get(8), 0, 63), "UTC")
    need(keys[1] == 1 or sized(keys.get(5), 8), "descriptor")
    if keys[1] in (2, 3) and 25 in keys:
        parts = listed(keys[25], 3, 3)
        need(parts[:2] == [b"\xa1\x01\x0a", {}] and type(parts[2]) is bytes and len(parts[2]) > 8, "private")
        keys = {12: [[1, 0, {}]], **keys}  # the events may all be private
    {1: check_descriptor, 2: check_data, 3: check_events, 4: check_status}.get(keys[1], lambda keys: None)(keys)


def check_status(keys: dict[int, Any]) -> None:
    """Section 7."""
    need(type(keys.get(13)) is dict and all(whole(value, 0, 2**64) for value in keys[13].values()), "counters")


def check_events(keys: dict[int, Any]) -> None:
    """Section 7."""
    bounds = {1: 31, 2: 15, 3: 2**64, 7: 2**64, 9: 2**64, 10: 2**64, 11: TOP, 12: 63}
    for event in listed(keys.get(12), 1, 16):
        code, ticks, details = listed(event, 3, 3)
        need(whole(code, 1, 255) and whole(ticks, -keys[6], 0) and type(details) is dict, "an event")
        need(all(whole(details[key], 0, high) for key, high in bounds.items() if key in details), "a detail")
        need(all(whole(details[key], 1, 2**32 - 2) for key in (4, 5) if key in details), "a detail")
        need(all(sized(details[key], 16) for key in (6, 13) if key in details), "a detail")
        need(type(details.get(8, False)) is bool, "a detail")


def check_data(keys: dict[int, Any]) -> None:
    """Section 5."""
    need(type(keys.get(9, b"")) is bytes, "blocks")
    ends: dict[tuple[int, int], int] = {}
    for run in listed(keys.get(10, []), 0, 32):
        channel, mark, start, length = listed(run, 4, 4)
        need(
            whole(channel, 0, 31) and whole(mark, 1, 255) and whole(start, 0, 8191) and whole(length, 1, 8192), "a run"
        )
        need(start + length <= 8192 and start >= ends.get((channel, mark), 0), "runs")
        ends[channel, mark] = start + length
    for scalar in listed(keys.get(11, []), 0, 32):
        channel, ticks, counts = listed(scalar, 3, 3)
        need(
            whole(channel, 0, 31) and whole(ticks, -keys[6], TOP - keys[6]) and whole(counts, -(2**23), 2**23 - 1),
            "scalar",
        )


def check_descriptor(keys: dict[int, Any]) -> None:
    """Section 4."""
    need(whole(keys.get(16), 1, 1) and whole(keys.get(21), 1, 255), "version or policy")
    need(all(type(keys.get(key)) is str for key in (17, 19, 20)), "a text")
    key = keys.get(18)
    need(type(key) is dict and set(key) == {1, -1, -2, -3} and whole(key[1], 2, 2) and whole(key[-1], 1, 1), "key")
    need(sized(key[-2], 32) and sized(key[-3], 32), "x and y")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + key[-2] + key[-3])
    except ValueError:
        raise Refused("not a point") from None
    curves = keys.get(23, {})
    need(type(curves) is dict and all(whole(code, 0, 2**32 - 1) for code in curves), "calibrations")
    for decimal in [decimal for curve in curves.values() for decimal in listed(curve, 1, 4)]:
        mantissa, exponent = listed(decimal, 2, 2)
        need(whole(mantissa, -(2**63), TOP) and whole(exponent, -24, 24), "calibration")
    need(whole(keys.get(24, 1), 1, 255), "durable")
    rates: list[Any] = []
    names: set[str] = set()
    before = None
    for place, channel in enumerate(listed(keys.get(22), 1, 32)):
        need(
            type(channel) is dict and whole(channel.get(0), place, place) and whole(channel.get(7), 1, 24), "id or bits"
        )
        need(
            all(type(channel.get(key)) is str for key in (1, 3, 4)) and whole(channel.get(2, 0), 0, 2**32 - 1), "a text"
        )
        for name in (8, 9):
            mantissa, exponent = listed(channel.get(name, [0, 0] if name == 9 else None), 2, 2)
            need(whole(mantissa, -(2**63), TOP) and whole(exponent, -24, 24), "scale or offset")
        need(channel[1] not in names, "a name twice")
        names.add(channel[1])
        need((5 in channel) == (6 in channel), "stream or rate alone")
        stream = channel.get(5)
        if stream is not None:
            need(all(whole(part, 1, 2**32 - 1) for part in listed(channel[6], 2, 2)), "rate")
            if stream == before:
                need(channel[6] == rates[-1], "two rates")
            else:
                need(whole(stream, len(rates), len(rates)) and stream < 16, "streams out of order")
                rates.append(channel[6])
        before = stream


def streams_of(descriptor: dict[int, Any]) -> list[list[int]]:
    """Return the channels' bits, stream by stream."""
    streams: dict[int, list[int]] = {}
    for channel in descriptor[22]:
        if 5 in channel:
            streams.setdefault(channel[5], []).append(channel[7])
    return [streams[number] for number in range(len(streams))]
