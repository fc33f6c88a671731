"""The signed head of an audit log: how long it was and what its last line hashed to, for keeping somewhere else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

from vitalwire import jws
from vitalwire.errors import SignatureError

_TYPE = "vitalwire-audit-head"


@dataclass(frozen=True, slots=True)
class Head:
    """The number and digest of a log's last line, and when it was signed (UTC, RFC 3339)."""

    n: int
    digest: str
    time: str


def sign_head(head: Head, key: EllipticCurvePrivateKey) -> str:
    """Return the head as a JWS."""
    return jws.sign(key, _TYPE, json.dumps(asdict(head), separators=(",", ":")).encode())


def verify_head(text: str, key: EllipticCurvePublicKey) -> Head:
    """Return the head that `key` signed; raises SignatureError."""
    try:
        head = Head(**json.loads(jws.verify(text, key, _TYPE)))
    except (TypeError, ValueError):
        raise SignatureError("what was signed is no head of an audit log", reason="form") from None
    if type(head.n) is not int or not isinstance(head.digest, str) or not isinstance(head.time, str):
        raise SignatureError("what was signed is no head of an audit log", reason="form")
    return head
