"""`vitalwire monitor`: a device, live. Only looks: nothing is acknowledged, so the device keeps all it sends."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Protocol

import typer
from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from vitalwire import capture, paths
from vitalwire.client import Client, ClientEvent, Connected, Disconnected, VerifiedFrame
from vitalwire.errors import InputError
from vitalwire.export import details, event_name
from vitalwire.messages import Trust
from vitalwire.packet import LogLine
from vitalwire.recorder import Counts, Recorder
from vitalwire.registry import Registry
from vitalwire.session import (
    Burned,
    ChainBreak,
    Disproved,
    Dropped,
    Gap,
    GapClosed,
    Quarantined,
    ReplayState,
    Sealed,
    SecurityEvent,
)
from vitalwire_protocol import spec

from . import output
from .options import Fingerprints, Json, RegistryFile, Url, opened
from .record import Remarks
from .stopping import stoppable
from .waves import Waves

WAIT = 0.2  # seconds between two looks at the device
REDRAW = 0.5  # seconds between two pictures: drawing takes a hundredth of a second a wave
REMARKS = 6  # last events shown
RECENT = 15  # frames that the rate is measured over
LEAST_ROWS, MOST_ROWS = 5, 9  # of one wave


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


TOLD = (Connected, Disconnected, Gap, GapClosed, Burned, Dropped, ChainBreak, SecurityEvent, Quarantined, LogLine)


def told(event: ClientEvent) -> str:
    """Return an event in words; empty if nobody needs to know."""
    match event:
        case Connected():
            return "connected"
        case Disconnected(why):
            return f"lost: {why}"
        case Gap(_, first, last):
            return f"not here so far: {first} to {last}"
        case GapClosed(_, first, last):
            return f"here now: {first} to {last}"
        case Burned(_, first, last):
            return f"never used, by the device's word: {first} to {last}"
        case Dropped(_, first, last):
            return f"dropped, by the device's word: {first} to {last}"
        case ChainBreak(_, seq, why):
            return f"the chain breaks at {seq}: {why}"
        case SecurityEvent(_, seq, what):
            return f"SECURITY: {what} at {seq}"
        case Sealed(_, first, last):
            return f"sealed: {first} to {last}"
        case Disproved(_, seq, _):
            return f"never made by the device, whatever its MAC: {seq}"
        case Quarantined(_, reason, frame):
            return f"set aside: {frame.seq}, {reason.value}"
        case LogLine(level, text):
            return f"log {level.name if isinstance(level, spec.LogLevel) else level}: {text}"
        case _:
            return ""


class Lines:
    """One line for each frame and event, for files, pipes and programs."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json

    def shown(self, client: Client) -> ExitStack:
        """Need no preparation."""
        del client
        return ExitStack()

    def refresh(self) -> None:
        """Do nothing: everything is written at once."""

    def hear(self, event: ClientEvent) -> None:
        """Write an event."""
        if text := told(event):
            print(json.dumps({"event": type(event).__name__, "text": text}) if self._json else text, flush=True)

    def take(self, frame: VerifiedFrame) -> None:
        """Write a frame."""
        try:
            signals = frame.signals
        except InputError as error:
            signals = {}
            self._write({"error": str(error)}, f"frame {frame.seq} does not decode: {error}")
        kind = frame.kind.name if isinstance(frame.kind, spec.Kind) else str(frame.kind)
        last = {name: float(signal.values[-1]) for name, signal in signals.items() if signal.valid[-1]}
        events = [{"event": event_name(event), **details(event)} for event in frame.events]
        said: dict[str, object] = {
            "frame": frame.seq,
            "device": frame.name,
            "boot": frame.boot,
            "kind": kind.lower(),
            "bytes": len(frame.raw),
            "trust": frame.trust.value,
            "private": frame.opaque,
            "time": None if frame.time != frame.time else frame.time,
            "samples": {name: len(signal) for name, signal in signals.items()},
            "valid": {name: int(signal.valid.sum()) for name, signal in signals.items()},
            "last": last,
            "events": events,
        }
        text = " ".join(f"{name}={value:.6g}" for name, value in last.items())
        text += " ".join(f"{each['event']}" for each in events)
        text += " (private)" * frame.opaque + " (authentic only)" * (frame.trust == Trust.AUTHENTIC)
        self._write(said, f"{frame.name} {frame.boot}/{frame.seq} {kind} {len(frame.raw)} bytes {text}".rstrip())

    def _write(self, said: dict[str, object], text: str) -> None:
        print(json.dumps(said) if self._json else text, flush=True)


class Screen:
    """A terminal redrawn twice a second."""

    def __init__(self, waves: Waves, counts: Counts) -> None:
        self._waves = waves
        self._counts = counts
        self._link = "connecting"
        self._said: deque[str] = deque(maxlen=REMARKS)
        self._recent: deque[tuple[float, int]] = deque(maxlen=RECENT)
        self._frame: VerifiedFrame | None = None
        self._arrived = self._drawn = 0.0
        self._readings: dict[str, str] = {}

    def shown(self, client: Client) -> ExitStack:
        """Take the terminal."""
        self._client = client
        self._live = Live(console=output.console(), auto_refresh=False, screen=True, transient=True)
        stack = ExitStack()
        stack.enter_context(self._live)
        return stack

    def hear(self, event: ClientEvent) -> None:
        """Keep an event to show."""
        if isinstance(event, Connected | Disconnected):
            self._link = told(event)
        if text := told(event):
            self._say(text)

    def take(self, frame: VerifiedFrame) -> None:
        """Keep a frame to show."""
        self._frame, self._arrived = frame, time.monotonic()
        self._recent.append((frame.frame.ticks / 1e6, len(frame.raw)))
        for event in frame.events:
            said = ", ".join(f"{key} {value}" for key, value in details(event).items())
            self._say(f"{event_name(event)} {said}")
        self._waves.take(frame)
        for scalar in frame.frame.scalars:
            if scalar.channel < len(frame.descriptor.channels):
                channel = frame.descriptor.channels[scalar.channel]
                value = float(channel.offset) + scalar.counts * float(channel.scale)
                self._readings[channel.name] = f"{value:.6g} {channel.unit}"

    def refresh(self) -> None:
        """Draw, if it is time."""
        if time.monotonic() - self._drawn >= REDRAW:
            self._drawn = time.monotonic()
            self._live.update(self._picture(), refresh=True)

    def _say(self, text: str) -> None:
        self._said.append(f"{time.strftime('%H:%M:%S')}  {text}")

    def _picture(self) -> Group:
        width, height = self._live.console.size
        parts: list[Text | Panel] = [self._head()]
        waves = list(self._waves.shown.values())
        free = height - 4 - REMARKS - 2
        rows = max(LEAST_ROWS, min(MOST_ROWS, free // max(1, len(waves)) - 1))
        for wave in waves[: max(1, free // (rows + 1))]:
            parts.append(Text(f"{wave.channel.name}  {wave.last()}  {self._rate(wave.channel.stream)}", style="bold"))
            parts.append(Text(wave.draw(width - 1, rows, self._waves.window), style="green", no_wrap=True))
        parts.append(Panel(Text("\n".join(self._said)), title="events", height=REMARKS + 2))
        return Group(*parts)

    def _head(self) -> Text:
        frame, counts = self._frame, self._counts
        if frame is None:
            refused = f", {sum(counts.refused.values())} frames refused" if counts.refused else ""
            return Text(f"{self._link}; nothing verified yet{refused}")
        ages = time.monotonic() - self._arrived
        first, last = self._recent[0][0], self._recent[-1][0]
        rate = sum(size for _, size in list(self._recent)[1:]) / (last - first) if last > first else 0.0
        missing = counts.missing(self._client.session)
        lost = f"{missing} missing, {counts.dropped} dropped, {counts.duplicates} twice"
        refused = f", {sum(counts.refused.values())} refused" if counts.refused else ""
        text = Text(f"{frame.name}", style="bold cyan")
        text.append(
            f"  {frame.descriptor.board} {frame.descriptor.firmware}  {frame.device.hex()[:16]}…\n", style="default"
        )
        text.append(f"{self._link}, last frame {ages:.0f} s ago  ", style="green" if ages < 10 else "red")
        text.append(f"boot {frame.boot} frame {frame.seq}  {rate:.0f} bytes/s  ", style="default")
        authentic = counts.authentic(self._client.session)
        text.append(f"{counts.frames - authentic} verified, ", style="green")
        text.append(f"{authentic} authentic only, " if authentic else "", style="yellow")
        text.append("private, " if frame.opaque else "", style="yellow")
        text.append(lost + refused, style="red" if missing or refused else "default")
        text.append("\n" + "  ".join(f"{name} {value}" for name, value in self._readings.items()), style="default")
        return text

    def _rate(self, stream: int | None) -> str:
        if self._frame is None or stream is None:
            return ""
        channels = self._frame.descriptor.streams[stream]
        nominal = float(channels[0].rate or 0)
        measured = self._client.clock(self._frame.device).rate(stream)
        return (
            f"{nominal:g} Hz" if measured is None else f"{nominal * measured:.2f} Hz ({1e6 * (measured - 1):+.0f} ppm)"
        )
