"""What an attacker, a bad cable or a wrong reader would do to the bytes of one frame; each returns other bytes."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire import cbor, crypto


def flipped(raw: bytes, bit: int) -> bytes:
    """Return `raw` with one bit changed; bit 0 is the lowest of the first byte, counted modulo the length."""
    place, bit = divmod(bit % (8 * len(raw)), 8)
    return raw[:place] + bytes([raw[place] ^ 1 << bit]) + raw[place + 1 :]


def high_s(raw: bytes) -> bytes:
    """Return the frame with the twin of its signature, n - s for s, which plain ECDSA would accept as well."""
    s = crypto.ORDER - int.from_bytes(raw[-32:], "big")
    return raw[:-32] + s.to_bytes(32, "big")


def unprotected(raw: bytes, header: Mapping[int, object] | None = None) -> bytes:
    """Return the frame with something in its unprotected header, which no signature covers."""
    empty = cbor.encode({})
    place = raw.index(empty)
    return raw[:place] + cbor.encode({4: b"key"} if header is None else header) + raw[place + len(empty) :]


def remade(raw: bytes, key: crypto.PrivateKey, changes: Mapping[int, object | None]) -> bytes:
    """Return the frame with fields changed (None: left out) and signed anew with `key`."""
    fields = cbor.decode(crypto.frame_payload(raw))
    assert isinstance(fields, dict)
    merged = {**fields, **{int(k): v for k, v in changes.items()}}
    return crypto.sign1(key, cbor.encode({k: v for k, v in merged.items() if v is not None}))


def forged(raw: bytes, changes: Mapping[int, object | None] | None = None) -> bytes:
    """Return the frame as somebody without the device's key would make it: of the right form, signed by another."""
    return remade(raw, ec.generate_private_key(ec.SECP256R1()), changes or {})
