"""What resources are called: from the key, the boot, the channel and the window of device ticks, never from UTC.

So a repeat, a race and a better clock fit all meet the same resource. Ids are at most 64 of [A-Za-z0-9-.].
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from vitalwire.errors import UsageError

_FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_SIZE = 40  # hexadecimal digits: 160 bits


@dataclass(frozen=True, slots=True, order=True)
class WindowKey:
    """One window of one device: ticks [start, start + length) in microseconds of one boot under one descriptor.

    `form` says what is made of it (`wave`, `phd`, `readings`).
    """

    device: bytes
    boot: int
    start: int
    length: int
    form: str
    descriptor: bytes

    @property
    def text(self) -> str:
        """The key as text, which ids are made of."""
        place = f"{self.boot}.{self.descriptor.hex()}.{self.start}.{self.length}"
        return f"{self.device.hex()}.{place}.{self.form}"


def observation_id(key: WindowKey, what: str, run: int = 0) -> str:
    """Return the id of the Observation of a channel or reading; `run` counts those of one window, if several."""
    return identified("observation", key.text, what, str(run))


def provenance_id(key: WindowKey) -> str:
    """Return the id of the Provenance of a window."""
    return identified("provenance", key.text)


def device_id(thumbprint: bytes) -> str:
    """Return the id of a Device: the thumbprint of its key (RFC 9679) in hexadecimal."""
    return thumbprint.hex()


def patient(text: str) -> str:
    """Return the reference to a Patient of that id, with or without `Patient/` in front; raises UsageError."""
    name = text.removeprefix("Patient/")
    if not _FHIR_ID.fullmatch(name):
        raise UsageError("that is no id of a Patient", advice="one is 1 to 64 letters, digits, hyphens and points")
    return f"Patient/{name}"


def identified(*parts: str) -> str:
    """Return an id made of these parts and nothing else."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_SIZE]
