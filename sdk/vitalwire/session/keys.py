"""What the secrets in a registry tell of frames: whether a MAC is right, and what a frame keeps private."""

from __future__ import annotations

from contextlib import suppress

from vitalwire.crypto import encryption_key
from vitalwire.errors import InputError, SignatureError
from vitalwire.frame import opened
from vitalwire.messages import Frame
from vitalwire.registry import Registry


class Keys:
    """Keys of enrolled devices, made from their secrets as they are needed; a registry may learn one at any time."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def opened(self, frame: Frame, device: bytes) -> Frame:
        """Return a verified frame with what it keeps private in its place; as it is where no key fits."""
        if frame.opaque is not None and (secret := self._registry.secret(device)) is not None:
            with suppress(SignatureError, InputError):
                return opened(frame, encryption_key(secret, device))
        return frame
