"""`vitalwire fhir`: verified frames as FHIR resources, and resources proven back to their frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from vitalwire import jws
from vitalwire.charts import Charted, chart, judge
from vitalwire.charts import events as readings_of
from vitalwire.errors import UsageError
from vitalwire.fhir import Gateway, Judgement, Plan, dumps, patient, read, write
from vitalwire.offline import Reader

from . import output
from .assignments import AssignmentsFile, assign, assigned, list_assignments, unassign
from .options import Capture, DeviceName, Fingerprints, Json, RegistryFile, opened
from .templates import convert, explain, lint

app = typer.Typer(help="Verified frames as FHIR R4, and FHIR proven back to the frames.", no_args_is_help=True)

app.command("assign")(assign)
app.command("unassign")(unassign)
app.command("assignments")(list_assignments)
app.command("convert")(convert)
app.command("lint")(lint)
app.command("explain")(explain)

Within: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--within", metavar="S", min=0,
        help="Where only arrivals tell the time: take it that frames arrived at most S seconds after they were made.",
    ),
]  # fmt: skip

INCOMPLETE, NOT_TO_BE_BELIEVED = 1, 4  # exit codes, as of `vitalwire verify`


@app.command()
def export(
    capture: Capture,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="A transaction Bundle; of that name, .ndjson: a line each."),
    ],
    key: Annotated[
        Path, typer.Option("--key", metavar="PEM", help="The gateway's private key (`vitalwire audit key` makes one).")
    ],
    who: Annotated[
        str | None,
        typer.Option(
            "--patient", metavar="ID", help="Who wore the device all the time; without it, what `fhir assign` was told."
        ),
    ] = None,
    assignments: AssignmentsFile = None,
    wave: Annotated[int, typer.Option("--wave", metavar="S", help="Seconds of waveform in one Observation.")] = 10,
    readings: Annotated[int, typer.Option("--readings", metavar="S", help="Seconds that a reading is made of.")] = 60,
    phd: Annotated[
        bool,
        typer.Option("--phd", help="Waveforms after HL7's Personal Health Device guide: split, no U, L, E."),
    ] = False,
    within: Within = None,
    device: DeviceName = None,
    registry: RegistryFile = None,
    fingerprint: Fingerprints = None,
    as_json: Json = False,
) -> None:
    """Write what a capture says as FHIR: waveforms, vital signs, and for each window a signed proof of its frames."""
    if out.exists():
        raise UsageError(f"{out} is there already")
    subject = None if who is None else patient(who)
    gateway, charted = Gateway(jws.load_key(key)), Charted()
    with (
        opened(registry, fingerprint) as trusted,
        assigned(assignments) as store,
        output.progress("charting", quiet=as_json) as step,
    ):
        reader = Reader(capture, trusted)
        chosen = reader.device(device).thumbprint
        plan = Plan(wave, readings, phd)
        made = chart(
            reader, gateway, (lambda *_: subject) if subject else store.wearer, plan, device=chosen, charted=charted,
            watch=lambda done: step(done, reader.total), within=within,
        )  # fmt: skip
        count = write(out, made)
    if as_json:
        output.show_json(
            {
                "file": str(out),
                "resources": count,
                "observations": charted.observations,
                "windows": charted.windows,
                "held": dict(charted.held),
                "undecodable_frames": charted.spoiled,
            }
        )
        return
    output.say(f"{out}: {charted.observations} Observations of {charted.windows} windows, {count} resources")
    for why, number in charted.held.items():
        output.say(f"held, {why}: {number} windows")


@app.command()
def verify(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE", help="What `fhir export` wrote, or a server gave back: a file, or a folder of pages."
        ),
    ],
    capture: Annotated[Path, typer.Argument(metavar="CAPTURE", help="The signed frames.")],
    key: Annotated[
        Path, typer.Option("--key", metavar="PEM", help="The gateway's public key, from who runs the gateway.")
    ],
    within: Within = None,
    registry: RegistryFile = None,
    fingerprint: Fingerprints = None,
    as_json: Json = False,
) -> None:
    """Prove FHIR resources: make each Observation anew from the signed frames, and say which one differs and where.

    Exit code 0: every Observation is proven, and every window of the capture is there. 1: those that are there are
    proven, but windows of the capture are not there, or nothing is. 4: some are not to be believed.
    """
    with opened(registry, fingerprint) as trusted, output.progress("proving", quiet=as_json) as step:
        reader = Reader(capture, trusted)
        if not reader.devices:
            reader.device()  # says why
        found = judge(
            reader, read(bundle), jws.load_public_key(key), lambda done: step(done, reader.total), within
        )  # fmt: skip
    code = NOT_TO_BE_BELIEVED if not found.ok else INCOMPLETE if found.absent or not found.proven else 0
    _tell(found, code, as_json=as_json)
    raise typer.Exit(code)


@app.command()
def events(
    capture: Capture,
    readings: Annotated[int, typer.Option("--readings", metavar="S", help="Seconds that a reading is made of.")] = 60,
    within: Within = None,
    device: DeviceName = None,
    registry: RegistryFile = None,
    fingerprint: Fingerprints = None,
) -> None:
    """Print a capture's readings as events, one JSON a line: what `fhir convert` runs templates on."""
    plan = Plan(readings=readings)
    with opened(registry, fingerprint) as trusted:
        reader = Reader(capture, trusted)
        for event in readings_of(reader, plan.readings, device=reader.device(device).thumbprint, within=within):
            print(dumps(event))


def _tell(found: Judgement, code: int, *, as_json: bool) -> None:
    if as_json:
        findings = [{"resource": f.reference, "wrong": f.wrong.value, "detail": f.detail} for f in found.findings]
        output.show_json(
            {
                "exit_code": code,
                "proven": found.proven,
                "windows": found.windows,
                "absent_windows": found.absent,
                "findings": findings,
            }
        )
        return
    if found.findings:
        table = output.plain("", "resource", "wrong", "what")
        for finding in found.findings:
            table.add_row(finding.reference, finding.wrong.value, finding.detail)
        output.show(table)
    output.say(f"{found.proven} Observations of {found.windows} windows are what the signed frames say")
    if found.findings:
        output.say(f"{len(found.findings)} findings: not to be believed")
    if found.absent:
        output.say(f"{found.absent} windows of the capture are not here")
