"""`vitalwire board release`: an update of a board's firmware, signed by its maker. A thin wrapper."""

from __future__ import annotations

from importlib.metadata import version as installed
from pathlib import Path
from typing import Annotated

import typer

from vitalwire import jws, wholefile
from vitalwire.cli import output
from vitalwire.errors import UsageError

from .catalog import find


def release(
    board: Annotated[str, typer.Argument(metavar="BOARD", help="As `vitalwire board list` calls it.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The update to write.")],
    key: Annotated[Path, typer.Option("--key", metavar="PEM", help="The maker's private key, P-256.")],
    counter: Annotated[
        int, typer.Option("--counter", min=1, help="Above that of any firmware that must not come back.")
    ],
    version: Annotated[str | None, typer.Option("--version", help="What descriptors will say; else this one.")] = None,
    image: Annotated[
        Path | None, typer.Option(metavar="APP-BIN", help="A MicroPython instead, for boards with OTA partitions.")
    ] = None,
) -> None:
    """Write an update of a board to this installation's firmware; `vitalwire update` sends it."""
    from ..release import release as make
    from ..release import whole

    called = version or installed("vitalwire")
    try:
        if image:
            package = whole(find(board), jws.load_key(key), image.read_bytes(), called, counter)
        else:
            package = make(find(board), jws.load_key(key), called, counter)
    except OSError as error:
        raise UsageError(f"cannot read {image}: {error.strerror}") from error
    try:
        wholefile.write(file, package.data)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error
    output.say(f"{file}: {len(package.manifest.files)} files, {len(package.data)} bytes, counter {counter}")
