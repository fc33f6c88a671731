"""`vitalwire monitor`: a device, live. Only looks: nothing is acknowledged, so the device keeps all it sends."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Protocol

import typer

from vitalwire import capture, paths
from vitalwire.client import Client, ClientEvent, VerifiedFrame
from vitalwire.recorder import Counts, Recorder
from vitalwire.registry import Registry
from vitalwire.session import ReplayState

from .lines import Lines
from .options import Fingerprints, Json, RegistryFile, Url, opened
from .record import Remarks
from .screen import Screen
from .stopping import stoppable
from .waves import Waves

WAIT = 0.2  # seconds between two looks at the device


def monitor(
    url: Url,
    channel: Annotated[
        list[str] | None, typer.Option("--channel", metavar="NAME", help="Show this channel; may be repeated.")
    ] = None,
    window: Annotated[
        float, typer.Option(metavar="S", help="How many seconds of signal to show.", min=1, max=60)
    ] = 8.0,
    seconds: Annotated[float | None, typer.Option("--seconds", metavar="S", help="End after so many seconds.")] = None,
    store: Annotated[
        Path | None,
        typer.Option("--record", metavar="FILE", help="Record as well, and acknowledge what is stored."),
    ] = None,
    registry: RegistryFile = None,
    fingerprint: Fingerprints = None,
    as_json: Json = False,
) -> None:
    """Show a device live: waveforms, rates, events, what is missing, the state of the link; until Ctrl-C.

    Into a pipe or file, it writes a line for each frame and event; with --json, a JSON object.
    """
    counts = Counts()
    view: View
    live = not as_json and sys.stdout.isatty()
    with ExitStack() as stack:
        trusted = stack.enter_context(opened(registry, fingerprint))
        reader = trusted if store else stack.enter_context(onlooker(trusted))
        state = ReplayState(paths.state_file() if store and not url.startswith("replay:") else None)
        stack.callback(state.close)
        remarks = Remarks(counts, trusted)
        view = Screen(Waves(channel or (), window), counts) if live else Lines(as_json=as_json)

        def hear(event: ClientEvent) -> None:
            if store:
                remarks.hear(event)
            else:
                counts.hear(event)
            view.hear(event)

        client = Client(
            url,
            registry=reader,
            state=state,
            keys=trusted,
            auto_acknowledge=not store,
            set_time=bool(store),
            settle=2.0,
            on_event=hear,
        )
        stack.callback(client.close)
        client.open()
        recorder = None
        if store:
            recorder = Recorder(client, stack.enter_context(capture.Writer(store)), state)
        stop = stack.enter_context(stoppable())
        stack.enter_context(view.shown(client))
        until = float("inf") if seconds is None else time.monotonic() + seconds
        while not (stop.asked or client.ended or time.monotonic() >= until):
            for frame in recorder.take(WAIT) if recorder else _one(client):
                counts.take(frame)
                view.take(frame)
            view.refresh()


def _one(client: Client) -> list[VerifiedFrame]:
    frame = client.receive(WAIT)
    return [] if frame is None else [frame]


def onlooker(registry: Registry) -> Registry:
    """Return the trusted devices without their secrets: whoever has it can read, and acknowledge nothing."""
    only = Registry()
    for device in registry:
        if device.revoked_us is None:
            only.enrol(device.thumbprint, device.name)
    return only


class View(Protocol):
    """Where frames and events are shown."""

    def hear(self, event: ClientEvent) -> None:
        """Take an event of the client."""

    def take(self, frame: VerifiedFrame) -> None:
        """Take a frame."""

    def refresh(self) -> None:
        """Show what was taken, if it is time."""

    def shown(self, client: Client) -> ExitStack:
        """Begin to show; ends with the context."""
