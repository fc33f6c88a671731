"""A device on the terminal: its waves, rates, readings and last events, redrawn as a whole."""

from __future__ import annotations

import time
from collections import deque
from contextlib import ExitStack

from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from vitalwire.client import Client, ClientEvent, Connected, Disconnected, VerifiedFrame
from vitalwire.export import details, event_name
from vitalwire.recorder import Counts

from . import output
from .lines import told
from .waves import Waves

REDRAW = 0.5  # seconds between two pictures: drawing takes a hundredth of a second a wave
REMARKS = 6  # last events shown
RECENT = 15  # frames that the rate is measured over
LEAST_ROWS, MOST_ROWS = 5, 9  # of one wave


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
