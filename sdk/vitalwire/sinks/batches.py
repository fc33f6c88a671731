"""A batch by devices: order is promised within each device only, so devices may go side by side. Nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vitalwire.spool import Entry


def by_device(batch: Iterable[Entry]) -> Sequence[Sequence[Entry]]:
    """Return the entries of each device in their order."""
    devices: dict[bytes, list[Entry]] = {}
    for entry in batch:
        devices.setdefault(entry.thumbprint, []).append(entry)
    return list(devices.values())
