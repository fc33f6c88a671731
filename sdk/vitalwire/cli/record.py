"""`vitalwire record`: a device's frames into a capture, acknowledged once they are on the disk."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from vitalwire import paths
from vitalwire.capture import Writer
from vitalwire.client import Client, ClientEvent, VerifiedFrame
from vitalwire.control import Identified
from vitalwire.errors import ForeignError, TransportError
from vitalwire.recorder import Counts, Recorder
from vitalwire.registry import Registry
from vitalwire.session import ReplayState, Session

from . import output
from .options import Fingerprints, Json, RegistryFile, Url, opened
from .stopping import Stop, stoppable

WAIT = 0.25  # seconds between two looks at whether to end
MEGABYTE = 1_000_000


def record(
    url: Url,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The capture; if it is there, it is continued.")],
    seconds: Annotated[float | None, typer.Option("--seconds", metavar="S", help="End after so many seconds.")] = None,
    frames: Annotated[
        int | None, typer.Option("--frames", metavar="N", help="End after so many frames.", min=1)
    ] = None,
    rotate_mb: Annotated[
        float | None,
        typer.Option("--rotate-mb", metavar="MB", help="Begin FILE-00001 and so on before a file is larger."),
    ] = None,
    rotate_seconds: Annotated[
        float | None, typer.Option("--rotate-seconds", metavar="S", help="The same before a file is older.")
    ] = None,
    quarantine: Annotated[
        Path | None,
        typer.Option(
            "--quarantine",
            metavar="FILE",
            help="A capture for signed frames that must not be believed; else they stay.",
        ),
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="FILE", help="What was accepted before, instead of your own file.")
    ] = None,
    set_time: Annotated[bool, typer.Option(help="Tell the device the time of this computer.")] = True,
    registry: RegistryFile = None,
    fingerprint: Fingerprints = None,
    as_json: Json = False,
) -> None:
    """Record a device, until Ctrl-C or as long as asked for; the device erases only what is on this disk.

    Frames of devices that nobody enrolled are refused and counted. What came before stays with the device until it is
    stored here, so a second recording goes on where the first one ended. Exit code 4: nothing but refused frames came.
    6: nothing came, or the capture cannot be written.
    """
    counts = Counts()
    with ExitStack() as stack:
        trusted = stack.enter_context(opened(registry, fingerprint))
        kept = ReplayState(state or (None if url.startswith("replay:") else paths.state_file()))
        stack.callback(kept.close)
        tell = Remarks(counts, trusted)
        client = Client(
            url,
            registry=trusted,
            state=kept,
            quarantine=quarantine,
            auto_acknowledge=False,
            set_time=set_time,
            on_event=tell.hear,
        )
        stack.callback(client.close)
        client.open()
        size = None if rotate_mb is None else int(rotate_mb * MEGABYTE)
        writer = stack.enter_context(Writer(file, max_bytes=size, max_seconds=rotate_seconds))
        stop = stack.enter_context(stoppable())
        began = time.monotonic()
        _run(Recorder(client, writer, kept), client, counts, stop, seconds, frames, quiet=as_json)
        took = time.monotonic() - began
        last, session = writer.path, client.session
    _summarise(counts, session, file, last, took, as_json=as_json)
    if counts.frames == 0 and not stop.asked:
        if counts.refused:
            raise ForeignError(
                "nothing was stored, all frames were refused", advice="`vitalwire device enrol --from URL`"
            )
        raise TransportError(f"nothing came from {url}", advice="does anything send there?")


class Remarks:
    """Counts what a client tells, and says on stderr what a person should know, once."""

    def __init__(self, counts: Counts, registry: Registry) -> None:
        self._counts = counts
        self._registry = registry
        self._said: set[bytes] = set()

    def hear(self, event: ClientEvent) -> None:
        """Take one event."""
        self._counts.hear(event)
        if isinstance(event, Identified) and event.identity.thumbprint not in self._said:
            thumbprint = event.identity.thumbprint
            self._said.add(thumbprint)
            if self._registry.get(thumbprint) is None:
                output.say(f"the device says to be {thumbprint.hex()}, which is not enrolled: its frames are refused")
            elif self._registry.secret(thumbprint) is None:
                output.say("there is no secret for this device: nothing can be acknowledged, it keeps its frames")


def _run(
    recorder: Recorder,
    client: Client,
    counts: Counts,
    stop: Stop,
    seconds: float | None,
    frames: int | None,
    *,
    quiet: bool,
) -> None:
    until = float("inf") if seconds is None else time.monotonic() + seconds
    with output.progress("recording", frames, quiet=quiet) as step:
        while not (stop.asked or client.ended or time.monotonic() >= until):
            most = None if frames is None else frames - counts.frames
            if most == 0:
                return
            stored: list[VerifiedFrame] = recorder.take(min(WAIT, max(0.0, until - time.monotonic())), most)
            for frame in stored:
                counts.take(frame)
            if stored:
                step(counts.frames)


def _summarise(counts: Counts, session: Session, file: Path, last: Path, took: float, *, as_json: bool) -> None:
    said = counts.as_dict(session)
    if as_json:
        output.show_json({"file": str(file), "last_file": str(last), "seconds": round(took, 3)} | said)
        return
    table = output.plain(str(file))
    table.add_row("stored", f"{counts.frames} frames, {counts.size} bytes in {took:.1f} s")
    for name, last_seq in counts.last.items():
        table.add_row(name, f"up to frame {last_seq}")
    if said["authentic"]:
        table.add_row("authentic", f"{said['authentic']} of them, by a MAC alone: no seal covers them yet")
    for what in ("missing", "burned", "dropped", "duplicates", "breaks"):
        if said[what]:
            table.add_row(what, str(said[what]))
    for reason, count in counts.refused.items():
        table.add_row(f"refused, {reason}", str(count))
    output.show(table)
