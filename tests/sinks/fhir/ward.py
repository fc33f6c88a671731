"""A patient who walks, the sink that writes what was measured, and what the server should have at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from tests.waiting import FAR

from vitalwire import jws
from vitalwire.assignments import Assignments
from vitalwire.fhir import Entry as Made
from vitalwire.fhir import Gateway, Mapper, Plan, Source, loads
from vitalwire.fhir.jsontext import digest
from vitalwire.frame import parse
from vitalwire.signals import decode
from vitalwire.sinks.fhir import Fhir, Settings, from_settings
from vitalwire.spool import Entry
from vitalwire.testing import FakeDevice

FRAMES = 36  # of 2 s: seven windows of waveform and one of readings are complete


@dataclass
class Ward:
    """One device, its frames, and the gateway's files."""

    folder: Path
    device: FakeDevice
    entries: list[Entry]
    known: dict[str, dict[str, Any]] = field(default_factory=dict)  # what `expected` returned for all of them

    def assign(self) -> None:
        """Say who wears the device, for ever."""
        with Assignments(self.folder / "assignments.db", lambda what, /, **details: None) as store:
            store.assign(self.device.thumbprint, "Patient/p", 0)

    def settings(self, url: str, store: str = "store.db", **options: Any) -> Settings:
        """Return the settings of a sink."""
        files = {"key": self.folder / "key.pem", "assignments": self.folder / "assignments.db"}
        return Settings.model_validate({"kind": "fhir", "url": url, "store": self.folder / store, **files, **options})

    def sink(self, url: str, store: str = "store.db", **options: Any) -> Fhir:
        """Return a sink."""
        body = parse(self.entries[0].raw).body  # the gateway's archive has it
        return from_settings(self.settings(url, store, **options), lambda digest: body)

    def expected(self, entries: Sequence[Entry] | None = None, plan: Plan | None = None) -> dict[str, dict[str, Any]]:
        """Return the Observations by id that whole, complete windows make, by the mapping and no sink."""
        if entries is None and self.known:
            return self.known
        mapper = Mapper(Gateway(jws.load_key(self.folder / "key.pem")), lambda *_: "Patient/p", plan)
        descriptor = parse(self.entries[0].raw).body
        assert descriptor is not None
        found = {}
        for entry in entries or self.entries:
            frame = parse(entry.raw)
            signals = decode(frame, descriptor) if frame.body is None else {}
            times = (entry.arrived_us, entry.time_us, entry.accuracy_us)
            for each in mapper.add(Source(entry.thumbprint, frame, descriptor, signals, *times)):
                if isinstance(each, Made):
                    found |= {made.resource["id"]: made.resource for made in each.observations}
        if entries is None:
            self.known |= found
        return found

    async def there(self, base: str) -> dict[str, dict[str, Any]]:
        """Return the Observations of the device that the server has, by id, without what the server adds."""
        query = f"{base}/Observation?device=Device/{self.device.thumbprint.hex()}&_count=1000"
        async with aiohttp.ClientSession() as session, session.get(query) as answer:
            bundle = loads(await answer.text())
        return {each["resource"]["id"]: plain(each["resource"]) for each in bundle.get("entry", [])}


def plain(resource: dict[str, Any]) -> dict[str, Any]:
    """Return a resource without what a server adds."""
    meta = {key: value for key, value in resource.get("meta", {}).items() if key == "profile"}
    rest = {key: value for key, value in resource.items() if key != "meta"}
    return rest | ({"meta": meta} if meta else {})


def same(there: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]]) -> bool:
    """Compare by the digests that Provenances hold: servers write numbers in their own way."""
    return {key: digest(each) for key, each in there.items()} == {key: digest(each) for key, each in expected.items()}


async def until(met: Callable[[], bool]) -> None:
    """Wait for something, 20 s at most."""
    async with asyncio.timeout(FAR):
        while not met():
            await asyncio.sleep(0.05)
