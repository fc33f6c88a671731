# COSE_Sign1 and COSE_Mac0 (RFC 9052) in vitalwire's one form, around a payload that already stands in the buffer.
# What is signed or MACed is hashed piece by piece; no payload is copied. Neither signs nor verifies a signature.
# Refuses with ValueError(reason), the vocabulary of protocol/vectors/README.md.
from hashlib import sha256

from cbor import ARRAY, BYTES, MAP, TAG, Reader, put_bytes, put_head
from mac import equal, hmac
from micropython import const
from wire import (
    ALG_ES256,
    ALG_ESP256,
    ALG_HMAC_256_256,
    HEADER_ALG,
    HEADER_CRIT,
    MAC_SIZE,
    MAX_COMMAND,
    MAX_FRAME,
    SIGNATURE_SIZE,
    TAG_MAC0,
    TAG_SIGN1,
)

PAYLOAD = const(10)  # where a payload is built, so that everything in front of it fits
TAIL = 2 + SIGNATURE_SIZE  # what comes behind it in a frame
_PAYLOAD_HEAD = const(7)  # where its head stands in a message
_PROTECTED = const(2)  # and the protected header
_HALF_N = b"\x7f\xff\xff\xff\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff\xdes}V\xd3\x8b\xcfBy\xdc\xe5a~1\x92\xa8"


def _wrap(buf, end, tag, alg):
    # The payload is buf[PAYLOAD:end]; afterwards the message begins at 0 and the signature's place is returned.
    n = end - PAYLOAD
    buf[:_PAYLOAD_HEAD] = bytes((0xC0 | tag, 0x84, 0x43, 0xA1, HEADER_ALG, alg if alg >= 0 else 0x1F - alg, 0xA0))
    start = put_head(buf, _PAYLOAD_HEAD, BYTES, n)
    if start != PAYLOAD:  # fewer than 256 bytes
        buf[start : start + n] = buf[PAYLOAD:end]
    return start + n


def _structure(context, buf, aad):
    # Sig_structure (RFC 9052 4.4) or MAC_structure (6.3) up to the payload
    heads = bytes((0x84, 0x60 | len(context), 0x40 | len(aad)))
    return heads[:2] + context + buf[_PROTECTED : _PAYLOAD_HEAD - 1] + heads[2:] + aad


def sign1_start(buf, end):
    # Make the payload buf[PAYLOAD:end] a frame; returns where its signature goes, see sign1_end.
    return _wrap(buf, end, TAG_SIGN1, ALG_ES256)


def sign1_digest(buf, end, aad):
    # SHA-256 of what is signed of the message whose payload ends at `end`
    h = sha256(_structure(b"Signature1", buf, aad))
    h.update(buf[_PAYLOAD_HEAD:end])
    return h.digest()


def sign1_end(buf, end, signature):
    return put_bytes(buf, end, signature)


def mac0(buf, end, key, aad):
    # Make the payload buf[PAYLOAD:end] a MACed message at buf[0:]; returns its length.
    end = _wrap(buf, end, TAG_MAC0, ALG_HMAC_256_256)
    return put_bytes(buf, end, hmac(key, _structure(b"MAC0", buf, aad), buf[_PAYLOAD_HEAD:end]))


def _open(message, tag, algs, size, reason):
    # Check the form; returns the payload. What stands where is then the same in every message.
    reader = Reader(message)
    if reader.head() != TAG or reader.n != tag:
        raise ValueError("tag")
    if reader.head() != ARRAY or reader.n != 4:
        raise ValueError("form")
    header = bytes(reader.data())
    if reader.head() != MAP:
        raise ValueError("form")
    if reader.n:
        raise ValueError("unprotected")
    payload = reader.data()
    tail = reader.data()
    if reader.pos != reader.end:
        raise ValueError("trailing")
    reader = Reader(header)
    header = reader.item() if header else None
    if not isinstance(header, dict):
        raise ValueError("protected")
    if HEADER_CRIT in header:
        raise ValueError("crit")
    if len(header) != 1 or HEADER_ALG not in header or reader.pos != reader.end:
        raise ValueError("protected")
    if header[HEADER_ALG] not in algs:
        raise ValueError("algorithm")
    if len(tail) != size:
        raise ValueError(reason)
    return payload


def open_sign1(message):
    # The payload of a frame whose form is right and whose s is low; the signature is still to be verified:
    # message[-64:] over sign1_digest(message, len(message) - TAIL, aad).
    if len(message) > MAX_FRAME:
        raise ValueError("oversized")
    payload = _open(message, TAG_SIGN1, (ALG_ES256, ALG_ESP256), SIGNATURE_SIZE, "signature-size")
    if bytes(message[-32:]) > _HALF_N:
        raise ValueError("high-s")
    return payload


def open_mac0(message, key, aad, most=MAX_COMMAND):
    # The payload of a message that was MACed with this key for this use.
    if len(message) > most:
        raise ValueError("oversized")
    payload = _open(message, TAG_MAC0, (ALG_HMAC_256_256,), MAC_SIZE, "mac")
    end = len(message) - 2 - MAC_SIZE
    if not equal(hmac(key, _structure(b"MAC0", message, aad), message[_PAYLOAD_HEAD:end]), message[-MAC_SIZE:]):
        raise ValueError("mac")
    return payload
