"""`vitalwire board image` and `flash`: from a downloaded MicroPython to a board that starts. Thin wrappers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from vitalwire import crypto, paths, wholefile
from vitalwire.audit import audited
from vitalwire.cli import output
from vitalwire.errors import UsageError
from vitalwire.registry import Registry

from .. import signers
from .catalog import find
from .fleet import Maker, Operator
from .needing import needing


def image(
    stock: Annotated[Path, typer.Argument(metavar="STOCK.bin", help="MicroPython as downloaded from micropython.org.")],
    board: Annotated[str, typer.Option(metavar="BOARD", help="Of `board list`, or a folder with a board.toml.")],
    target: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The image to write.")],
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Settings of the device, as firmware/config.py names them.")
    ] = None,
    inject: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="Put a key made here into the image, and enrol the device of this name."),
    ] = None,
    registry: Annotated[
        Path | None, typer.Option("--registry", metavar="FILE", help="The registry for --inject, instead of your own.")
    ] = None,
    maker: Maker = None,
    operator: Operator = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Make one flash image: MicroPython, the firmware, the board's file; the same input gives the same bytes.

    Without --inject the device makes its key itself (`board provision`), which then never leaves it.
    """
    chosen = find(board)
    given, keys = settings(config), signers.read(maker, operator)
    with needing("board"):
        from ..image import build, read_stock
        from ..provision import new_identity
    taken = read_stock(stock.read_bytes())
    identity = new_identity(inject) if inject else None
    made = build(taken, chosen, given, identity, keys)
    if identity:
        with Registry(registry or paths.registry_file()) as trusted:
            thumbprint = crypto.thumbprint(identity.public_key)
            with audited(paths.audit_file(), "device-enrol", identity.device, thumbprint):
                trusted.enrol(thumbprint, identity.device, secret=identity.secret)
    wholefile.write(target, made.data, private=True)
    if as_json:
        parts = [{"offset": at, "part": name, "bytes": size} for at, name, size in made.parts]
        output.show_json({"file": str(target), "chip": chosen.chip, "bytes": len(made.data), "parts": parts})
        return
    table = output.plain(f"{target}: {chosen.title}, {len(made.data)} bytes, for offset 0", "offset", "part", "bytes")
    for at, name, size in made.parts:
        table.add_row(f"0x{at:06X}", name, str(size))
    output.show(table)
    if identity:
        output.say(f"{target} holds the private key of {identity.device}: flash it, then delete it")


def settings(file: Path | None) -> dict[str, Any]:
    """Return what a file of settings says, nothing for none; raises UsageError for what is no JSON object."""
    if file is None:
        return {}
    try:
        given = json.loads(file.read_text())
    except ValueError as error:
        raise UsageError(f"{file} is no JSON: {error}") from None
    if not isinstance(given, dict):
        raise UsageError(f"{file} is no JSON object")
    return given


def flash(
    port: Annotated[str, typer.Argument(metavar="PORT", help="/dev/ttyUSB0, COM3; `vitalwire ports` lists them.")],
    file: Annotated[Path, typer.Argument(metavar="IMAGE", help="What `board image` wrote.")],
    baud: Annotated[int, typer.Option(help="While writing.", min=9600, max=2_000_000)] = 460_800,
) -> None:
    """Write an image to a chip, over everything that is on it: its key and its journal, too."""
    with needing("board"):
        from ..image.flash import flash as write
    write(port, file.read_bytes(), baud)
    output.say("written; the board starts now")
