"""`tools/demo --fhir`: delivers the demo's frames to a real FHIR server twice, by the gateway's sink, and counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.request import urlopen

from rich.console import Console
from rich.table import Table

from vitalwire import jws
from vitalwire.assignments import Assignments
from vitalwire.charts import judge, source
from vitalwire.client import VerifiedFrame
from vitalwire.fhir import loads, read
from vitalwire.fhir.jsontext import Resource
from vitalwire.messages import Trust
from vitalwire.offline import Reader
from vitalwire.registry import Registry
from vitalwire.signals import Signals
from vitalwire.sinks.fhir import Settings, from_settings
from vitalwire.spool import Entry

from . import demo_fhir, fhirserver

WAIT = 0.5  # seconds of silence after which the last windows are written
PATIENCE = 60.0  # seconds until all must be there
BATCH = 16
TYPES = ("Device", "Observation", "Provenance")


def show(
    packages: Path,
    frames: Sequence[VerifiedFrame],
    capture: Path,
    registry: Registry,
    key: Path,
    console: Console,
    within: float,
) -> bool:
    """Return whether a server, whose packages are in a folder, has the demo's Observations once, all of them proven."""
    entries = [_entry(frame, place, within) for place, frame in enumerate(frames, 1)]
    expected = {each["id"] for each in read(demo_fhir.BUNDLE) if each["resourceType"] == "Observation"}
    with fhirserver.running(packages) as running:
        base = f"{running}/R4"
        counts = [asyncio.run(_deliver(base, entries, frames, key, number, expected)) for number in (1, 2)]
        there = [resource for kind in TYPES for resource in found(base, kind)]
    judged = judge(Reader(capture, registry), there, jws.load_key(key).public_key(), within=within)
    again = sum(each["meta"]["versionId"] != counts[0][each["id"]] for each in there if each["id"] in counts[0])
    table = Table("", "", title="the same frames at a FHIR server, by the gateway's sink", show_header=False)
    table.add_row("delivered", f"{len(counts[0])} Observations")
    table.add_row("delivered again", f"{len(counts[1])} Observations, {again} of them written anew")
    table.add_row("proven", f"{judged.proven} of the {len(counts[1])} that the server gives back")
    for finding in judged.findings[:5]:
        table.add_row(f"[red]{finding.wrong}[/red]", f"{finding.reference}: {finding.detail}")
    console.print(table)
    return judged.ok and not again and counts[0].keys() == counts[1].keys() == expected


def found(base: str, kind: str) -> list[Resource]:
    """Return all resources of a type that a server has."""
    with urlopen(f"{base}/{kind}?_count=1000") as answer:
        return [each["resource"] for each in loads(answer.read()).get("entry", [])]


async def _deliver(
    base: str, entries: Sequence[Entry], frames: Sequence[VerifiedFrame], key: Path, number: int, expected: set[str]
) -> dict[str, str]:
    """Deliver everything by a sink that knows nothing of another; return the server's Observations and versions."""
    assignments, store = key.with_name("assignments.db"), key.with_name(f"fhir-{number}.db")
    with Assignments(assignments, lambda what, /, **details: None) as who:
        if not list(who):
            who.assign(entries[0].thumbprint, demo_fhir.PATIENT, 0)
    options = {"url": base, "key": key, "assignments": assignments, "store": store, "wait": WAIT}
    descriptors = {frame.descriptor.digest: frame.descriptor for frame in frames}
    sink = from_settings(Settings.model_validate({"kind": "fhir", **options}), descriptors.get)
    await sink.open()
    for start in range(0, len(entries), BATCH):
        await sink.deliver(entries[start : start + BATCH])
    until = time.monotonic() + PATIENCE
    await asyncio.sleep(4 * WAIT)  # the last windows, which wait for more
    while not expected <= {each["id"] for each in found(base, "Observation")} and time.monotonic() < until:
        await asyncio.sleep(WAIT)
    await sink.close()
    return {each["id"]: each["meta"]["versionId"] for each in found(base, "Observation")}


def _entry(frame: VerifiedFrame, place: int, within: float) -> Entry:
    told, inner = source(frame, Signals(), within), frame.frame
    head = place, "virtual", frame.device, inner.kind, inner.boot, inner.seq, inner.digest, frame.raw
    return Entry(*head, told.arrived_us, told.utc_us, told.accuracy_us, Trust.SIGNED)
