"""Measures the way to a FHIR server: how long after a frame its Observations are acknowledged, and how many a second.

The plain way makes the same Observations of the same frames, one `fhir.resources` model (R4B) and one request for each,
keeps nothing on a disk and proves nothing.
Frames of the standard profile come one by one, as from a live board; the clock of the signal says how long each waits
for its window to close, this computer's how long making and writing takes then. The server is a real one, under Node.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from rich.table import Table

from vitalwire import jws
from vitalwire.assignments import Assignments
from vitalwire.fhir import Plan, Source
from vitalwire.fhir.clockfit import fit_of
from vitalwire.fhir.mapping import gatherer_for
from vitalwire.fhir.observations import READINGS, WAVE, observations
from vitalwire.fhir.windows import Window
from vitalwire.frame import parse
from vitalwire.messages import Descriptor, Trust
from vitalwire.signals import Signals, decode
from vitalwire.sinks.fhir import Settings, from_settings
from vitalwire.spool import Entry

from .. import fhirserver
from ..demo_server import found
from .fhir import BEGAN_US
from .standard import chained, minute

FRAMES = 95  # of 2 s: three minutes
ROUNDS = 3


class Closed(NamedTuple):
    """A window of a form, closed by the frame at a place; `waited` for each of its frames, in seconds of signal."""

    form: str
    place: int
    waited: list[float]


def entries(device: bytes, raws: Sequence[bytes]) -> list[Entry]:
    """Return frames as a spool has them, whose device knew UTC."""
    made = []
    for place, raw in enumerate(raws, 1):
        frame = parse(raw)
        utc = BEGAN_US + frame.ticks
        head = place, "bench", device, frame.kind, frame.boot, frame.seq, frame.digest, raw
        made.append(Entry(*head, utc, utc, 1000, Trust.SIGNED))
    return made


def windows(each: Sequence[Entry], descriptor: Descriptor) -> Iterator[tuple[int, Window]]:
    """Yield the windows that frames close, each with the place of the frame that closes it."""
    for form, length in Plan().forms:
        gatherer = gatherer_for(form, length)
        for place, entry in enumerate(each):
            frame = parse(entry.raw)
            signals = Signals() if frame.body else decode(frame, descriptor)
            source = Source(entry.thumbprint, frame, descriptor, signals, entry.arrived_us, entry.time_us, 1000)
            for window in gatherer.add(source):
                if isinstance(window, Window):
                    yield place, window


def closings(each: Sequence[Entry], descriptor: Descriptor) -> list[Closed]:
    """Return how long the frames of each window wait for the one that closes it."""
    ticks = [parse(entry.raw).ticks for entry in each]
    return [
        Closed(window.key.form, place, [(ticks[place] - one.frame.ticks) / 1e6 for one in window.sources])
        for place, window in windows(each, descriptor)
    ]


async def plainly(base: str, each: Sequence[Entry], descriptor: Descriptor) -> float:
    """Write the Observations the plain way; return how long that took, in seconds."""
    from fhir.resources.R4B.observation import Observation as Model

    async with aiohttp.ClientSession(headers={"Content-Type": "application/fhir+json"}) as session:
        began = time.perf_counter()
        for _, window in windows(each, descriptor):
            fit = fit_of(window.sources)
            assert fit is not None
            for made in observations(window, fit, "Patient/p"):
                text = Model.model_validate(made.resource).model_dump_json()
                async with session.put(f"{base}/Observation/{made.resource['id']}", data=text) as answer:
                    await answer.read()
                    assert answer.status == 200
        return time.perf_counter() - began


class Ward:
    """A folder with the gateway's files, and frames of one device that somebody wears."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        device, raws = chained(FRAMES, minute())
        self.entries = entries(device.thumbprint, raws)
        jws.create_key(folder / "key.pem")
        with Assignments(folder / "assignments.db", lambda what, /, **details: None) as who:
            who.assign(device.thumbprint, "Patient/p", 0)
        body = parse(raws[0]).body
        assert body is not None
        self.descriptor = body

    async def deliver(self, base: str, size: int, bundle: int) -> list[float]:
        """Deliver all to an empty server, so many at a time; return how long each delivery took, in seconds."""
        files = {"key": self.folder / "key.pem", "assignments": self.folder / "assignments.db"}
        store = self.folder / f"{base.rsplit('/', 1)[1]}.db"
        options = {"kind": "fhir", "url": base, "store": store, "bundle": bundle, **files}
        sink = from_settings(Settings.model_validate(options), lambda digest: self.descriptor)
        await sink.open()
        took = []
        for start in range(0, len(self.entries), size):
            began = time.perf_counter()
            rejected = await sink.deliver(self.entries[start : start + size])
            took.append(time.perf_counter() - began)
            assert not rejected, rejected[0].why
        await sink.close()
        return took


def run(packages: Path | None = None) -> dict[str, Any]:
    """Return latencies in seconds, of them writing in milliseconds, and Observations a second; needs Node and npm."""
    with tempfile.TemporaryDirectory() as folder, fhirserver.running(packages or fhirserver.install()) as running:
        ward = Ward(Path(folder))
        asyncio.run(ward.deliver(f"{running}/first", FRAMES, 50))  # what is loaded once is loaded then
        took = asyncio.run(ward.deliver(f"{running}/live", 1, 50))
        closed = closings(ward.entries, ward.descriptor)
        count = len(found(f"{running}/live", "Observation"))
        result: dict[str, Any] = {"observations": count}
        for name, form in (("wave", WAVE), ("readings", READINGS)):
            waits = [wait + took[one.place] for one in closed if one.form == form for wait in one.waited]
            result[name] = {"median_s": statistics.median(waits), "max_s": max(waits)}
        writing = sorted(took[place] for place in {one.place for one in closed})
        result["writing_ms"] = {"median": 1000 * statistics.median(writing), "max": 1000 * writing[-1]}
        seconds: dict[str, list[float]] = {"bundles": [], "one_by_one": [], "plain": []}
        for number in range(ROUNDS):
            for name, bundle in (("bundles", 50), ("one_by_one", 1)):
                seconds[name].append(sum(asyncio.run(ward.deliver(f"{running}/{name}{number}", FRAMES, bundle))))
            plain = plainly(f"{running}/plain{number}", ward.entries, ward.descriptor)
            seconds["plain"].append(asyncio.run(plain))
        result |= {f"{name}_per_second": count / min(each) for name, each in seconds.items()}
        result["ratio"] = result["bundles_per_second"] / result["one_by_one_per_second"]
        result["plain_ratio"] = result["bundles_per_second"] / result["plain_per_second"]
    return result


def render(result: dict[str, Any]) -> Table:
    """Return the table."""
    table = Table("", "median", "longest", title="to a FHIR server, live, standard profile")
    for name, what in (("wave", "waveforms of 10 s"), ("readings", "readings of 60 s")):
        one = result[name]
        table.add_row(f"frame to acknowledged Observation, {what}", f"{one['median_s']:.1f} s", f"{one['max_s']:.1f} s")
    writing = result["writing_ms"]
    table.add_row("of it making and writing", f"{writing['median']:.0f} ms", f"{writing['max']:.0f} ms")
    table.add_section()
    table.add_row("Observations a second, in Bundles", f"{result['bundles_per_second']:.0f}", "")
    table.add_row("the same with a request for each", f"{result['one_by_one_per_second']:.0f}", "")
    table.add_row("ratio", f"{result['ratio']:.2f}", "")
    table.add_row("the plain way, no proof", f"{result['plain_per_second']:.0f}", "")
    table.add_row("ratio", f"{result['plain_ratio']:.2f}", "")
    return table
