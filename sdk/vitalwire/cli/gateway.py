"""`vitalwire gateway`: runs one, and looks after what its sinks would not take."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vitalwire.errors import UsageError
from vitalwire.spool import DeadLetter, Store

from . import output
from .options import Json

if TYPE_CHECKING:
    from vitalwire.gateway import Config

app = typer.Typer(help="From many boards to any cloud, losing nothing.", no_args_is_help=True)
dead = typer.Typer(help="What a sink will never take, and why.", no_args_is_help=True)
app.add_typer(dead, name="dead")

ConfigFile = Annotated[Path, typer.Argument(metavar="FILE", help="The configuration, for instance gateway.toml.")]
SinkName = Annotated[str | None, typer.Option("--sink", metavar="NAME", help="Of this sink only.")]
Position = Annotated[int, typer.Argument(metavar="POSITION", help="As `dead list` shows it.", min=1)]
SWITCH = 0.001  # seconds after which another thread has its turn: verifying must not keep the network waiting


def _loaded(file: Path) -> Config:
    try:
        from vitalwire.gateway import load
    except ImportError as error:
        raise UsageError(f"this needs {error.name}", advice='pip install "vitalwire[gateway]"') from None
    return load(file)


@contextmanager
def _stored(file: Path) -> Iterator[Store]:
    store = Store(_loaded(file).spool.path, must_exist=True)
    try:
        yield store
    finally:
        store.close()


@app.command()
def run(file: ConfigFile) -> None:
    """Run until SIGTERM or Ctrl-C; then take no more, and give the sinks the time that `gateway.stop` says."""
    from vitalwire.gateway import log_as_lines, operate

    log_as_lines()
    config = _loaded(file)

    async def work() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await operate(config, stop)

    sys.setswitchinterval(SWITCH)
    asyncio.run(work())


@app.command()
def check(file: ConfigFile) -> None:
    """Say whether a configuration is one that `run` would begin with."""
    config = _loaded(file)
    table = output.plain(str(file))
    for what, found in (("source", config.sources), ("sink", config.sinks)):
        for name, settings in found.items():
            table.add_row(f"{what} {name}", str(settings.kind))
    output.show(table)


@app.command()
def slo(file: ConfigFile, as_json: Json = False) -> None:
    """Report whether the gateway keeps its promises, and what is left of each error budget; 1: one is broken."""
    config = _loaded(file)
    from vitalwire.gateway import objectives_file, report

    reports = report(config.objectives, objectives_file(config))
    if as_json:
        output.show_json(
            [
                {
                    "promise": r.promise,
                    "target": r.target,
                    "kept": r.kept,
                    "spent": r.spent,
                    "bad": r.bad,
                    "of": r.total,
                }
                for r in reports
            ]
        )
    else:
        table = output.plain(
            f"the last {config.objectives.days} days", "promise", "target", "kept", "bad", "of", "budget spent"
        )
        for r in reports:
            row = (f"{r.target:.2%}", f"{r.kept:.4%}", f"{r.bad:,}", f"{r.total:,}", f"{r.spent:.0%}")
            table.add_row(r.promise, *row)
        output.show(table)
    if any(each.spent > 1 for each in reports):
        raise typer.Exit(1)


@app.command()
def forget(
    file: ConfigFile,
    sink: Annotated[str, typer.Argument(metavar="SINK", help="A sink that is not configured any more.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Give up what waits in the spool for a sink that is no more, its dead letters too."""
    if sink in _loaded(file).sinks:
        raise UsageError(f"{sink} is configured", advice=f"take it out of {file} first")
    with _stored(file) as store:
        if sink not in store.cursors():
            raise UsageError(f"nothing waits for a sink {sink}", advice="those known: " + ", ".join(store.cursors()))
        if not yes:
            typer.confirm(f"Give up what waits for {sink}?", abort=True)
        with store.transaction():
            store.forget(sink)


@dead.command("list")
def list_(file: ConfigFile, sink: SinkName = None, as_json: Json = False) -> None:
    """List dead letters: which entry, of whom, for which sink, since when and why."""
    with _stored(file) as store:
        letters = list(store.dead(sink))
    if as_json:
        output.show_json([_as_dict(letter) for letter in letters])
        return
    table = output.plain("", "position", "sink", "device", "frame", "since", "why")
    for letter in letters:
        entry = letter.entry
        why = f"{letter.why} (to be tried again)" if letter.again else letter.why
        since = datetime.fromtimestamp(letter.died_us / 1e6, UTC).isoformat(" ", "seconds")
        table.add_row(str(entry.position), letter.sink, entry.device, str(entry.seq), since, why)
    output.show(table)


@dead.command()
def show(
    file: ConfigFile,
    position: Position,
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Write the frame itself there.")] = None,
    as_json: Json = False,
) -> None:
    """Show one dead letter, once for each sink that has it."""
    with _stored(file) as store:
        letters = [letter for letter in store.dead() if letter.entry.position == position]
    if not letters:
        raise UsageError(f"no dead letter at {position}", advice="`vitalwire gateway dead list` shows them")
    if save is not None:
        save.write_bytes(letters[0].entry.raw)
    if as_json:
        output.show_json([_as_dict(letter) for letter in letters])
        return
    for letter in letters:
        table = output.plain(f"{letter.sink}: {letter.why}")
        for name, value in _as_dict(letter).items():
            table.add_row(name, str(value))
        output.show(table)


@dead.command()
def redrive(
    file: ConfigFile,
    sink: SinkName = None,
    position: Annotated[int | None, typer.Option("--position", metavar="N", help="This entry only.")] = None,
) -> None:
    """Have dead letters tried again, by a gateway that runs or the next one that does."""
    with _stored(file) as store, store.transaction():
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
