"""`vitalwire gateway`: runs one, checks its configuration, reports how it did."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Annotated

import typer

from vitalwire.errors import UsageError

from . import output
from .dead import app as dead
from .jobs import app as jobs
from .options import Json
from .quarantine import app as quarantine
from .spools import ConfigFile, loaded, stored

app = typer.Typer(help="From many boards to any cloud, losing nothing.", no_args_is_help=True)
app.add_typer(dead, name="dead")
app.add_typer(jobs, name="jobs")
app.add_typer(quarantine, name="quarantine")

SWITCH = 0.001  # seconds after which another thread has its turn: verifying must not keep the network waiting


@app.command()
def run(file: ConfigFile) -> None:
    """Run until SIGTERM or Ctrl-C; then take no more, and give the sinks the time that `gateway.stop` says."""
    from vitalwire.gateway import log_as_lines, operate

    log_as_lines()
    config = loaded(file)

    async def work() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await operate(config, stop)

    sys.setswitchinterval(SWITCH)
    asyncio.run(work())


@app.command()
def check(file: ConfigFile) -> None:
    """Say whether a configuration is one that `run` would begin with, its secrets and certificates included."""
    config = loaded(file)
    from vitalwire.gateway import prove

    prove(config)
    table = output.plain(str(file))
    for what, found in (("source", config.sources), ("sink", config.sinks)):
        for name, settings in found.items():
            table.add_row(f"{what} {name}", str(settings.kind))
    output.show(table)


@app.command()
def slo(file: ConfigFile, as_json: Json = False) -> None:
    """Report whether the gateway keeps its promises, and what is left of each error budget; 1: one is broken."""
    config = loaded(file)
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
    if sink in loaded(file).sinks:
        raise UsageError(f"{sink} is configured", advice=f"take it out of {file} first")
    with stored(file) as store:
        if sink not in store.cursors():
            raise UsageError(f"nothing waits for a sink {sink}", advice="those known: " + ", ".join(store.cursors()))
        if not yes:
            typer.confirm(f"Give up what waits for {sink}?", abort=True)
        with store.transaction():
            store.forget(sink)
