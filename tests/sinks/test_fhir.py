"""The FHIR sink against a real FHIR server, and against one that answers as servers do on bad days."""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import aiohttp
import pytest
from tests.fhirjudges import judged
from tests.fhirserver import CUT, CUT_AFTER, HALF, Answer, Asked, fhir_server, proxied
from tests.sinks.entries import UTC_US, drive, entry_of, without_time
from tests.walk import RATES, recorded

from vitalwire import jws
from vitalwire.assignments import Assignments
from vitalwire.capture import Writer
from vitalwire.cli import main
from vitalwire.errors import SinkError
from vitalwire.fhir import Entry as Made
from vitalwire.fhir import Gateway, Mapper, Plan, Source, Wrong, dumps, loads
from vitalwire.fhir.clockfit import read_fit
from vitalwire.fhir.jsontext import digest
from vitalwire.frame import parse
from vitalwire.gateway.delivery import Delivery
from vitalwire.signals import decode
from vitalwire.sinks.fhir import Fhir, Settings, from_settings
from vitalwire.sinks.fhir import sink as sink_module
from vitalwire.sinks.fhir import writer as writer_module
from vitalwire.sinks.fhir.store import Store
from vitalwire.sinks.fhir.windows import NO_TIME
from vitalwire.spool import Entry, Spool
from vitalwire.spool import Store as Spooled
from vitalwire.testing import FakeDevice

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")

pytestmark = pytest.mark.asyncio

UNLUCKY = {0, 3, 20, 21, 40, 55, 70}  # those of the reads and writes that meet a fault
FAULTS = {
    "409": (Answer(409), 50), "412": (Answer(412), 50), "429": (Answer(429), 50), "500": (Answer(500), 50),
    "503": (Answer(503), 50), "dies-before": (CUT, 50), "dies-after": (CUT_AFTER, 50),
    "one by one, 412": (Answer(412), 1), "one by one, 429": (Answer(429), 1), "one by one, dies": (CUT_AFTER, 1),
}  # fmt: skip
UNLUCKY_BUNDLES = {0, 2, 5, 6}
FRAMES = 36  # of 2 s: seven windows of waveform and one of readings are complete


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    """Run one process for all tests."""
    with fhir_server() as base:
        yield base


@pytest.fixture
def server(servers: str, request: pytest.FixtureRequest) -> str:
    """Return the base of an empty server."""
    return f"{servers}/{abs(hash(request.node.name)):x}"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have gateway and sink look more often at what waits."""
    monkeypatch.setattr("vitalwire.sinks.fhir.sink.LOOK", 0.2)
    monkeypatch.setattr("vitalwire.gateway.delivery.LOOK", 0.2)


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


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Ward:
    """Return a device's frames, and the gateway's key."""
    folder = tmp_path_factory.mktemp("ward")
    jws.create_key(folder / "key.pem")
    device, signals = FakeDevice("bed-4"), recorded()
    raws = [device.descriptor()]
    for place in range(FRAMES):
        raws.append(device.data({name: signals[name][place * 2 * rate :][: 2 * rate] for name, rate in RATES.items()}))
    return Ward(folder, device, [entry_of(device, raw, place) for place, raw in enumerate(raws, 1)])


@pytest.fixture
def ward(played: Ward, tmp_path: Path) -> Ward:
    """Return a ward whose device nobody wears yet."""
    shutil.copy(played.folder / "key.pem", tmp_path)
    Assignments(tmp_path / "assignments.db", lambda what, /, **details: None).close()
    return Ward(tmp_path, played.device, list(played.entries), played.known)


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


@pytest.mark.parametrize(("answer", "bundle"), FAULTS.values(), ids=FAULTS)
async def test_faults_lose_and_double_nothing(server: str, ward: Ward, answer: Answer, bundle: int) -> None:
    """Whatever the server answers to single reads and writes, in a Bundle or not, in the end each Observation is there
    once, as it should be.
    """
    ward.assign()
    async with proxied(server) as proxy:
        asked = itertools.count()
        proxy.fault = lambda one: answer if next(asked) in UNLUCKY else None
        done = await drive(ward.sink(proxy.url, bundle=bundle), ward.entries, size=16)
        assert next(asked) > max(UNLUCKY)
        assert not done.rejected
        assert done.errors or answer.status in (0, -1, 409, 412)  # aiohttp itself tries again after a cut
    assert same(await ward.there(server), ward.expected())


@pytest.mark.parametrize("answer", [Answer(409), Answer(429), CUT_AFTER, HALF])
async def test_faults_of_whole_bundles_lose_and_double_nothing(server: str, ward: Ward, answer: Answer) -> None:
    """So it is when whole Bundles are answered so, get no answer, or are done and answered by half."""
    ward.assign()
    async with proxied(server) as proxy:
        asked = itertools.count()
        proxy.whole = lambda some: answer if len(some) > 1 and next(asked) in UNLUCKY_BUNDLES else None
        assert not (await drive(ward.sink(proxy.url), ward.entries, size=16)).rejected
        assert next(asked) > max(UNLUCKY_BUNDLES)
    assert same(await ward.there(server), ward.expected())


@pytest.mark.parametrize("status", [413, 422, 501])
async def test_a_server_that_takes_no_bundles(server: str, ward: Ward, status: int) -> None:
    """A server that refuses every Bundle is asked one by one; one that knows none, without trying again."""
    ward.assign()
    async with proxied(server) as proxy:
        proxy.whole = lambda some: Answer(status) if len(some) > 1 else None
        done = await drive(ward.sink(proxy.url), ward.entries)
        assert not done.rejected
        assert not done.errors
        if status in (404, 405, 501):
            assert sum(count > 1 for count in proxy.requests) == 1
    assert same(await ward.there(server), ward.expected())


def size_of(one: Asked) -> int:
    """Return the bytes of what is written, without white space."""
    return len(json.dumps(one.resource, separators=(",", ":"))) if one.resource else 0


@pytest.mark.parametrize("size", [1 << 20, 5000])
async def test_bundles_are_bounded(server: str, ward: Ward, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Bundle has more entries or bytes than it may, and they are far fewer than the Observations."""
    monkeypatch.setattr("vitalwire.sinks.fhir.server.MAX_SIZE", size)
    ward.assign()
    sizes: list[int] = []
    async with proxied(server) as proxy:
        proxy.whole = lambda some: sizes.append(sum(map(size_of, some))) if len(some) > 1 else None
        await drive(ward.sink(proxy.url, bundle=20), ward.entries)
        assert max(proxy.requests) <= 20
        assert max(sizes) <= size
        if size > 5000:
            assert len(proxy.requests) < len(ward.expected()) / 3
    assert same(await ward.there(server), ward.expected())


@pytest.mark.parametrize("better_us", [0, 3000], ids=["the same clock", "another clock"])
async def test_two_sinks_race(server: str, ward: Ward, better_us: int) -> None:
    """Two sinks that write the same windows at the same time leave each Observation once, whatever clocks they have."""
    ward.assign()
    async with proxied(server) as one, proxied(server) as other:
        sinks = ward.sink(one.url, "one.db"), ward.sink(other.url, "other.db")
        others = [replace(entry, time_us=(entry.time_us or 0) + better_us) for entry in ward.entries]
        frames = ward.entries, others
        done = await asyncio.gather(*(drive(*each, size=5) for each in zip(sinks, frames, strict=True)))
        assert not any(each.rejected or each.errors for each in done)
    there = await ward.there(server)
    assert there.keys() == ward.expected().keys()
    assert better_us or same(there, ward.expected())


async def test_retry_after_is_passed_on(server: str, ward: Ward) -> None:
    """A server that asks for a pause is given it."""
    ward.assign()
    async with proxied(server) as proxy:
        proxy.whole = lambda some: Answer(429, headers={"Retry-After": "17"})
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


async def test_a_late_frame_amends(server: str, ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that comes after its window was closed for good makes it `amended`, over the version that was read.

    The Bundles that did so are accepted by those who judge FHIR.
    """
    monkeypatch.setattr("vitalwire.sinks.fhir.sink.LOOK", 60)  # or else the device counts as silent
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
        over = [each for each in proxy.asked if each.version]
    after = await ward.there(server)
    assert set(after) >= set(before)
    amended = [each for each in after.values() if each["status"] == "amended"]
    assert len(amended) >= len(RATES)
    assert len(over) >= len(amended)
    bundles = [loads(text) | {"id": f"b{place}"} for place, text in enumerate(proxy.bundles)]
    assert any("ifMatch" in text for text in proxy.bundles)
    assert judged(bundles, ward.folder, dumps) == {}
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
        proxy.fault = lambda one: Answer(422, words) if one.reference.endswith(victim) else None
        rejected = (await drive(ward.sink(proxy.url), ward.entries)).rejected
        assert {each.why for each in rejected} == {"HTTP 422 no such"}
        there = await ward.there(server)
        assert {key for key, each in expected.items() if "valueSampledData" in each} <= set(there)
        proxy.fault = lambda one: None
        again = [entry for entry in ward.entries if entry.position in {each.position for each in rejected}]
        assert not (await drive(ward.sink(proxy.url), again)).rejected
    assert same(await ward.there(server), expected)


async def test_what_is_refused_when_nothing_more_comes_is_told(server: str, ward: Ward) -> None:
    """The last window of a device that fell silent is refused: its frames are dead letters though nothing is delivered
    any more, also where the gateway was restarted meanwhile and nobody has heard of the device since.
    """
    ward.assign()
    async with proxied(server) as proxy:
        for restarted in (False, True):
            folder = ward.folder / f"{restarted}"
            folder.mkdir()
            spool, store = Spool(folder / "spool.db", ["fhir"]), Spooled(folder / "spool.db")
            files: dict[str, Any] = {"store": f"{restarted}.db", "wait": 0.3}
            if restarted:
                proxy.fault = lambda one: Answer(503)
                entries = await asyncio.wrap_future(spool.append([replace(e, position=0) for e in ward.entries[:4]]))
                await asyncio.wrap_future(spool.advance("fhir", entries[-1].position))
                await drive(ward.sink(proxy.url, **files | {"wait": 60}), entries)
            proxy.fault = lambda one: (
                Answer(422) if one.resource and "SampledData" in json.dumps(one.resource) else None
            )
            delivery = Delivery("fhir", ward.settings(proxy.url, **files), ward.sink(proxy.url, **files), spool, print)
            task = asyncio.create_task(delivery.run())
            if not restarted:
                await asyncio.wrap_future(spool.append([replace(e, position=0) for e in ward.entries[:4]]))
                delivery.notify()
            await until(lambda store=store: len(list(store.dead())) == 3)
            delivery.end()
            await task
            spool.close()
            store.close()


async def test_frames_that_nobody_wore_hold_up_no_others(
    server: str, ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames of windows that nobody wore stay on the disk, those of later ones leave it as they are written."""
    monkeypatch.setattr("vitalwire.fhir.gather.KEPT", 0)
    with Assignments(ward.folder / "assignments.db", lambda what, /, **details: None) as who:
        who.assign(ward.device.thumbprint, "Patient/p", UTC_US + 20_000_000)
    sink = ward.sink(server, readings=10)
    await sink.open()
    for start in range(0, len(ward.entries), 4):
        await sink.deliver(ward.entries[start : start + 4])
    await sink.close()
    with Store(ward.folder / "store.db") as store:
        kept = {entry.position for _, entry in store.after(0, 1000)}
    assert kept == {*range(2, 12), *range(31, 38)}  # of the first two windows, and of those that are open
    waves = [each for each in (await ward.there(server)).values() if "effectivePeriod" in each]
    assert min(each["effectivePeriod"]["start"] for each in waves) >= "2026-01-01T00:00:20"


async def test_too_many_held_frames_are_pushed_back(server: str, ward: Ward) -> None:
    """What the sink cannot keep any more stays in the spool."""
    sink = ward.sink(server, hold=FRAMES - 1)
    await sink.open()
    await sink.deliver(ward.entries[: FRAMES - 1])
    await sink.deliver(ward.entries[: FRAMES - 1])  # again: no more than before
    with pytest.raises(SinkError, match="too many frames"):
        await sink.deliver(ward.entries[FRAMES - 1 :])
    await sink.close()


async def test_a_window_waits_for_its_time(server: str, ward: Ward) -> None:
    """Windows of which no frame has a time are held, over a restart too, until another frame of their boot has one."""
    ward.assign()
    split = 2 * FRAMES // 3
    assert not (await drive(ward.sink(server), [without_time(each) for each in ward.entries[:split]])).rejected
    sink = ward.sink(server)
    await sink.open()
    assert not await ward.there(server)
    assert not await sink.deliver(ward.entries[split:])
    expected = ward.expected()
    await until(lambda: len(sink._devices[ward.device.thumbprint].windows.held) == 0)
    await sink.close()
    assert same(await ward.there(server), expected)


async def test_a_time_that_is_never_known_is_told(server: str, ward: Ward) -> None:
    """When a device boots anew and nobody knew the time of its last boot, those frames are refused, and why is said."""
    ward.assign()
    device = FakeDevice("bed-5")
    raws = [device.descriptor(), *(device.sampled(2.0) for _ in range(14))]
    raws += [device.reboot(), device.descriptor(), *(device.sampled(2.0) for _ in range(3))]
    entries = [without_time(entry_of(device, raw, place)) for place, raw in enumerate(raws, 1)]
    sink = ward.sink(server)
    await sink.open()
    assert not await sink.deliver(entries[:15])
    rejected = list(await sink.deliver(entries[15:]))
    held = sink._devices[device.thumbprint].windows.held
    await until(lambda: not any(key.boot == 1 for key in held))
    rejected += await sink.deliver([])
    assert {each.position for each in rejected} == set(range(2, 16))
    assert {each.why for each in rejected} == {NO_TIME}
    assert not await sink.deliver([])
    await sink.close()


async def test_arrivals_are_believed_only_if_somebody_says_so(server: str, ward: Ward) -> None:
    """With `within`, the time by arrivals is taken, and the Provenance says how sure it is."""
    ward.assign()
    entries = [replace(each, accuracy_us=None) for each in ward.entries]
    async with proxied(server) as proxy:
        assert not (await drive(ward.sink(proxy.url), entries)).rejected
        assert not proxy.written()
        assert not (await drive(ward.sink(proxy.url, "other.db", within=60), entries)).rejected
        proofs = [each.resource for each in proxy.asked if each.method == "PUT" and "Provenance/" in each.reference]
        assert {read_fit(loads(json.dumps(each))["extension"]).accuracy_us for each in proofs if each} == {60_000_000}
    assert same(await ward.there(server), ward.expected())


@pytest.mark.parametrize("store", ["store.db", "another.db"])
async def test_what_was_refused_is_written_when_it_is_tried_again(
    server: str, ward: Ward, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead letters that come again when their window is forgotten, alone and a few at a time, make it whole."""
    monkeypatch.setattr("vitalwire.fhir.gather.KEPT", 0)
    ward.assign()
    expected = ward.expected()
    victim = next(key for key, each in expected.items() if "valueQuantity" in each)
    async with proxied(server) as proxy:
        proxy.fault = lambda one: Answer(422) if one.reference.endswith(victim) else None
        sink = ward.sink(proxy.url, wait=1.5)
        await sink.open()
        places = {each.position for each in await sink.deliver(ward.entries)}
        again = [entry for entry in ward.entries if entry.position in places]
        assert len(again) >= 30
        assert not await sink.deliver([])
        proxy.fault = lambda one: None
        before = len(proxy.written())
        if store != "store.db":
            await sink.close()
            sink = ward.sink(proxy.url, store, wait=1.5)
            await sink.open()
        for start in range(0, len(again), 8):
            assert not await sink.deliver(again[start : start + 8])
        await until(lambda: any(each.endswith(victim) for each in proxy.written()[before:]))
        await until(lambda: len(sink._devices[ward.device.thumbprint].frames) < 8)
        assert not await sink.deliver([])
        await sink.close()
        waves = {f"Observation/{key}" for key, each in expected.items() if "valueSampledData" in each}
        assert waves.isdisjoint(proxy.written()[before:])
    there = await ward.there(server)  # the last windows, too, when the device is silent
    assert same({key: each for key, each in there.items() if key in expected}, expected)


async def test_the_spool_keeps_what_was_refused(server: str, ward: Ward) -> None:
    """Frames that the spool has forgotten when their window is refused become dead letters with the server's words, and
    are written once somebody has them tried again.
    """
    ward.assign()
    words = '{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"no"}]}'
    expected = ward.expected()
    victim = next(key for key, each in expected.items() if "valueQuantity" in each)
    spool, store = Spool(ward.folder / "spool.db", ["fhir"]), Spooled(ward.folder / "spool.db")
    async with proxied(server) as proxy:
        proxy.fault = lambda one: Answer(422, words) if one.reference.endswith(victim) else None
        sink = ward.sink(proxy.url)
        delivery = Delivery("fhir", ward.settings(proxy.url, batch=16), sink, spool, lambda event: None)
        task = asyncio.create_task(delivery.run())
        for start in range(0, len(ward.entries), 4):
            await asyncio.wrap_future(spool.append([replace(e, position=0) for e in ward.entries[start : start + 4]]))
            delivery.notify()
            await asyncio.sleep(0.1)
        await until(lambda: len(list(store.dead())) >= 30)
        letters = list(store.dead())
        assert {letter.why for letter in letters} == {"HTTP 422 no"}
        assert {letter.entry.raw for letter in letters} <= {entry.raw for entry in ward.entries}
        assert len(spool.read(0, 100)) < len(letters)
        proxy.fault = lambda one: None
        before = len(proxy.written())
        assert store.redrive("fhir") == len(letters)
        await until(lambda: not list(store.dead()) and f"Observation/{victim}" in proxy.written()[before:])
        delivery.end()
        await task
    spool.close()
    store.close()
    there = await ward.there(server)
    assert same({key: each for key, each in there.items() if key in expected}, expected)


async def test_somebody_else_is_never_written_over(server: str, ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody writes between the sink's reading and its writing, the server's own 412 makes it begin anew."""
    monkeypatch.setattr("vitalwire.sinks.fhir.sink.LOOK", 60)  # or else the device counts as silent
    ward.assign()
    late = ward.entries.pop(8)
    async with proxied(server) as proxy:
        sink = ward.sink(proxy.url, wait=0.01)
        await sink.open()
        for start in range(0, len(ward.entries), 6):
            await sink.deliver(ward.entries[start : start + 6])
            await asyncio.sleep(0.02)
        others: list[str] = []

        def meddle(one: Asked) -> None:
            if one.version and one.resource and not others:
                others.append(one.reference)
                body = json.dumps(one.resource | {"note": [{"text": "seen"}]}).encode()
                headers = {"Content-Type": "application/fhir+json"}
                urlopen(Request(f"{server}/{one.reference}", body, headers, method="PUT")).close()

        proxy.fault = meddle
        assert not await sink.deliver([late])
        await sink.close()
        over = [each.version for each in proxy.asked if each.reference == others[0] and each.version]
        assert len(over) == len(set(over)) == 2
    whole = sorted([*ward.entries, late], key=lambda entry: entry.seq)
    after = await ward.there(server)
    expected = {key: each | {"status": after[key]["status"]} for key, each in ward.expected(whole).items()}
    assert same({key: after[key] for key in expected}, expected)


async def test_the_gateway_goes_on_meanwhile(server: str, ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are decoded and windows made beside the event loop, when they come and after a restart."""
    ward.assign()
    threads: Counter[tuple[str, bool]] = Counter()

    def watch(module: Any, name: str) -> None:
        work = getattr(module, name)

        def watched(*args: Any) -> Any:
            threads[name, threading.current_thread() is threading.main_thread()] += 1
            return work(*args)

        monkeypatch.setattr(module, name, watched)

    watch(sink_module, "decode")
    watch(writer_module, "make")
    await drive(ward.sink(server), ward.entries)
    before = threads.total()
    sink = ward.sink(server)
    await sink.open()
    await sink.deliver([])
    await sink.close()
    assert threads.total() > before
    assert {(name, on_loop) for name, on_loop in threads if on_loop} == set()
    assert {name for name, _ in threads} == {"decode", "make"}


async def pages(base: str, folder: Path) -> Path:
    """Write into a folder what a server gives back, a page a type."""
    folder.mkdir()
    async with aiohttp.ClientSession() as session:
        for kind in ("Device", "Observation", "Provenance"):
            async with session.get(f"{base}/{kind}?_count=1000") as answer:
                (folder / f"{kind}.json").write_text(await answer.text())
    return folder


def move_clock(proof: dict[str, Any]) -> None:
    """Have a window a month later."""
    clock = proof["extension"][1]["extension"]
    clock[1]["valueInstant"] = "2026-02-01T00:00:00Z"


EDITS: dict[str, tuple[str, Callable[[dict[str, Any]], None] | None, Wrong]] = {
    "a value": ("Observation", lambda each: each["valueQuantity"].update(value=200), Wrong.ALTERED),
    "a patient": ("Observation", lambda each: each["subject"].update(reference="Patient/q"), Wrong.ALTERED),
    "nothing, but it is gone": ("Observation", None, Wrong.MISSING),
    "a proof": ("Provenance", lambda each: each.update(recorded="2026-02-01T00:00:00Z"), Wrong.SIGNATURE),
    "a proof's clock": ("Provenance", move_clock, Wrong.TIME),
    "a proof that is gone": ("Provenance", None, Wrong.UNPROVEN),
}


async def test_what_is_altered_at_the_server_is_named(
    server: str, ward: Ward, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a server gives back is proven by the signed frames; what somebody altered there is named, nothing else."""
    ward.assign()
    late = ward.entries.pop(8)
    await drive(ward.sink(server), [*ward.entries[:20], late, *ward.entries[20:]], size=4)
    with Writer(ward.folder / "walk.vwc") as writer:
        for entry in [*ward.entries, late]:
            writer.write(entry.raw, entry.arrived_us)
    options = [str(ward.folder / "walk.vwc"), "--key", str(ward.folder / "key.pem"), "--within", "1", "--json"]
    options += ["--fingerprint", ward.device.thumbprint.hex()]

    async def verified(name: str) -> tuple[int, dict[str, Any]]:
        folder = await pages(server, ward.folder / name)
        code = main(["fhir", "verify", str(folder), *options])
        return code, json.loads(capsys.readouterr().out)

    async def put(resource: dict[str, Any]) -> None:
        url = f"{server}/{resource['resourceType']}/{resource['id']}"
        async with session.put(url, data=json.dumps(resource)) as answer:
            assert answer.status == 200

    code, said = await verified("before")
    assert (said["findings"], said["proven"]) == ([], len(await ward.there(server)))
    assert code == 1  # the last windows of the capture are not full, so not there
    async with aiohttp.ClientSession(headers={"Content-Type": "application/fhir+json"}) as session:
        for what, (kind, edit, wrong) in EDITS.items():
            found = json.loads((ward.folder / "before" / f"{kind}.json").read_text())
            resources = [each["resource"] for each in found["entry"]]
            original = next(each for each in resources if kind == "Provenance" or "valueQuantity" in each)
            reference = f"{kind}/{original['id']}"
            if edit is None:
                async with session.delete(f"{server}/{reference}") as answer:
                    assert answer.status == 200
            else:
                victim = copy.deepcopy(original)
                edit(victim)
                await put(victim)
            code, said = await verified(what)
            assert code == 4
            assert wrong in {each["wrong"] for each in said["findings"]}
            named = {each["resource"] for each in said["findings"]}
            if edit is move_clock:
                assert reference in named  # and what follows from it: all times of its window
            else:
                gone = {each["reference"] for each in original.get("target", ())}
                assert named == (gone if wrong is Wrong.UNPROVEN else {reference})
            await put(original)


async def until(met: Callable[[], bool]) -> None:
    """Wait for something, 20 s at most."""
    async with asyncio.timeout(20):
        while not met():
            await asyncio.sleep(0.05)
