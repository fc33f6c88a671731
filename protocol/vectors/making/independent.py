"""What the vectors are made with: `cbor2`, `cryptography` and plain Python, written from SPEC.md alone.

A second implementation on purpose: nothing of vitalwire is imported, not even `spec`, and no literal is shared with it.
The keys are published and worthless: each is the SHA-256 of the sentence beside it.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # order of P-256 (SP 800-186, 3.2.1.3)
ES256, ESP256 = bytes.fromhex("a10126"), bytes.fromhex("a10128")
HMAC = bytes.fromhex("a10105")


# ---------------------------------------------------------------- CBOR


def encode(value: Any) -> bytes:
    """Encode deterministically (RFC 8949 4.2.1); cbor2's own `canonical` sorts by length first, which is RFC 7049."""
    if isinstance(value, dict):
        items = sorted((encode(key), encode(each)) for key, each in value.items())
        return _head(5, len(items)) + b"".join(key + each for key, each in items)
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(map(encode, value))
    if isinstance(value, cbor2.CBORTag):
        return _head(6, value.tag) + encode(value.value)
    return cbor2.dumps(value)


def _head(major: int, argument: int) -> bytes:
    head = bytearray(cbor2.dumps(argument))  # an unsigned integer's head is any other's but for the major type
    head[0] |= major << 5
    return bytes(head)


def plain(value: Any) -> Any:
    """Return the JSON form of a CBOR item, or of an object with names for keys."""
    if isinstance(value, dict) and value and all(isinstance(key, str) for key in value):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, dict):
        return {"map": [[plain(key), plain(each)] for key, each in value.items()]}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return {"hex": value.hex()} if isinstance(value, bytes) else value


# ---------------------------------------------------------------- keys and COSE


class Device:
    """A published test device: `sentence` gives its private key, and with `secret: ` in front its shared secret."""

    def __init__(self, sentence: str) -> None:
        scalar = int.from_bytes(hashlib.sha256(sentence.encode()).digest(), "big")
        self.private = ec.derive_private_key(scalar % (N - 1) + 1, ec.SECP256R1())
        point = self.private.public_key().public_numbers()
        self.x, self.y = point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big")
        self.cose_key: dict[int, Any] = {1: 2, -1: 1, -2: self.x, -3: self.y}
        self.thumbprint = hashlib.sha256(encode(self.cose_key)).digest()
        self.secret = hashlib.sha256(f"secret: {sentence}".encode()).digest()
        self.public = {"public_key": {"x": self.x, "y": self.y}}
        self.keys = {**self.public, "private_key": self.private.private_numbers().private_value.to_bytes(32, "big")}

    def sign(self, message: bytes, *, high: bool = False) -> bytes:
        """Return r || s (RFC 6979 nonce), s low unless the other is asked for."""
        der = self.private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(der)
        low = min(s, N - s)
        return r.to_bytes(32, "big") + (N - low if high else low).to_bytes(32, "big")

    def mac_key(self) -> bytes:
        """Return the key of commands and replies."""
        info = b"vitalwire/1 command mac"
        return HKDF(hashes.SHA256(), 32, salt=self.thumbprint, info=info).derive(self.secret)


ALICE = Device("vitalwire test device alice: published, never enrol")
BOB = Device("vitalwire test device bob: published, never enrol")


def sign1(
    payload: bytes,
    device: Device = ALICE,
    *,
    protected: bytes = ES256,
    unprotected: dict[Any, Any] | None = None,
    aad: bytes = b"vitalwire/1 frame",
    high: bool = False,
    tag: int = 18,
) -> bytes:
    """Return a COSE_Sign1 of `payload`; the options make what readers must refuse."""
    signature = device.sign(encode(["Signature1", protected, aad, payload]), high=high)
    return encode(cbor2.CBORTag(tag, [protected, unprotected or {}, payload, signature]))


def mac0(
    payload: bytes,
    aad: bytes,
    device: Device = ALICE,
    *,
    protected: bytes = HMAC,
    unprotected: dict[Any, Any] | None = None,
    tag: int = 17,
    size: int = 32,
) -> bytes:
    """Return a COSE_Mac0 of `payload` under the device's key of commands."""
    mac = hmac.digest(device.mac_key(), encode(["MAC0", protected, aad, payload]), "sha256")[:size]
    return encode(cbor2.CBORTag(tag, [protected, unprotected or {}, payload, mac]))


# ---------------------------------------------------------------- bytes


def varint(number: int) -> bytes:
    """Unsigned LEB128."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def zigzag(number: int) -> int:
    """Map a signed number to an unsigned one."""
    return 2 * number if number >= 0 else -2 * number - 1


def cobs(data: bytes) -> bytes:
    """Encode without the delimiter; a last run of exactly 254 bytes is not followed by an empty one."""
    out = bytearray()
    for number, run in enumerate(pieces := data.split(b"\0")):
        while len(run) >= 254:
            out += b"\xff" + run[:254]
            run = run[254:]
            if not run and number == len(pieces) - 1:
                return bytes(out)
        out += bytes([len(run) + 1]) + run
    return bytes(out)


def packet(kind: int, number: int, body: bytes) -> bytes:
    """Return a packet without the zero byte at its end."""
    content = bytes([kind, number]) + body
    return cobs(content + struct.pack("<L", zlib.crc32(content)))


def sector(number: int, boot: int, acked: int, magic: int = 0x314A5756) -> bytes:
    """Return a sector header of the journal."""
    head = struct.pack("<LLLL", magic, number, boot, acked)
    return head + struct.pack("<L", zlib.crc32(head))


def record(kind: int, seq: int, body: bytes, flags: int = 0) -> bytes:
    """Return a journal record, padding left out."""
    head = struct.pack("<BBHL", kind, flags, len(body), seq)
    return head + struct.pack("<L", zlib.crc32(body, zlib.crc32(head))) + body


# ---------------------------------------------------------------- lines of the files

Vector = dict[str, Any]
Table = dict[str, dict[str, bytes]]  # reason, name of the damage, bytes


def accept(name: str, what: str, data: bytes, expect: Any, key: Any = None) -> Vector:
    """Return a line of accepted.jsonl."""
    return {"name": name, "what": what, "hex": data.hex(), "key": plain(key) if key else {}, "expect": plain(expect)}


def refuse(name: str, what: str, data: bytes, error: str, key: Any = None) -> Vector:
    """Return a line of refused.jsonl."""
    full = f"{error}: {what}, {name}"
    return {"name": full, "what": what, "hex": data.hex(), "key": plain(key) if key else {}, "error": error}


def refuse_all(what: str, table: Table, key: Any = None) -> Iterator[Vector]:
    """Return the lines of a table of damage."""
    for error, rows in table.items():
        for name, data in rows.items():
            yield refuse(name, what, data, error, key)
