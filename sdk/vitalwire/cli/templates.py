"""`vitalwire fhir convert`, `lint` and `explain`: MedTech's templates on events of your own."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from vitalwire.errors import InputError, UsageError
from vitalwire.fhir import write
from vitalwire.templates import (
    Create,
    Explained,
    Level,
    Resolution,
    Resolver,
    TemplateError,
    content_templates,
    fhir_templates,
    is_fhir,
    lookup,
    read_events,
    read_template,
)
from vitalwire.templates import convert as converted
from vitalwire.templates import explain as explained
from vitalwire.templates import lint as linted

from . import output
from .options import Json

SHOWN = 20  # lost events that are named; --json names all

Events = Annotated[Path, typer.Argument(metavar="EVENTS", help="One JSON event a line, in its envelope or without.")]
Templates = Annotated[
    list[Path], typer.Argument(metavar="TEMPLATE...", help="Files of device-content or FHIR-mapping templates.")
]


def convert(
    events: Events,
    device: Annotated[
        Path, typer.Option("--device-template", metavar="FILE", help="Device-content templates, as MedTech has them.")
    ],
    fhir: Annotated[
        Path, typer.Option("--fhir-template", metavar="FILE", help="FHIR-mapping templates, as MedTech has them.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="A transaction Bundle; of that name, .ndjson: a line each.")
    ],
    identity: Annotated[
        Resolution, typer.Option("--identity", help="create: of the identifiers in events; lookup: those known only.")
    ] = Resolution.LOOKUP,
    identities: Annotated[
        Path | None,
        typer.Option(
            "--identities", metavar="FILE", help='For lookup: {"IDENTIFIER": {"patient": "ID", "device": "Device/ID"}}.'
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn events into FHIR Observations by the templates that MedTech's users have.

    Exit code 0: every event became FHIR. 1: some did not; `vitalwire fhir explain` says why of each.
    """
    resolver: Resolver
    if identity is Resolution.CREATE:
        resolver = Create()
    elif identities is None:
        raise UsageError("lookup needs --identities", advice="or --identity create")
    else:
        resolver = lookup(read_template(identities))
    content, mapping = content_templates(read_template(device)), fhir_templates(read_template(fhir))
    if out.exists():
        raise UsageError(f"{out} is there already")
    resources, done = converted(read_events(events), content, mapping, resolver)
    write(out, resources)
    if as_json:
        lost = [{"event": each.event, "type": each.type_name, "why": each.why} for each in done.lost]
        output.show_json(
            {"file": str(out), "resources": len(resources), "measurements": done.measurements, "lost": lost}
        )
    else:
        for each in islice(done.lost, SHOWN):
            output.say(f"event {each.event}{f', {each.type_name}' if each.type_name else ''}: {each.why}")
        if len(done.lost) > SHOWN:
            output.say(f"and {len(done.lost) - SHOWN} more")
        output.say(f"{out}: {len(resources)} resources of {done.measurements} measurements, {len(done.lost)} lost")
    raise typer.Exit(1 if done.lost else 0)


def lint(templates: Templates, as_json: Json = False) -> None:
    """Say what is wrong with templates: form, expressions, wrong codes and units, links between device and FHIR files.

    Exit code 0: nothing that cannot work or means something else. 3: errors.
    """
    remarks = linted({str(path): read_template(path) for path in templates})
    if as_json:
        output.show_json(
            [{"level": each.level.value, "file": each.file, "where": each.where, "text": each.text} for each in remarks]
        )
    else:
        for each in remarks:
            print(f"{each.file}: {f'{each.where}: ' if each.where else ''}{each.level.value}: {each.text}")
        output.say(f"{sum(each.level is Level.ERROR for each in remarks)} errors in {len(templates)} files")
    raise typer.Exit(InputError.exit_code if any(each.level is Level.ERROR for each in remarks) else 0)


def explain(
    templates: Templates,
    events: Annotated[Path, typer.Option("--events", metavar="EVENTS", help="One JSON event a line.")],
    as_json: Json = False,
) -> None:
    """Say for every event and template why it matched or not: which expression, what it found, what is missing.

    Exit code 0: every event became something. 1: some did not.
    """
    read = [read_template(path) for path in templates]
    content = [template for value in read if not is_fhir(value) for template in content_templates(value)]
    fhir = [value for value in read if is_fhir(value)]
    if not content:
        raise TemplateError("none of the files holds device-content templates")
    mapping = {name: template for value in fhir for name, template in fhir_templates(value).items()} if fhir else None
    idle = False
    documents = []
    for number, event in read_events(events):
        found = list(explained(number, event, tuple(content), mapping))
        idle |= not any(each.became for each in found)
        if as_json:
            documents += [_document(each) for each in found]
        else:
            _show(number, found)
    if as_json:
        output.show_json(documents)
    raise typer.Exit(1 if idle else 0)


def _show(number: int, found: list[Explained]) -> None:
    print(f"event {number}")
    for each in found:
        head = f"  template {each.template}, {each.type_name}: " if each.template else "  "
        print(head + (each.became or f"nothing: {each.why}"))
        for step in each.steps[: len(each.steps) if len(each.steps) > 1 else 0]:
            print(f"    {step.what} {step.expression}: {step.problem or step.found}")


def _document(each: Explained) -> dict[str, object]:
    steps = [
        {"what": step.what, "expression": step.expression, "found": step.found, "problem": step.problem}
        for step in each.steps
    ]
    return {
        "event": each.event,
        "template": each.template,
        "type": each.type_name,
        "became": each.became,
        "why": each.why,
        "steps": steps,
    }
