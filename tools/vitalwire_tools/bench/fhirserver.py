"""Measures the way to a FHIR server: how long after a frame its Observations are acknowledged, and how many a second.

Frames of the standard profile come one by one, as from a live board; the clock of the signal says how long each waits
for its window to close, this computer's how long making and writing takes then. The server is a real one, under Node.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from vitalwire import jws
from vitalwire.assignments import Assignments
from vitalwire.fhir import Plan, Source
from vitalwire.fhir.mapping import gatherer_for
from vitalwire.fhir.observations import READINGS, WAVE
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


def closings(each: Sequence[Entry], descriptor: Descriptor) -> list[Closed]:
    """Return the windows that frames close, in order."""
    closed: list[Closed] = []
    for form, length in Plan().forms:
        gatherer = gatherer_for(form, length)
        for place, entry in enumerate(each):
            frame = parse(entry.raw)
            signals = Signals() if frame.body else decode(frame, descriptor)
            source = Source(entry.thumbprint, frame, descriptor, signals, entry.arrived_us, entry.time_us, 1000)
            for window in gatherer.add(source):
                if isinstance(window, Window):
                    waited = [(frame.ticks - one.frame.ticks) / 1e6 for one in window.sources]
                    closed.append(Closed(form, place, waited))
    return closed


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
        for name, bundle in (("bundles", 50), ("one_by_one", 1)):
            seconds = [
                sum(asyncio.run(ward.deliver(f"{running}/{name}{number}", FRAMES, bundle))) for number in range(ROUNDS)
            ]
            result[f"{name}_per_second"] = count / min(seconds)
        result["ratio"] = result["bundles_per_second"] / result["one_by_one_per_second"]
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
    return table
