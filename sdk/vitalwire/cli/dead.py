"""`vitalwire gateway dead`: what sinks would not take."""

from __future__ import annotations

from typing import Annotated

import typer

from vitalwire.errors import UsageError
from vitalwire.spool import DeadLetter

from . import output
from .options import Json
from .spools import ConfigFile, Position, Save, at, stored

app = typer.Typer(help="What a sink will never take, and why.", no_args_is_help=True)

SinkName = Annotated[str | None, typer.Option("--sink", metavar="NAME", help="Of this sink only.")]


@app.command("list")
def list_(file: ConfigFile, sink: SinkName = None, as_json: Json = False) -> None:
    """List dead letters: which entry, of whom, for which sink, since when and why."""
    with stored(file) as store:
        letters = list(store.dead(sink))
    if as_json:
        output.show_json([_as_dict(letter) for letter in letters])
        return
    table = output.plain("", "position", "sink", "device", "frame", "since", "why")
    for letter in letters:
        entry = letter.entry
        why = f"{letter.why} (to be tried again)" if letter.again else letter.why
        table.add_row(str(entry.position), letter.sink, entry.device, str(entry.seq), at(letter.died_us), why)
    output.show(table)


@app.command()
def show(file: ConfigFile, position: Position, save: Save = None, as_json: Json = False) -> None:
    """Show one dead letter, once for each sink that has it."""
    with stored(file) as store:
        letters = [letter for letter in store.dead() if letter.entry.position == position]
    if not letters:
        raise UsageError(f"no dead letter at {position}", advice="`vitalwire gateway dead list` shows them")
    if save is not None:
        save.write_bytes(letters[0].entry.raw)
    if as_json:
        output.show_json([_as_dict(letter) for letter in letters])
        return
    for letter in letters:
        output.show(output.facts(f"{letter.sink}: {letter.why}", _as_dict(letter)))


@app.command()
def redrive(
    file: ConfigFile,
    sink: SinkName = None,
    position: Annotated[int | None, typer.Option("--position", metavar="N", help="This entry only.")] = None,
) -> None:
    """Have dead letters tried again, by a gateway that runs or the next one that does."""
    with stored(file) as store, store.transaction():
        count = store.redrive(sink, position)
    output.say(f"{count} to be tried again")


def _as_dict(letter: DeadLetter) -> dict[str, object]:
    entry = letter.entry
    return {
        "position": entry.position,
        "sink": letter.sink,
        "why": letter.why,
        "since_us": letter.died_us,
        "again": letter.again,
        "device": entry.device,
        "thumbprint": entry.thumbprint.hex(),
        "boot": entry.boot,
        "seq": entry.seq,
        "digest": entry.digest.hex(),
        "arrived_us": entry.arrived_us,
        "bytes": len(entry.raw),
    }
