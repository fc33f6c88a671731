"""Gives a board its identity: name, P-256 key, controller secret, configuration, as a littlefs image.

The private key is made here, handed to the image and kept nowhere else; what a registry needs is the public half.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from secrets import token_bytes

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from littlefs import LittleFS

from vitalwire_protocol import spec

CONFIG_FILE, KEY_FILE, SECRET_FILE = "config.json", "key", "secret"


@dataclass(frozen=True, slots=True)
class Identity:
    """A device's name and keys; `key` (P-256 scalar) and `secret` (controller's) are 32 bytes and never printed."""

    device: str
    key: bytes = field(repr=False)
    secret: bytes = field(repr=False)

    @property
    def public_key(self) -> bytes:
        """The uncompressed point, 65 bytes."""
        private = ec.derive_private_key(int.from_bytes(self.key, "big"), ec.SECP256R1())
        return private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def new_identity(device: str) -> Identity:
    """Make a device's identity from the system's randomness."""
    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return Identity(device, number.to_bytes(32, "big"), token_bytes(spec.SECRET_SIZE))


def filesystem_image(identity: Identity, settings: dict[str, object], size: int) -> bytes:
    """Return a littlefs image of `size` bytes with the identity and the settings of `firmware/config.py`."""
    filesystem = LittleFS(block_size=spec.SECTOR_SIZE, block_count=size // spec.SECTOR_SIZE)
    config = json.dumps({"device": identity.device, **settings}).encode()
    for name, content in ((CONFIG_FILE, config), (KEY_FILE, identity.key), (SECRET_FILE, identity.secret)):
        with filesystem.open(name, "wb") as file:
            file.write(content)
    return bytes(filesystem.context.buffer)


def read_secret(image: bytes) -> bytes:
    """Return the controller's secret out of a board's littlefs image."""
    filesystem = LittleFS(block_size=spec.SECTOR_SIZE, block_count=len(image) // spec.SECTOR_SIZE, mount=False)
    filesystem.context.buffer = bytearray(image)
    filesystem.mount()
    with filesystem.open(SECRET_FILE, "rb") as file:
        secret: bytes = file.read()
    return secret
