"""The gateway a command is about: its configuration, and its spool, which may be in use meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vitalwire.errors import UsageError
from vitalwire.spool import Quarantine, Store

if TYPE_CHECKING:
    from vitalwire.gateway import Config

ConfigFile = Annotated[Path, typer.Argument(metavar="FILE", help="The configuration, for instance gateway.toml.")]

Position = Annotated[int, typer.Argument(metavar="POSITION", help="As `list` shows it.", min=1)]
Save = Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Write the frame itself there.")]


def loaded(file: Path) -> Config:
    """Return a configuration."""
    try:
        from vitalwire.gateway import load
    except ImportError as error:
        raise UsageError(f"this needs {error.name}", advice='pip install "vitalwire[gateway]"') from None
    return load(file)


@contextmanager
def stored(file: Path) -> Iterator[Store]:
    """Open the spool of a configuration."""
    store = Store(loaded(file).spool.path, must_exist=True)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def quarantined(file: Path) -> Iterator[Quarantine]:
    """Open the quarantine of a configuration."""
    quarantine = Quarantine(loaded(file).spool.path, must_exist=True)
    try:
        yield quarantine
    finally:
        quarantine.close()


def at(us: int) -> str:
    """Return a UTC for people."""
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(" ", "seconds")
