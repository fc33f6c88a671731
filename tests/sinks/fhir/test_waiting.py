"""What a window waits for: its frames, its time, and somebody to have worn the device."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.fhirserver import proxied
from tests.sinks.entries import UTC_US, drive, entry_of, without_time
from tests.sinks.fhir.ward import FRAMES, Ward, same, until
from tests.walk import RATES

from vitalwire.assignments import Assignments
from vitalwire.errors import SinkError
from vitalwire.fhir import loads
from vitalwire.fhir.clockfit import read_fit
from vitalwire.sinks.fhir.store import Store
from vitalwire.sinks.fhir.windows import NO_TIME
from vitalwire.testing import FakeDevice

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")
pytestmark = pytest.mark.asyncio


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
