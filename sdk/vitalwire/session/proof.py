"""What proves a frame of an enrolled device: its signature, links of the chain, or its MAC; and what it keeps private.

Asks registry, directory and chain, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from vitalwire.crypto import encryption_key, frame_key, verify_mac0, verify_sign1
from vitalwire.errors import InputError, SignatureError
from vitalwire.frame import opened
from vitalwire.messages import Frame, Trust
from vitalwire.registry import Registry
from vitalwire.session.directory import Directory, Known
from vitalwire.session.outcomes import Reason, Refused
from vitalwire_protocol import spec

# Whether somebody trusted has verified the signature of a frame (its bytes) by a key (its point, 65 bytes) already.
IsSigned: TypeAlias = Callable[[bytes, bytes], bool]


class Prover:
    """Keys are made from the registry's secrets as they are needed; with `sealed_only` none is used for MACs.

    `is_signed` saves verifying signatures that somebody else has verified.
    """

    def __init__(
        self, registry: Registry, directory: Directory, *, sealed_only: bool, is_signed: IsSigned | None
    ) -> None:
        self._registry = registry
        self._directory = directory
        self._sealed_only = sealed_only
        self._is_signed = is_signed or (lambda raw, point: False)

    def judge(self, frame: Frame, known: Known, *, linked: bool) -> Trust | Refused | None:
        """Return what proves a frame, or why it is refused; None: nothing yet, a seal may come.

        `linked` says that the chain of proven frames demands exactly this one.
        """
        device = known.descriptor.thumbprint
        if frame.signed:
            try:
                if not self._is_signed(frame.raw, known.descriptor.public_key):
                    verify_sign1(frame.raw, known.key)
            except SignatureError as error:
                return Refused(Reason.FORGED, error.reason, frame.raw, device)
            return Trust.SIGNED
        if self._directory.policy_at(known, frame.seq) != spec.Policy.SEAL:
            return Refused(Reason.DOWNGRADE, "tag", frame.raw, device)
        if linked:
            return Trust.SEALED
        secret = None if self._sealed_only else self._registry.secret(device)
        if secret is None:
            return None
        try:
            verify_mac0(frame.raw, frame_key(secret, device))
        except SignatureError as error:
            return Refused(Reason.FORGED, error.reason, frame.raw, device)
        return Trust.AUTHENTIC

    def opened(self, frame: Frame, device: bytes) -> Frame:
        """Return a verified frame with what it keeps private in its place; as it is where no key fits."""
        if frame.opaque is not None and (secret := self._registry.secret(device)) is not None:
            with suppress(SignatureError, InputError):
                return opened(frame, encryption_key(secret, device))
        return frame
