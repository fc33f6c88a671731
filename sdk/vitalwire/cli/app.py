"""The command's table of contents: every command of the SDK, and those other packages bring by entry point."""

from __future__ import annotations

from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from vitalwire.errors import UsageError

from . import (
    audit,
    config,
    device,
    export,
    fhir,
    gateway,
    inspect,
    monitor,
    plot,
    ports,
    record,
    replay,
    update,
    verify,
)

GROUP = "vitalwire.commands"  # of entry points: name = "module:typer_app" or "module:function"

app = typer.Typer(
    name="vitalwire",
    help="Signed vital signs from the sensor chip to the record.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (ports, monitor, record, replay, verify, inspect, plot, export, update):
    name = command.__name__.rsplit(".", 1)[-1]
    app.command(name)(getattr(command, name))
app.add_typer(device.app, name="device")
app.add_typer(config.app, name="config")
app.add_typer(gateway.app, name="gateway")
app.add_typer(audit.app, name="audit")
app.add_typer(fhir.app, name="fhir")


def _missing(name: str, module: str | None) -> typer.Typer:
    """Return a command that only says what it lacks."""
    stand_in = typer.Typer(help=f'Needs `pip install "vitalwire[board]"`: {module} is not installed.')

    @stand_in.callback(invoke_without_command=True, context_settings={"ignore_unknown_options": True})
    def say() -> None:
        raise UsageError(f"{name} needs {module}", advice='pip install "vitalwire[board]"')

    return stand_in


for entry in entry_points(group=GROUP):
    try:
        found = entry.load()
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=entry.name)
        else:
            app.command(entry.name)(found)
    except ImportError as error:
        app.add_typer(_missing(entry.name, error.name), name=entry.name)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vitalwire {version('vitalwire')}")
        raise typer.Exit


@app.callback()
def callback(
    _: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Signed vital signs from the sensor chip to the record."""
