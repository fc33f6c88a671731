"""Keys that follow from a device's provisioned secret (SPEC section 2): another use or device, another key."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vitalwire.errors import UsageError
from vitalwire_protocol import spec


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
