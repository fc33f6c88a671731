"""P-256 as OpenSSL and NIST's vectors have it, and a way to ask the device: what its three test files share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import cryptography_vectors
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

VECTORS = Path(cryptography_vectors.__file__).parent / "asymmetric" / "ECDSA"
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
PREHASHED = utils.Prehashed(hashes.SHA256())

PRELUDE = """
import json, sys
import p256
from p256 import run
cases = json.load(open(sys.argv[1]))
number = lambda text: int(text, 16)
put = lambda result: print(json.dumps(result))
"""


def ask(micropython: Callable, folder: Path, body: str, cases: list, **options: object) -> list:
    """Run a body under MicroPython with `cases` (JSON) defined; returns what it gave to `put`, one by one."""
    file = folder / "cases.json"
    file.write_text(json.dumps(cases))
    done = micropython(PRELUDE + body, str(file), **options)
    return [json.loads(line) for line in done.stdout.splitlines()]


def public(d: int) -> tuple[int, int]:
    """Return OpenSSL's d * G."""
    numbers = ec.derive_private_key(d, ec.SECP256R1()).public_key().public_numbers()
    return numbers.x, numbers.y


def low(s: int) -> int:
    """Return the lower of s and N - s."""
    return min(s, N - s)


def openssl_verifies(point: tuple[int, int], digest: bytes, signature: bytes) -> bool:
    """Return OpenSSL's verdict on a raw signature."""
    key = ec.EllipticCurvePublicNumbers(*point, ec.SECP256R1()).public_key()
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(PREHASHED))
    except InvalidSignature:
        return False
    return True


def openssl_signs(d: int, digest: bytes) -> bytes:
    """Return OpenSSL's deterministic signature, with low s, raw."""
    key = ec.derive_private_key(d, ec.SECP256R1())
    r, s = utils.decode_dss_signature(key.sign(digest, ec.ECDSA(PREHASHED, deterministic_signing=True)))
    return r.to_bytes(32, "big") + low(s).to_bytes(32, "big")


def vectors(name: str) -> Iterator[dict[str, str]]:
    """Yield the `[P-256,SHA-256]` groups of a NIST file."""
    section, group = "", {}
    for line in (VECTORS / "FIPS_186-3" / name).read_text().splitlines():
        key, separator, value = line.partition(" = ")
        if line.startswith("["):
            section = line
        elif separator:
            group[key] = value
        elif group:
            if section == "[P-256,SHA-256]":
                yield group
            group = {}
