"""Up to where a revoked device is still believed: the last frame in a capture that was accepted before the revocation.

A key in other hands signs whatever it likes, so after a revocation only what the hash chain leads back to from such a
frame counts (SPEC.md section 8). What was accepted is in the replay state of whoever read the device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from vitalwire.capture import Record, read
from vitalwire.registry import Registry
from vitalwire.session import ReplayState
from vitalwire_protocol.spec import PREV_SIZE


def revoked(registry: Registry) -> list[bytes]:
    """Return the thumbprints of revoked devices."""
    return [device.thumbprint for device in registry if device.revoked_us is not None]


def find_anchors(paths: Iterable[Path], registry: Registry, state: ReplayState) -> dict[bytes, tuple[int, bytes]]:
    """Return for each revoked device (by thumbprint) the highest frame in the files that `state` holds as accepted.

    A frame is its number and the first 16 bytes of its digest, as `verdict.verify` takes them. Of each device, `state`
    remembers the digests of as many frames as its window, 16384 unless made otherwise. Raises as `capture.read` does.
    """
    accepted = {digest: (device, seq) for device in revoked(registry) for seq, digest in state.accepted(device).items()}
    found: dict[bytes, tuple[int, bytes]] = {}
    if accepted:
        for path in paths:
            for item in read(path):
                if isinstance(item, Record):
                    digest = hashlib.sha256(item.raw).digest()[:PREV_SIZE]
                    device, seq = accepted.get(digest, (b"", 0))
                    if seq > found.get(device, (0, b""))[0]:
                        found[device] = seq, digest
    return found
