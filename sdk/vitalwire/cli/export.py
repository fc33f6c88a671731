"""`vitalwire export`: a recording in the formats of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vitalwire.errors import UsageError
from vitalwire.export import FORMATS
from vitalwire.export import export as write
from vitalwire.offline import Reader
from vitalwire.survey import files
from vitalwire.verdict import missing, refused

from . import output
from .options import (
    Capture,
    DeviceName,
    Fingerprints,
    Json,
    RegistryFile,
    StateFile,
    Workers,
    anchors_for,
    crew_for,
    opened,
)

LONG = 1 << 22  # bytes of a capture from which on workers are worth starting
SUFFIXES = {".csv": "csv", ".parquet": "parquet", ".hea": "wfdb", ".dat": "wfdb", ".edf": "edf", ".bdf": "edf"}


def export(
    capture: Capture,
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="What the files' names begin with; in it, if it is a folder.")
    ],
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="csv, parquet, wfdb or edf; without it, what TARGET ends in."),
    ] = None,
    device: DeviceName = None,
    registry: RegistryFile = None,
    fingerprint: Fingerprints = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    state: StateFile = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Write one device's verified samples as CSV, Parquet, WFDB or EDF+, each sample's count unchanged.

    Every stream becomes a file of its own, because every chip has an oscillator of its own: TARGET-ecg_lead_i.csv,
    TARGET-ppg.csv and so on, or for WFDB and EDF+ one record for each stretch without a gap: TARGET-ppg-0001.hea. EDF+
    holds 16 bits; where counts need more, the file is BDF+ (24 bits). Marks are a column or annotations; readings and
    events are files beside. TARGET.FORMAT.json says what is where, what is missing, and what was refused.
    """
    form = form or SUFFIXES.get(target.suffix.lower())
    if form not in FORMATS:
        raise UsageError(
            "which format?" if form is None else f"no format {form!r}", advice=f"--format {', '.join(FORMATS)}"
        )
    with opened(registry, fingerprint) as trusted, crew_for(files(capture), workers, LONG) as crew:
        with output.progress("verifying", quiet=as_json) as step:
            anchors = anchors_for(files(capture), trusted, state)
            reader = Reader(capture, trusted, anchors=anchors, crew=crew, watch=step)
        with output.progress("exporting", reader.total, quiet=as_json) as step:
            done = write(reader, target, form, device=device, overwrite=force, crew=crew, progress=step)
    if as_json:
        output.show_json({"files": [str(file) for file in done.files], "samples": done.samples} | done.manifest)
        return
    table = output.plain("", "file", "samples", "rate", "from")
    for each in done.stretches:
        table.add_row(each.file, str(each.samples), f"{each.rate:.3f} Hz", f"frame {each.first_seq}, after {each.why}")
    output.show(table)
    output.say(f"{done.samples} samples in {len(done.files)} files")
    if missing(done.verdict) or refused(done.verdict) or reader.damage:
        output.say(f"not all of it is there: {missing(done.verdict)} frames missing; `vitalwire verify` says more")
