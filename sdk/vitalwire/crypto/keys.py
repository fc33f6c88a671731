"""Keys of P-256 as points, as COSE_Keys and as the thumbprints that devices are known by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire import cbor
from vitalwire.errors import FrameError
from vitalwire_protocol import spec

PublicKey = ec.EllipticCurvePublicKey
PrivateKey = ec.EllipticCurvePrivateKey


def load_public_key(point: bytes) -> PublicKey:
    """Return the key whose uncompressed point (65 bytes, 04 || x || y) this is; `FrameError` if it is none of P-256."""
    try:
        if len(point) != 65:
            raise ValueError
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise FrameError("not a point of P-256", reason="public-key") from None


def cose_key(point: bytes) -> bytes:
    """Return the encoded COSE_Key (RFC 9053 7.1.1) of an uncompressed point, with its required parameters only."""
    return cbor.encode(
        {
            int(spec.CoseKey.KTY): spec.KTY_EC2,
            int(spec.CoseKey.CRV): spec.CRV_P256,
            int(spec.CoseKey.X): point[1:33],
            int(spec.CoseKey.Y): point[33:65],
        }
    )


def point_of(key: object) -> bytes:
    """Return the uncompressed point (65 bytes) of a decoded COSE_Key; `FrameError` if it is not of SPEC's form."""
    names = (spec.CoseKey.KTY, spec.CoseKey.CRV, spec.CoseKey.X, spec.CoseKey.Y)
    if not isinstance(key, Mapping) or key.keys() != set(map(int, names)):
        raise FrameError("a public key is a map of key type, curve, x and y", reason="public-key")
    kty, crv, x, y = (key[name] for name in names)
    good = type(kty) is int and kty == spec.KTY_EC2 and type(crv) is int and crv == spec.CRV_P256
    if not good or any(not isinstance(part, bytes) or len(part) != 32 for part in (x, y)):
        raise FrameError("not a public key of P-256 with x and y of 32 bytes", reason="public-key")
    point: bytes = b"\x04" + x + y
    load_public_key(point)
    return point


def thumbprint(point: bytes) -> bytes:
    """Return the 32-byte identity of a device: SHA-256 of its encoded COSE_Key (RFC 9679 section 3)."""
    return hashlib.sha256(cose_key(point)).digest()


def public_point(key: PublicKey | PrivateKey) -> bytes:
    """Return the uncompressed point (65 bytes) of a key."""
    public = key.public_key() if isinstance(key, PrivateKey) else key
    numbers = public.public_numbers()
    return b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
