"""Who made these bytes: COSE_Sign1 and COSE_Mac0 messages, made and verified.

The form of a message is checked apart from its signature, because a reader does one before and one after it knows the
key. The curve and the hashes are OpenSSL's, through `cryptography`.
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from vitalwire import cbor
from vitalwire.errors import SignatureError
from vitalwire_protocol import spec

from .form import FRAME_TAIL, MAC0, SIGN1, START_SIZE, bounded, payload_of
from .keys import PrivateKey, PublicKey

# Order of P-256 (FIPS 186-5, SP 800-186 section 3.2.1.3); a low s is at most half of it.
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
HALF_ORDER = ORDER >> 1
_HALF_BYTES = HALF_ORDER.to_bytes(32, "big")
_ECDSA = ec.ECDSA(SHA256())
_ECDSA_DETERMINISTIC = ec.ECDSA(SHA256(), deterministic_signing=True)
_SIGNED = {
    aad: {SIGN1.start(alg): SIGN1.signed(alg, aad) for alg in SIGN1.algs}
    for aad in (spec.AAD_FRAME, spec.AAD_UPDATE, spec.AAD_CONFIGURATION)
}
_BEHIND_PAYLOAD = spec.SIGNATURE_SIZE + len(FRAME_TAIL)
_MAC0_TAG = cbor.head(6, spec.Tag.MAC0)
_MAC_HEAD = cbor.head(2, MAC0.tail)
_MACED_FRAME = MAC0.signed(spec.Alg.HMAC_256_256, spec.AAD_FRAME)


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
    bounded(raw, spec.Limit.MAX_FRAME, "a frame")
    return payload_of(MAC0, raw)


def sign1_payload(raw: bytes) -> bytes:
    """Return the payload of a signed frame whose outer form is right; says nothing of the signature but its size.

    Raises `FrameError` or `CborError` (SPEC section 2).
    """
    bounded(raw, spec.Limit.MAX_FRAME, "a frame")
    return payload_of(SIGN1, raw)


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
        key.verify(signature, _SIGNED[aad][raw[:START_SIZE]] + raw[START_SIZE:-_BEHIND_PAYLOAD], _ECDSA)
    except InvalidSignature:
        raise SignatureError("the signature does not verify", reason="signature") from None


def sign1(key: PrivateKey, payload: bytes, alg: spec.Alg = spec.Alg.ES256, aad: bytes = spec.AAD_FRAME) -> bytes:
    """Return a message around `payload`, signed for the use `aad` with low s and the nonce of RFC 6979."""
    start = SIGN1.start(alg)
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
    expected = hmac.digest(key, _MACED_FRAME + raw[START_SIZE : -spec.MAC_SIZE - len(_MAC_HEAD)], "sha256")
    if not hmac.compare_digest(expected, raw[-spec.MAC_SIZE :]):
        raise SignatureError("the MAC does not verify", reason="mac")


# ---------------------------------------------------------------- commands and replies: COSE_Mac0


def mac0(key: bytes, payload: bytes, aad: bytes) -> bytes:
    """Return `payload` as a COSE_Mac0 with HMAC 256/256 (RFC 9052 6.3); `aad` says what it is for."""
    alg = MAC0.algs[0]
    body = cbor.encode(payload)
    tag = hmac.digest(key, MAC0.signed(alg, aad) + body, "sha256")
    return MAC0.start(alg) + body + cbor.encode(tag)


def open_mac0(key: bytes, message: bytes, aad: bytes) -> bytes:
    """Return the payload of a COSE_Mac0 made with `key` for the use `aad`.

    Raises `FrameError` or `CborError` for another form, `SignatureError` where the MAC does not verify.
    """
    bounded(message, spec.Limit.MAX_COMMAND, "a message")
    payload = payload_of(MAC0, message)
    expected = hmac.digest(key, MAC0.signed(MAC0.algs[0], aad) + cbor.encode(payload), "sha256")
    if not hmac.compare_digest(expected, message[-spec.MAC_SIZE :]):
        raise SignatureError("the MAC does not verify", reason="mac")
    return payload
