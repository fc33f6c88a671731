"""`vitalwire update`: another firmware for a device, over its link."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vitalwire import jws
from vitalwire.client import Client
from vitalwire.errors import CommandError, UsageError
from vitalwire.update import apply, confirmed, read_package, send, waits

from . import output
from .options import Json, RegistryFile, opened


def update(
    url: Annotated[str, typer.Argument(metavar="URL", help="serial:///dev/ttyUSB0, serial://COM3 or tcp://host:port.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The update, from `vitalwire board release`.")],
    key: Annotated[Path, typer.Option("--key", metavar="PEM", help="The maker's public key: what it signed is sent.")],
    later: Annotated[
        bool, typer.Option("--later", help="Leave the start to the device's next one, whatever its settings say.")
    ] = False,
    registry: RegistryFile = None,
    as_json: Json = False,
) -> None:
    """Send an update to a device and start it there, on trial: it stays once its first frames are acknowledged.

    Its setting update_hour may put the start off; the same command then says that one waits. Interrupted, it goes on
    where it was. Frames that arrive meanwhile stay on the device.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    package = read_package(data, jws.load_public_key(key))
    manifest = package.manifest
    with opened(registry) as trusted, Client(url, registry=trusted, state=":memory:", auto_acknowledge=False) as client:
        client.open()
        before = confirmed(client)
        if waits(client):
            raise CommandError(
                "an update waits there for its start",
                advice="it starts at the device's next start, or at the hour of its setting update_hour",
            )
        with output.progress(f"sending {manifest.firmware}", len(data), quiet=as_json) as step:
            send(client, package, step)
        waiting = apply(client, now=not later)
    if as_json:
        output.show_json(
            {"firmware": manifest.firmware, "counter": manifest.counter, "before": before, "started": not waiting}
        )
        return
    output.say(
        f"{manifest.firmware} (counter {manifest.counter}, before {before}) "
        + ("starts; read the device to confirm it" if not waiting else "waits for the device's next start")
        + (", or its update_hour" if waiting and not later else "")
    )
