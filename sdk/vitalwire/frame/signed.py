"""Documents that people's keys sign: a map of known keys in a COSE_Sign1 for a use of its own; no I/O.

What the fields of one kind say, and within which bounds, its own file knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Generic, TypeVar

from vitalwire import cbor, crypto
from vitalwire.errors import FrameError, UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Document(Generic[T]):
    """One kind: what it is called, its use (`external_aad`), all its keys, and how its fields are read."""

    name: str
    aad: bytes
    keys: type[IntEnum]
    read: Callable[[Mapping[int, Any]], T]

    def sign(self, fields: Mapping[Any, object], key: crypto.PrivateKey) -> bytes:
        """Return the fields as a COSE_Sign1; raises UsageError for what no device would take."""
        message = crypto.sign1(key, cbor.encode(dict(fields)), aad=self.aad)
        try:
            self.parse(message, key.public_key())
        except FrameError as error:
            raise UsageError(f"no device would take this {self.name}: {error}") from error
        return message

    def parse(self, message: bytes, key: crypto.PublicKey) -> T:
        """Return what `key` signed; raises FrameError or CborError for its form, SignatureError for another key's."""
        payload = crypto.sign1_payload(message)
        crypto.verify_sign1(message, key, self.aad)
        fields: Any = cbor.decode(payload)
        if not isinstance(fields, dict) or fields.keys() != set(map(int, self.keys)):
            raise FrameError(f"the {self.name} is not a map of its {len(self.keys)} keys", reason="missing-key")
        return self.read(fields)
