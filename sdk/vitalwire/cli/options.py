"""Options that several commands share, and what they open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from vitalwire import paths
from vitalwire.anchors import find_anchors, revoked
from vitalwire.crew import Crew, cores
from vitalwire.errors import UsageError
from vitalwire.registry import Registry
from vitalwire.session import ReplayState
from vitalwire_protocol import spec

RegistryFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--registry", metavar="FILE", help="The devices to trust, instead of your own registry."),
]
Fingerprints: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--fingerprint", metavar="HEX", help="Trust the device of this fingerprint and no registry; may be repeated."
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of a table.")]
DeviceName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--device", metavar="NAME", help="Which device, by name or fingerprint, if the capture holds several."
    ),
]
StateFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="FILE",
        help="What was accepted before a device was revoked, instead of your own file: up to there it is believed.",
    ),
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--workers", metavar="N", min=1, help="Processes that work; without it, for long captures one a core."
    ),
]
Url: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="URL",
        help="serial:///dev/ttyUSB0, serial://COM3, tcp://host:port, ble://NAME, replay:FILE?speed=10 or mqtt://host/topic.",
    ),
]
Capture: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FILE", help="A capture; all its files, if it was rotated.")
]


@contextmanager
def opened(registry: Path | None, fingerprints: list[str] | None = None) -> Iterator[Registry]:
    """Open the registry that the options name: a file, the user's own, or one of fingerprints only."""
    if fingerprints:
        with Registry() as only:
            for text in fingerprints:
                thumbprint = fingerprint(text)
                only.enrol(thumbprint, thumbprint.hex()[:8])
            yield only
        return
    if registry is not None and not registry.exists():
        raise UsageError(f"no registry {registry}", advice="`vitalwire device enrol --registry FILE ...` makes one")
    with Registry(registry or paths.registry_file()) as kept:
        yield kept


def anchors_for(files: Sequence[Path], registry: Registry, state: Path | None) -> dict[bytes, tuple[int, bytes]]:
    """Return up to where the files' revoked devices are believed, by a replay state: this one, or the user's own."""
    if state is not None and not state.exists():
        raise UsageError(f"no replay state {state}", advice="`vitalwire record --state FILE ...` keeps one")
    file = state or paths.state_file()
    if not revoked(registry) or not file.exists():
        return {}
    with ReplayState(file) as kept:
        return find_anchors(files, registry, kept)


@contextmanager
def crew_for(files: Sequence[Path], workers: int | None, long: int) -> Iterator[Crew | None]:
    """Have as many workers as asked for, or one a core for captures of `long` bytes; None is to work here alone."""
    if workers is None:
        workers = cores() if sum(file.stat().st_size for file in files) >= long else 1
    if workers == 1:
        yield None
        return
    with Crew(workers) as crew:
        yield crew


def fingerprint(text: str) -> bytes:
    """Return the thumbprint that a person typed: 64 hexadecimal digits, separators allowed."""
    digits = text.strip().replace(":", "").replace(" ", "").replace("-", "")
    try:
        thumbprint = bytes.fromhex(digits)
    except ValueError:
        thumbprint = b""
    if len(thumbprint) != spec.THUMBPRINT_SIZE:
        raise UsageError(
            f"{text!r} is no fingerprint",
            advice=f"one has {2 * spec.THUMBPRINT_SIZE} hexadecimal digits: the thumbprint (RFC 9679) of its key",
        )
    return thumbprint
