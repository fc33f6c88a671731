"""`vitalwire board deploy` and `doctor`: a running board's firmware, and what is wrong with it. Thin wrappers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from vitalwire.cli import output
from vitalwire.cli.strangers import descriptors

from .catalog import find
from .needing import needing

Port = Annotated[str, typer.Argument(metavar="PORT", help="/dev/ttyUSB0, COM3; `vitalwire ports` lists them.")]
MARKS = {True: "ok", False: "WRONG", None: "-"}


def deploy(
    port: Port,
    board: Annotated[str, typer.Option(metavar="BOARD", help="Which board it is, where no firmware says it.")] = "",
) -> None:
    """Bring a board's firmware up to date over its serial port; its settings, key and journal stay."""
    with needing("board"):
        from ..deploy import deploy as put
        from ..prompt import Prompt
    with Prompt(port) as prompt, output.progress("copying") as step:
        done = put(prompt, find, board, step)
    output.say(f"{done.title} is up to date and starts again")


def doctor(
    port: Port,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Test a board's clock, key, journal, sensors and link, and say what is wrong; exit code 1 if anything is."""
    with needing("board"):
        from ..doctor import examine
    findings = list(examine(port, find, lambda url: next(iter(descriptors(url))).thumbprint.hex()))
    if as_json:
        output.show_json([asdict(finding) for finding in findings])
    else:
        table = output.plain("", "check", "", "finding")
        for finding in findings:
            table.add_row(finding.check, MARKS[finding.ok], escape(finding.words))
        output.show(table)
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(1)
