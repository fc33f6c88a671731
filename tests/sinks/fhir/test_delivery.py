"""Every window is at the server once, whatever the server or the gateway does meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from tests.fhirserver import CUT, CUT_AFTER, HALF, Answer, Asked, proxied
from tests.sinks.entries import drive
from tests.sinks.fhir.ward import Ward, same
from tests.walk import RATES

from vitalwire.errors import SinkError
from vitalwire.sinks.fhir import sink as sink_module
from vitalwire.sinks.fhir import writer as writer_module

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")
pytestmark = pytest.mark.asyncio
UNLUCKY = {0, 3, 20, 21, 40, 55, 70}  # those of the reads and writes that meet a fault
FAULTS = {
    "409": (Answer(409), 50), "412": (Answer(412), 50), "429": (Answer(429), 50), "500": (Answer(500), 50),
    "503": (Answer(503), 50), "dies-before": (CUT, 50), "dies-after": (CUT_AFTER, 50),
    "one by one, 412": (Answer(412), 1), "one by one, 429": (Answer(429), 1), "one by one, dies": (CUT_AFTER, 1),
}  # fmt: skip
UNLUCKY_BUNDLES = {0, 2, 5, 6}


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
