"""`vitalwire fhir assign`, `unassign` and `assignments`: who wears what. Every change is audited before it is made."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from vitalwire import paths
from vitalwire.assignments import Assignments
from vitalwire.audit import AuditLog, check, parse
from vitalwire.errors import TrustError, UsageError
from vitalwire.fhir import patient

from . import output
from .options import Json, RegistryFile, opened

AssignmentsFile: TypeAlias = Annotated[
    Path | None, typer.Option("--assignments", metavar="FILE", help="Who wears what, instead of your own file.")
]
Device: TypeAlias = Annotated[str, typer.Argument(metavar="DEVICE", help="Its name, or how its fingerprint begins.")]


def assigned(file: Path | None) -> Assignments:
    """Open the file of assignments that the option names, or the user's own."""
    return Assignments(file or paths.assignments_file(), AuditLog(paths.audit_file()).write)


def assign(
    device: Device,
    who: Annotated[str, typer.Argument(metavar="PATIENT", help="The id of a Patient on the FHIR server.")],
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="2026-11-22T08:00:00+01:00, for instance; else now.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Until when; else until further notice.")
    ] = None,
    registry: RegistryFile = None,
    assignments: AssignmentsFile = None,
) -> None:
    """Say who wears a device from when on: without that, nothing of it becomes FHIR."""
    subject = patient(who)
    start, stop = _moment(since), None if until is None else _moment(until)
    with opened(registry) as trusted, assigned(assignments) as store:
        known = trusted.find(device)
        made = store.assign(known.thumbprint, subject, start, stop)
    output.say(f"{known.name}: assigned from {_shown(made.from_us)}")


def unassign(
    device: Device,
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="From when on; else now.")] = None,
    registry: RegistryFile = None,
    assignments: AssignmentsFile = None,
) -> None:
    """End an assignment; one made by mistake, --at where it began."""
    with opened(registry) as trusted, assigned(assignments) as store:
        known = trusted.find(device)
        ended = store.end(known.thumbprint, _moment(at))
    output.say(f"{known.name}: assigned from {_shown(ended.from_us)} to {_shown(ended.to_us)}")


def list_assignments(
    audited: Annotated[
        bool, typer.Option("--check", help="Hold each against the audit log; exit code 4 where one is not as it says.")
    ] = False,
    registry: RegistryFile = None,
    assignments: AssignmentsFile = None,
    as_json: Json = False,
) -> None:
    """List who wore what, from when to when."""
    with opened(registry) as trusted, assigned(assignments) as store:
        rows = [(each, trusted.get(each.device)) for each in store]
        if audited:
            _check(store)
    if as_json:
        output.show_json(
            [
                {
                    "device": each.device.hex(),
                    "name": known.name if known else None,
                    "patient": each.patient,
                    "from": _shown(each.from_us),
                    "to": None if each.to_us is None else _shown(each.to_us),
                }
                for each, known in rows
            ]
        )
        return
    table = output.plain("", "device", "patient", "from", "to")
    for each, known in rows:
        name = known.name if known else each.device.hex()[:8]
        table.add_row(name, each.patient, _shown(each.from_us), _shown(each.to_us))
    output.show(table)


def _check(store: Assignments) -> None:
    log = AuditLog(paths.audit_file())
    lines = list(log.lines()) if log.path.exists() else []
    whole = lines[: check(lines).count]
    wrong, gone = store.unaudited((record.what, record.details) for record in map(parse, whole))
    if wrong or gone:
        numbers = ", ".join(str(each.number) for each in wrong)
        rest = f"; {gone} that it knows are not here" if gone else ""
        raise TrustError(f"not as the audit log says: assignments {numbers or '-'}{rest}")


def _moment(text: str | None) -> int:
    if text is None:
        return time.time_ns() // 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time", advice="one is 2026-11-22T08:00:00+01:00, with its zone") from None
    if moment.tzinfo is None:
        raise UsageError(f"{text!r} has no time zone", advice="add Z or an offset such as +01:00")
    return round(moment.timestamp() * 1e6)


def _shown(us: int | None) -> str:
    return "" if us is None else datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="seconds")
