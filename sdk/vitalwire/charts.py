"""Captures as FHIR, and FHIR files judged against captures: joins `offline` and `fhir`, decides nothing itself."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from vitalwire.client import VerifiedFrame
from vitalwire.errors import InputError
from vitalwire.fhir import Entry, Gateway, Held, Judge, Judgement, Late, Mapper, Plan, Source, Wearer, gateway_device
from vitalwire.fhir.clockfit import fit_of
from vitalwire.fhir.jsontext import Resource
from vitalwire.fhir.mapping import READING_SECONDS, gatherer_for
from vitalwire.fhir.observations import READINGS, observations
from vitalwire.fhir.windows import SECOND, Window
from vitalwire.offline import Reader
from vitalwire.signals import Signals


@dataclass(slots=True)
class Charted:
    """What became of a capture: Observations and windows written, windows held by reason, frames that do not decode."""

    observations: int = 0
    windows: int = 0
    held: Counter[str] = field(default_factory=Counter)
    spoiled: int = 0


def sources(
    reader: Reader,
    device: bytes | None = None,
    charted: Charted | None = None,
    watch: Callable[[int], None] | None = None,
    within: float | None = None,
) -> Iterator[Source]:
    """Yield the verified frames of a capture; `watch` hears how many were read, `within` is as `source` has it."""
    for frame in reader.frames(device):
        if watch is not None:
            watch(reader.read)
        try:
            signals = frame.signals
        except InputError:
            signals = Signals()
            if charted is not None:
                charted.spoiled += 1
        yield source(frame, signals, within)


def source(frame: VerifiedFrame, signals: Signals, within: float | None = None) -> Source:
    """Return a verified frame as what FHIR is made from.

    A time that only arrivals bound counts as unknown, unless somebody vouches that frames arrived `within` seconds.
    """
    uncertainty = frame.uncertainty
    if math.isinf(uncertainty) and within is not None:
        uncertainty = within
    known = math.isfinite(frame.time) and math.isfinite(uncertainty)
    return Source(
        frame.device,
        frame.frame,
        frame.descriptor,
        signals,
        frame.verified.received_us,
        round(frame.time * 1e6) if known else None,
        math.ceil(uncertainty * 1e6) if known else None,
    )


def chart(
    reader: Reader,
    gateway: Gateway,
    wearer: Wearer,
    plan: Plan | None = None,
    *,
    device: bytes | None = None,
    charted: Charted | None = None,
    watch: Callable[[int], None] | None = None,
    within: float | None = None,
) -> Iterator[Resource]:
    """Yield the resources that a capture says, each Device once; `charted` is filled in meanwhile."""
    charted = charted or Charted()
    mapper = Mapper(gateway, wearer, plan)
    written: dict[str, Resource] = {}

    def resources(results: Iterable[Entry | Held | Late]) -> Iterator[Resource]:
        for result in results:
            if isinstance(result, Held):
                charted.held[result.why] += 1
            elif isinstance(result, Entry):
                charted.windows += 1
                charted.observations += len(result.observations)
                for each in (gateway_device(gateway.thumbprint), *result.resources):
                    if each["resourceType"] != "Device" or written.get(each["id"]) != each:
                        written[each["id"]] = each if each["resourceType"] == "Device" else {}
                        yield each

    for each in sources(reader, device, charted, watch, within):
        yield from resources(mapper.add(each))
    yield from resources(mapper.flush())


def judge(
    reader: Reader,
    resources: Iterable[Resource],
    key: EllipticCurvePublicKey,
    watch: Callable[[int], None] | None = None,
    within: float | None = None,
) -> Judgement:
    """Return what the frames of a capture say of resources that a gateway signed with `key`."""
    judge = Judge(resources, key)
    for each in sources(reader, None, None, watch, within):
        judge.add(each)
    return judge.finish()


def events(
    reader: Reader, seconds: int = READING_SECONDS, *, device: bytes | None = None, within: float | None = None
) -> Iterator[Resource]:
    """Yield the readings of a capture as events for templates, in a hub's envelope; what is absent is no event.

    Each has one reading under its own name in `Body`, beside its unit, time and device.
    """
    names = {each.thumbprint: each.name for each in reader.devices}
    gatherer = gatherer_for(READINGS, seconds * SECOND)

    def windows() -> Iterator[Window | Late]:
        for each in sources(reader, device, None, None, within):
            yield from gatherer.add(each)
        yield from gatherer.flush()

    for window in windows():
        if isinstance(window, Window) and (fit := fit_of(window.sources)) is not None:
            for made in observations(window, fit, ""):
                if "valueQuantity" in made.resource:
                    yield _event(made.resource, names[window.key.device])


def _event(observation: Resource, device: str) -> Resource:
    name, time = observation["code"]["coding"][-1]["code"], observation["effectiveDateTime"]
    quantity = observation["valueQuantity"]
    return {
        "Body": {name: quantity["value"], "unit": quantity["code"], "time": time, "device": device},
        "Properties": {"iothub-creation-time-utc": time},
        "SystemProperties": {"iothub-connection-device-id": device},
    }
