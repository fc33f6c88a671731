"""`vitalwire plot`: a recording on ECG paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vitalwire.offline import Reader
from vitalwire.plot import ecg_paper
from vitalwire.survey import files

from . import output
from .options import Capture, DeviceName, Fingerprints, RegistryFile, StateFile, anchors_for, opened


def plot(
    capture: Capture,
    png: Annotated[Path, typer.Argument(metavar="PNG", help="The picture to write.")],
    start: Annotated[float, typer.Option("--start", metavar="S", help="Seconds after the first sample.", min=0)] = 0.0,
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", help="How much to show, up to 60.")] = 10.0,
    channel: Annotated[
        list[str] | None, typer.Option("--channel", metavar="NAME", help="Show this channel only; may be repeated.")
    ] = None,
    device: DeviceName = None,
    registry: RegistryFile = None,
    fingerprint: Fingerprints = None,
    state: StateFile = None,
) -> None:
    """Draw verified signals as a PNG in the style of ECG paper: 25 mm/s, 10 mm/mV, invalid samples shaded."""
    with opened(registry, fingerprint) as trusted, output.progress("reading") as step:
        reader = Reader(capture, trusted, anchors=anchors_for(files(capture), trusted, state))
        chosen = reader.device(device)
        step(0, reader.total)
        ecg_paper(reader.frames(chosen.thumbprint), png, start=start, seconds=seconds, channels=channel or ())
    output.say(f"{png}: {seconds:g} s of {chosen.name}")
