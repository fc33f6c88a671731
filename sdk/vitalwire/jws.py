"""What a gateway signs with its own key: compact JWS with ES256 (RFC 7515, RFC 7518 3.4), and that key's file.

Devices sign COSE; a gateway signs for auditors and FHIR servers, who have JOSE at hand. `typ` keeps the uses apart.
"""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from vitalwire import wholefile
from vitalwire.errors import SignatureError, UsageError

_ECDSA = ec.ECDSA(SHA256())
_DETERMINISTIC = ec.ECDSA(SHA256(), deterministic_signing=True)  # the same text signed twice is the same twice
_HALF = 32  # bytes of r, and of s
MAX_SIZE = 1 << 20  # characters of a JWS that is read


def sign(key: ec.EllipticCurvePrivateKey, typ: str, payload: bytes) -> str:
    """Return `payload` as a compact JWS whose header names ES256 and `typ`."""
    header = json.dumps({"alg": "ES256", "typ": typ}, separators=(",", ":")).encode()
    signed = f"{_encode(header)}.{_encode(payload)}"
    r, s = decode_dss_signature(key.sign(signed.encode(), _DETERMINISTIC))
    return f"{signed}.{_encode(r.to_bytes(_HALF, 'big') + s.to_bytes(_HALF, 'big'))}"


def verify(text: str, key: ec.EllipticCurvePublicKey, typ: str) -> bytes:
    """Return the payload of a JWS made for the use `typ` with `key`; raises SignatureError for anything else."""
    try:
        if len(text) > MAX_SIZE:
            raise ValueError
        head, body, tail = text.strip().split(".")
        header = json.loads(_decode(head))
        signature = _decode(tail)
        payload = _decode(body)
        if header != {"alg": "ES256", "typ": typ} or len(signature) != 2 * _HALF:
            raise ValueError
    except (ValueError, RecursionError):
        raise SignatureError(f"not a JWS of type {typ} with ES256", reason="form") from None
    r, s = (int.from_bytes(half, "big") for half in (signature[:_HALF], signature[_HALF:]))
    try:
        key.verify(encode_dss_signature(r, s), f"{head}.{body}".encode(), _ECDSA)
    except InvalidSignature:
        raise SignatureError("the signature does not verify", reason="signature") from None
    return payload


def create_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Make a key in a new PEM file that only its owner can read; UsageError if the file is there or cannot be made."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        wholefile.write(path, pem, new=True, private=True)
    except OSError as error:
        raise UsageError(f"cannot make the key {path}: {error.strerror}") from error
    return key


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 private key in a PEM file; UsageError if there is none."""
    try:
        key = serialization.load_pem_private_key(_read(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None  # its text is never shown
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UsageError(f"{path} holds no P-256 private key without a password, in PEM")
    return key


def load_public_key(path: Path) -> ec.EllipticCurvePublicKey:
    """Return the P-256 public key in a PEM file, which may be a public or a private key's; UsageError if none is."""
    data = _read(path)
    if b"PRIVATE KEY" in data:
        return load_key(path).public_key()
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UsageError(f"{path} holds no P-256 public key in PEM")
    return key


def public_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the public half, in PEM, for those who verify."""
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(1 << 16)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError from None
    if _encode(data) != text:  # one form: padding and stray bits have no place in it
        raise ValueError
    return data
