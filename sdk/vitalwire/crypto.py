"""Who made these bytes: COSE_Sign1 and COSE_Mac0 messages, keys and thumbprints of vitalwire.

The form of a message is checked apart from its signature, because a reader does one before and one after it knows the
key. The curve, the hashes and the random numbers are OpenSSL's, through `cryptography`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vitalwire import cbor
from vitalwire.errors import FrameError, SignatureError, UsageError
from vitalwire_protocol import spec

PublicKey = ec.EllipticCurvePublicKey
PrivateKey = ec.EllipticCurvePrivateKey

# Order of P-256 (FIPS 186-5, SP 800-186 section 3.2.1.3); a low s is at most half of it.
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
HALF_ORDER = ORDER >> 1
_HALF_BYTES = HALF_ORDER.to_bytes(32, "big")
_ECDSA = ec.ECDSA(SHA256())
_ECDSA_DETERMINISTIC = ec.ECDSA(SHA256(), deterministic_signing=True)


def _protected(alg: int) -> bytes:
    return cbor.encode({int(spec.Header.ALG): int(alg)})


@dataclass(frozen=True, slots=True)
class _Form:
    """What a COSE message of one kind must look like, and what is signed or MACed of it (RFC 9052 4.4 and 6.3)."""

    context: str
    tag: int
    algs: tuple[int, ...]
    tail: int  # bytes of signature or MAC
    tail_reason: str

    def start(self, alg: int) -> bytes:
        """Return everything in front of the payload: tag, array head, protected header, empty map."""
        tagged = cbor.head(6, self.tag) + cbor.head(4, 4)
        return tagged + cbor.encode(_protected(alg)) + cbor.encode({})

    def signed(self, alg: int, aad: bytes) -> bytes:
        """Return everything in front of the encoded payload of the structure that is signed or MACed."""
        return cbor.head(4, 4) + b"".join(map(cbor.encode, (self.context, _protected(alg), aad)))


_SIGN1 = _Form("Signature1", spec.Tag.SIGN1, (spec.Alg.ES256, spec.Alg.ESP256), spec.SIGNATURE_SIZE, "signature-size")
_MAC0 = _Form("MAC0", spec.Tag.MAC0, (spec.Alg.HMAC_256_256,), spec.MAC_SIZE, "mac")

_START = {form.tag: {form.start(alg) for alg in form.algs} for form in (_SIGN1, _MAC0)}
_START_SIZE = len(_SIGN1.start(spec.Alg.ES256))  # the same for all of them
_SIGNED = {
    aad: {_SIGN1.start(alg): _SIGN1.signed(alg, aad) for alg in _SIGN1.algs}
    for aad in (spec.AAD_FRAME, spec.AAD_UPDATE, spec.AAD_CONFIGURATION)
}
FRAME_STARTS = frozenset(_START[spec.Tag.SIGN1])  # all that may stand in front of a signed frame's payload
FRAME_TAIL = cbor.head(2, _SIGN1.tail)  # stands between its payload and its signature
_BEHIND_PAYLOAD = spec.SIGNATURE_SIZE + len(FRAME_TAIL)
_MAC0_TAG = cbor.head(6, spec.Tag.MAC0)
_MAC_HEAD = cbor.head(2, _MAC0.tail)
_MACED_FRAME = _MAC0.signed(spec.Alg.HMAC_256_256, spec.AAD_FRAME)


# ---------------------------------------------------------------- frames: COSE_Sign1, or COSE_Mac0 under policy `seal`


def is_signed(raw: bytes) -> bool:
    """Return whether a frame of the right form has a signature; else it has a MAC."""
    return not raw.startswith(_MAC0_TAG)


def frame_payload(raw: bytes) -> bytes:
    """Return the payload of a frame whose outer form, signed or with a MAC, is right; nothing is verified.

    Raises `FrameError` or `CborError` (SPEC section 2).
    """
    if is_signed(raw):
        return sign1_payload(raw)
    _bounded(raw, spec.Limit.MAX_FRAME, "a frame")
    return _payload(_MAC0, raw)


def sign1_payload(raw: bytes) -> bytes:
    """Return the payload of a signed frame whose outer form is right; says nothing of the signature but its size.

    Raises `FrameError` or `CborError` (SPEC section 2).
    """
    _bounded(raw, spec.Limit.MAX_FRAME, "a frame")
    return _payload(_SIGN1, raw)


def verify_sign1(raw: bytes, key: PublicKey, aad: bytes = spec.AAD_FRAME) -> None:
    """Check the signature of a message whose form `frame_payload` or `sign1_payload` has accepted.

    Raises `SignatureError` if there is none, s is not low or it is not by `key` over exactly this message for the use
    `aad` (RFC 9052 4.4).
    """
    if not is_signed(raw):
        raise SignatureError("the frame has a MAC and no signature", reason="tag")
    s = raw[-32:]
    if s > _HALF_BYTES:
        raise SignatureError("the signature's s is not low", reason="high-s")
    try:
        signature = encode_dss_signature(int.from_bytes(raw[-64:-32], "big"), int.from_bytes(s, "big"))
        key.verify(signature, _SIGNED[aad][raw[:_START_SIZE]] + raw[_START_SIZE:-_BEHIND_PAYLOAD], _ECDSA)
    except InvalidSignature:
        raise SignatureError("the signature does not verify", reason="signature") from None


def sign1(key: PrivateKey, payload: bytes, alg: spec.Alg = spec.Alg.ES256, aad: bytes = spec.AAD_FRAME) -> bytes:
    """Return a message around `payload`, signed for the use `aad` with low s and the nonce of RFC 6979."""
    start = _SIGN1.start(alg)
    body = cbor.encode(payload)
    r, s = decode_dss_signature(key.sign(_SIGNED[aad][start] + body, _ECDSA_DETERMINISTIC))
    s = min(s, ORDER - s)
    return start + body + FRAME_TAIL + r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify_mac0(raw: bytes, key: bytes) -> None:
    """Check the MAC of a frame whose form `frame_payload` has accepted; `key` is the device's `frame_key`.

    Raises `SignatureError` if it has none or another one (RFC 9052 6.3).
    """
    if is_signed(raw):
        raise SignatureError("the frame has a signature and no MAC", reason="tag")
    expected = hmac.digest(key, _MACED_FRAME + raw[_START_SIZE : -spec.MAC_SIZE - len(_MAC_HEAD)], "sha256")
    if not hmac.compare_digest(expected, raw[-spec.MAC_SIZE :]):
        raise SignatureError("the MAC does not verify", reason="mac")


# ---------------------------------------------------------------- keys from the provisioned secret


def command_key(secret: bytes, thumbprint: bytes) -> bytes:
    """Return the 32-byte key of a device's commands and replies."""
    return _derived(secret, thumbprint, spec.INFO_COMMAND, spec.MAC_SIZE)


def frame_key(secret: bytes, thumbprint: bytes) -> bytes:
    """Return the 32-byte key of the MACs of a device's frames."""
    return _derived(secret, thumbprint, spec.INFO_FRAME, spec.MAC_SIZE)


def encryption_key(secret: bytes, thumbprint: bytes) -> bytes:
    """Return the 16-byte key that a device's private contents are encrypted with."""
    return _derived(secret, thumbprint, spec.INFO_PRIVATE, spec.CCM_KEY_SIZE)


def passkey(secret: bytes, thumbprint: bytes) -> int:
    """Return the number that a device's user types to pair over Bluetooth LE, six decimal digits."""
    return int.from_bytes(_derived(secret, thumbprint, spec.INFO_PASSKEY, spec.BLE_PASSKEY_SIZE)) % spec.BLE_PASSKEYS


def _derived(secret: bytes, thumbprint: bytes, info: bytes, size: int) -> bytes:
    """Return HKDF-SHA256 (RFC 5869) of the secret: another `info` or device, another key."""
    if len(secret) != spec.SECRET_SIZE:
        raise UsageError(f"a secret has {spec.SECRET_SIZE} bytes")
    return HKDF(SHA256(), length=size, salt=thumbprint, info=info).derive(secret)


# ---------------------------------------------------------------- COSE_Mac0


def mac0(key: bytes, payload: bytes, aad: bytes) -> bytes:
    """Return `payload` as a COSE_Mac0 with HMAC 256/256 (RFC 9052 6.3); `aad` says what it is for."""
    alg = _MAC0.algs[0]
    body = cbor.encode(payload)
    tag = hmac.digest(key, _MAC0.signed(alg, aad) + body, "sha256")
    return _MAC0.start(alg) + body + cbor.encode(tag)


def open_mac0(key: bytes, message: bytes, aad: bytes) -> bytes:
    """Return the payload of a COSE_Mac0 made with `key` for the use `aad`.

    Raises `FrameError` or `CborError` for another form, `SignatureError` where the MAC does not verify.
    """
    _bounded(message, spec.Limit.MAX_COMMAND, "a message")
    payload = _payload(_MAC0, message)
    expected = hmac.digest(key, _MAC0.signed(_MAC0.algs[0], aad) + cbor.encode(payload), "sha256")
    if not hmac.compare_digest(expected, message[-spec.MAC_SIZE :]):
        raise SignatureError("the MAC does not verify", reason="mac")
    return payload


# ---------------------------------------------------------------- the form both share


def _bounded(raw: bytes, most: int, what: str) -> None:
    if len(raw) > most:
        raise FrameError(f"{what} of {len(raw)} bytes, more than {most}", reason="oversized")


def _payload(form: _Form, raw: bytes) -> bytes:
    """Return the payload, by comparing bytes with the one form there is; what differs is looked at by `_explain`."""
    behind = form.tail + 2  # the head of 64 or 32 bytes takes two
    if raw[:_START_SIZE] not in _START[form.tag] or len(raw) < _START_SIZE + 1 + behind:
        _explain(form, raw)
    first = raw[_START_SIZE]
    if first == 0x59:
        start = _START_SIZE + 3
        size = raw[start - 2] << 8 | raw[start - 1]
        shortest = size > 255
    elif first == 0x58:
        start = _START_SIZE + 2
        size = raw[start - 1]
        shortest = size > 23
    else:
        start = _START_SIZE + 1
        size = first - 0x40
        shortest = 0 <= size <= 23
    stop = start + size
    if not shortest or len(raw) != stop + behind or raw[stop] != 0x58 or raw[stop + 1] != form.tail:
        _explain(form, raw)
    return raw[start:stop]


def _explain(form: _Form, raw: bytes) -> NoReturn:
    """Say what is wrong with the form of a message; only ever called when something is."""
    tag = cbor.head(6, form.tag)
    if raw and raw[: len(tag)] != tag:
        if raw[0] >> 5 == 6 and int.from_bytes(raw[1 : 1 + (1 << max(0, (raw[0] & 31) - 24))], "big") == form.tag:
            raise FrameError("the tag's head is longer than needed", reason="not-deterministic")
        raise FrameError(f"no COSE message with tag {form.tag} in front", reason="tag")
    item, end = cbor.decode_prefix(raw, len(tag))
    if end != len(raw):
        raise FrameError(f"{len(raw) - end} bytes follow the message", reason="trailing")
    if not isinstance(item, list) or [type(part) for part in item] != [bytes, dict, bytes, bytes]:
        raise FrameError("a COSE message is an array of byte string, map, byte string, byte string", reason="form")
    protected, unprotected, _, tail = item
    assert isinstance(protected, bytes)
    assert isinstance(tail, bytes)
    if unprotected:
        raise FrameError("the unprotected header is not empty", reason="unprotected")
    header = cbor.decode(protected) if protected else {}
    if isinstance(header, dict) and spec.Header.CRIT in header:
        raise FrameError("the protected header has a critical parameter", reason="crit")
    if not isinstance(header, dict) or header.keys() != {int(spec.Header.ALG)}:
        raise FrameError("the protected header holds something else than the algorithm", reason="protected")
    if type(header[spec.Header.ALG]) is not int or header[spec.Header.ALG] not in form.algs:
        raise FrameError("the algorithm is not one of those allowed here", reason="algorithm")
    if len(tail) != form.tail:
        raise FrameError(f"signature or MAC of {len(tail)} bytes instead of {form.tail}", reason=form.tail_reason)
    raise AssertionError("the fast path refused a message of the right form")


# ---------------------------------------------------------------- public keys


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
