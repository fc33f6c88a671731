"""Who made these bytes: COSE messages, public keys and thumbprints, keys derived from a device's secret."""

from .derived import command_key, encryption_key, frame_key, passkey
from .form import FRAME_STARTS, FRAME_TAIL
from .keys import PrivateKey, PublicKey, cose_key, load_public_key, point_of, public_point, thumbprint
from .messages import (
    HALF_ORDER,
    ORDER,
    frame_payload,
    is_signed,
    mac0,
    open_mac0,
    sign1,
    sign1_payload,
    verify_mac0,
    verify_sign1,
)

__all__ = [
    "FRAME_STARTS",
    "FRAME_TAIL",
    "HALF_ORDER",
    "ORDER",
    "PrivateKey",
    "PublicKey",
    "command_key",
    "cose_key",
    "encryption_key",
    "frame_key",
    "frame_payload",
    "is_signed",
    "load_public_key",
    "mac0",
    "open_mac0",
    "passkey",
    "point_of",
    "public_point",
    "sign1",
    "sign1_payload",
    "thumbprint",
    "verify_mac0",
    "verify_sign1",
]
