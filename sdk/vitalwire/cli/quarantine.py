"""`vitalwire gateway quarantine`: frames that were kept but not believed; what an operator does to them is audited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from vitalwire.audit import AuditLog
from vitalwire.errors import UsageError
from vitalwire.spool import Choice, Quarantine, Suspect

from . import output
from .options import Json
from .spools import ConfigFile, Position, Save, at, loaded, quarantined

app = typer.Typer(help="Frames that are kept but not believed, and why.", no_args_is_help=True)

Device = Annotated[str | None, typer.Option("--device", metavar="DEVICE", help="Of this one only: name or thumbprint.")]
Why = Annotated[str | None, typer.Option("--why", metavar="REASON", help="Those kept for this reason only.")]
One = Annotated[int | None, typer.Option("--position", metavar="N", help="This frame only.", min=1)]


@app.command("list")
def list_(file: ConfigFile, device: Device = None, why: Why = None, as_json: Json = False) -> None:
    """List them: of whom, since when and why."""
    with quarantined(file) as quarantine:
        found = list(quarantine.find(Choice(device=device, why=why)))
    if as_json:
        output.show_json([_as_dict(each) for each in found])
        return
    table = output.plain("", "position", "device", "boot", "frame", "came", "why")
    for each in found:
        name = each.device or f"stranger {each.thumbprint.hex()[:8]}"
        reason = f"{each.why} (to be judged anew)" if each.again else each.why
        table.add_row(str(each.position), name, str(each.boot), str(each.seq), at(each.arrived_us), reason)
    output.show(table)


@app.command()
def show(file: ConfigFile, position: Position, save: Save = None, as_json: Json = False) -> None:
    """Show one of them."""
    with quarantined(file) as quarantine:
        found = next(quarantine.find(Choice(position=position)), None)
    if found is None:
        raise UsageError(f"nothing in quarantine at {position}", advice="`vitalwire gateway quarantine list` shows it")
    if save is not None:
        save.write_bytes(found.raw)
    if as_json:
        output.show_json(_as_dict(found))
        return
    output.show(output.facts(found.why, _as_dict(found)))


@app.command()
def release(file: ConfigFile, position: One = None, device: Device = None, why: Why = None) -> None:
    """Have frames judged anew, as if they had just come, by a gateway that runs or the next one that does.

    What is still not believed stays. Frames from the future are judged anew by themselves once they are none any more.
    """
    choice = Choice(position, device, why)
    with quarantined(file) as quarantine:
        count = _count(quarantine, choice)
        _noted(file, "quarantine-released", choice, quarantine.find(choice))
        quarantine.release(choice)
    output.say(f"{count} to be judged anew")


@app.command()
def discard(
    file: ConfigFile,
    position: One = None,
    device: Device = None,
    why: Why = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Give frames up for good: their devices may have erased them."""
    choice = Choice(position, device, why)
    with quarantined(file) as quarantine:
        count = _count(quarantine, choice)
        if not yes:
            typer.confirm(f"Give up {count} frames?", abort=True)
        _noted(file, "quarantine-discarded", choice, quarantine.find(choice))
        quarantine.discard(choice)
    output.say(f"{count} given up")


def _noted(file: Path, what: str, choice: Choice, found: Iterable[Suspect]) -> None:
    """Write into the audit log what is about to happen to frames."""
    devices = Counter(each.thumbprint.hex() for each in found)
    for device, count in devices.items():
        AuditLog(loaded(file).audit.file).write(what, device=device, frames=count, why=choice.why)


def _count(quarantine: Quarantine, choice: Choice) -> int:
    count = sum(1 for _ in quarantine.find(choice))
    if not count:
        raise UsageError("nothing of that kind is in quarantine", advice="`vitalwire gateway quarantine list` shows it")
    return count


def _as_dict(each: Suspect) -> dict[str, object]:
    return {
        "position": each.position,
        "why": each.why,
        "device": each.device,
        "thumbprint": each.thumbprint.hex(),
        "boot": each.boot,
        "seq": each.seq,
        "digest": each.digest.hex(),
        "arrived_us": each.arrived_us,
        "due_us": each.due_us,
        "again": each.again,
        "bytes": len(each.raw),
    }
