"""What a frame keeps private: COSE_Encrypt0 with AES-CCM-16-64-128 (RFC 9052 5.2, RFC 9053 4.2) in one form.

Untagged, because the key it stands under says what it is. The nonce is the frame's boot and seq, so no two frames of a
device have the same. Whether to open it, and what is inside, is the business of others.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from vitalwire import cbor
from vitalwire.errors import FrameError, SignatureError
from vitalwire_protocol import spec

_PROTECTED = cbor.encode({int(spec.Header.ALG): int(spec.Alg.AES_CCM_16_64_128)})
_ASSOCIATED = cbor.encode(["Encrypt0", _PROTECTED, spec.AAD_PRIVATE])


def ciphertext_of(item: object) -> bytes:
    """Return the ciphertext of a decoded COSE_Encrypt0; raises `FrameError` where it has not the one form."""
    if not isinstance(item, list) or [type(part) for part in item] != [bytes, dict, bytes]:
        raise FrameError("a COSE_Encrypt0 is an array of byte string, map, byte string", reason="form")
    protected, unprotected, ciphertext = item
    if unprotected:
        raise FrameError("the unprotected header of what is private is not empty", reason="unprotected")
    if protected != _PROTECTED:
        header = cbor.decode(protected) if protected else {}
        if isinstance(header, dict) and spec.Header.CRIT in header:
            raise FrameError("the protected header of what is private has a critical parameter", reason="crit")
        if not isinstance(header, dict) or header.keys() != {int(spec.Header.ALG)}:
            raise FrameError("the protected header of what is private is not the algorithm alone", reason="protected")
        raise FrameError("what is private is encrypted with an algorithm not allowed here", reason="algorithm")
    if len(ciphertext) <= spec.CCM_TAG_SIZE:
        raise FrameError("what is private is shorter than its tag", reason="truncated")
    assert isinstance(ciphertext, bytes)
    return ciphertext


def encrypt(key: bytes, boot: int, seq: int, plaintext: bytes) -> list[object]:
    """Return `plaintext` as a COSE_Encrypt0, to be encoded; the same boot and seq must never be used twice."""
    return [_PROTECTED, {}, _cipher(key).encrypt(_nonce(boot, seq), plaintext, _ASSOCIATED)]


def decrypt(key: bytes, boot: int, seq: int, ciphertext: bytes) -> bytes:
    """Return the plaintext; `SignatureError` where it was not encrypted with this key, nonce and use."""
    try:
        return _cipher(key).decrypt(_nonce(boot, seq), ciphertext, _ASSOCIATED)
    except InvalidTag:
        raise SignatureError("what is private does not decrypt", reason="decrypt") from None


def _cipher(key: bytes) -> AESCCM:
    return AESCCM(key, spec.CCM_TAG_SIZE)


def _nonce(boot: int, seq: int) -> bytes:
    nonce: bytes = spec.PrivateNonce.build({"boot": boot, "seq": seq, "zeros": bytes(5)})
    return nonce
