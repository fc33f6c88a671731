"""A board made of Python whose frames become FHIR, and what of it is looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from tests.walk import RATES, recorded

from vitalwire.fhir import Entry, Gateway, Held, Late, Mapper, Plan, Source
from vitalwire.frame import parse
from vitalwire.messages import Descriptor
from vitalwire.signals import decode
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Kind

KEY = ec.generate_private_key(ec.SECP256R1())
GATEWAY = Gateway(KEY)
BEGAN = 1_760_000_000_000_000


class Board:
    """A device whose frames come out as sources."""

    def __init__(self, **options: Any) -> None:
        self.device = FakeDevice("board", **options)
        self.device.utc_us = BEGAN
        body = parse(self.device.descriptor()).body
        assert body is not None
        self.descriptor: Descriptor = body

    def source(self, raw: bytes, utc: bool = True) -> Source:
        frame = parse(raw)
        signals = decode(frame, self.descriptor) if frame.kind == Kind.DATA else {}
        known = frame.utc_us if utc else None
        arrived = BEGAN + frame.seq
        return Source(self.device.thumbprint, frame, self.descriptor, signals, arrived, known, 1000 if utc else None)

    def played(self, frames: int, marks: dict[int, Any] | None = None, utc: bool = True) -> list[Source]:
        """Return frames of 2 s of what the virtual board plays."""
        signals = recorded()
        made = []
        for place in range(frames):
            samples = {name: signals[name][place * 2 * rate :][: 2 * rate] for name, rate in RATES.items()}
            made.append(self.source(self.device.data(samples, marks=(marks or {}).get(place, ())), utc))
        return made


def mapped(
    sources: Sequence[Source], plan: Plan | None = None, wearer: Any = None, patience: float = math.inf
) -> list[Entry | Held | Late]:
    """Return all that sources become, to the end."""
    mapper = Mapper(GATEWAY, wearer or (lambda *_: "Patient/p"), plan, patience)
    return [each for source in sources for each in mapper.add(source)] + list(mapper.flush())


def waves(results: Sequence[Entry | Held | Late], name: str) -> list[dict[str, Any]]:
    """Return the SampledData Observations of a channel, in order of time."""
    entries = [each for each in results if isinstance(each, Entry) and each.window.key.form != "readings"]
    resources = [made.resource for each in entries for made in each.observations]
    found = [each for each in resources if each["code"]["coding"][-1]["code"] == name]
    return sorted(found, key=lambda each: each["effectivePeriod"]["start"])
