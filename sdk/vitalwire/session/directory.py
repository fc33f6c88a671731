"""Which descriptors a session knows: of enrolled devices with their keys, of others to refuse what names them."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from vitalwire.crypto import PublicKey, load_public_key, verify_sign1
from vitalwire.errors import InputError, SignatureError
from vitalwire.frame import parse
from vitalwire.messages import Descriptor, Frame
from vitalwire.registry import Registry
from vitalwire.session.outcomes import Reason, Refused

_MAX_FOREIGN = 1024


class Known(NamedTuple):
    """A descriptor whose own signature verified, and the key that is in it."""

    descriptor: Descriptor
    key: PublicKey
    digest: bytes  # of the whole frame
    seq: int


class Directory:
    """Descriptors by the digest (8 bytes) frames name them by; bounded for each device and for foreign ones."""

    def __init__(self, registry: Registry, max_of_device: int) -> None:
        self._registry = registry
        self._max_of_device = max_of_device
        self._known: dict[bytes, Known] = {}
        self._own: dict[bytes, list[Known]] = {}  # the same by device, in order of arrival
        self._foreign: dict[bytes, bytes] = {}  # thumbprints of devices nobody enrolled

    def __len__(self) -> int:
        return len(self._known)

    def get(self, digest: bytes) -> Known | None:
        """Return the descriptor of this digest, if it is known."""
        return self._known.get(digest)

    def foreign(self, digest: bytes) -> bytes | None:
        """Return whose descriptor this is if it was shown and that device is still not enrolled."""
        owner = self._foreign.get(digest)
        return None if owner is None or self._registry.get(owner) is not None else owner

    def learn(self, frame: Frame, body: Descriptor) -> Refused | None:
        """Check a descriptor's device and signature and remember it; return why it is refused."""
        known = self._known.get(body.digest)
        if known is not None and known.digest == frame.digest:
            return None
        if self._registry.get(body.thumbprint) is None:
            self._foreign[body.digest] = body.thumbprint
            if len(self._foreign) > _MAX_FOREIGN:
                del self._foreign[next(iter(self._foreign))]
            return Refused(Reason.FOREIGN, "", frame.raw, body.thumbprint)
        key = load_public_key(body.public_key)
        try:
            verify_sign1(frame.raw, key)
        except SignatureError as error:
            return Refused(Reason.FORGED, error.reason, frame.raw, body.thumbprint)
        own = self._own.setdefault(body.thumbprint, [])
        if len(own) >= self._max_of_device:
            del self._known[own.pop(0).descriptor.digest]
        self._known[body.digest] = Known(body, key, frame.digest, frame.seq)
        own.append(self._known[body.digest])
        return None

    def policy_at(self, known: Known, seq: int) -> int:
        """Return the policy of frame `seq` that names this descriptor; 0 if a newer one had been made before it."""
        newest = max(each.seq for each in self._own[known.descriptor.thumbprint] if each.seq <= max(seq, known.seq))
        return known.descriptor.policy if newest == known.seq < seq else 0

    def restore(self, raw: bytes) -> None:
        """Learn a descriptor that was stored; one that is not accepted any more is left out."""
        with suppress(InputError):
            frame = parse(raw)
            if frame.body is not None:
                self.learn(frame, frame.body)
