"""Signed frames as FHIR R4, and FHIR proven back to signed frames.

Frames go in as `Source`, resources come out window by window (`Mapper`); `Judge` makes them anew and compares. No I/O
but files of resources; who wears what, and a server, are others' business.
"""

from __future__ import annotations

from .bundle import BundleWriter, read, write
from .gather import Late
from .ids import WindowKey, patient
from .jsontext import dumps, loads
from .judge import Finding, Judge, Judgement, Wrong
from .mapping import Entry, Held, Hold, Mapper, Plan, Wearer
from .proof import Gateway, gateway_device
from .sampled import counts_of, values_of
from .windows import Source

__all__ = [
    "BundleWriter", "Entry", "Finding", "Gateway", "Held", "Hold", "Judge", "Judgement", "Late", "Mapper", "Plan",
    "Source", "Wearer", "WindowKey", "Wrong", "counts_of", "dumps", "gateway_device", "loads", "patient", "read",
    "values_of", "write",
]  # fmt: skip
