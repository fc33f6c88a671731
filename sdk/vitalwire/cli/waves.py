"""The last seconds of each stream as text: braille waveforms in a terminal. Keeps and draws samples, judges nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vitalwire.client import VerifiedFrame
from vitalwire.errors import InputError
from vitalwire.messages import Channel
from vitalwire.signals import Signal

POINTS = 4  # drawn of each column of the terminal, at most: a column shows two, and an R wave must not fall between


@dataclass(slots=True)
class Wave:
    """One channel's last samples: (seconds since the boot, values, valid), a frame each."""

    channel: Channel
    parts: deque[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]] = field(default_factory=deque)

    def add(self, time: NDArray[np.float64], signal: Signal, window: float) -> None:
        """Take a frame's samples and forget those further back than the window."""
        if self.parts and time[0] < self.parts[-1][0][-1]:
            self.parts.clear()  # another boot, or frames that came late: a live view goes on with what is now
        self.parts.append((time, signal.values, signal.valid))
        while self.parts[-1][0][-1] - self.parts[0][0][-1] > window:
            self.parts.popleft()

    def last(self) -> str:
        """Return the newest value as text, or that it is none."""
        _, values, valid = self.parts[-1]
        unit = "" if self.channel.unit == "1" else f" {self.channel.unit}"
        return f"{values[-1]:.4g}{unit}" if valid[-1] else "not valid"

    def draw(self, width: int, height: int, window: float) -> str:
        """Return the waveform as lines of text."""
        import plotext

        time = np.concatenate([part[0] for part in self.parts])
        values = np.concatenate([part[1] for part in self.parts])
        inside = time >= time[-1] - window
        time, values = _thinned(time[inside] - time[-1], values[inside], POINTS * width)
        figure = plotext.figure
        figure.clear()
        figure.plot_size(width, height)
        figure.axes(False)
        line = figure.signal(time.tolist(), values.tolist(), marker="braille")
        line.lines()
        figure.draw(line)
        text: str = figure.build().string(colorless=True)
        return text.rstrip("\n")


class Waves:
    """The waves of one screen: of each stream its first channel, or the channels asked for."""

    def __init__(self, channels: Sequence[str], window: float) -> None:
        self.window = window
        self.shown: dict[str, Wave] = {}
        self._wanted = channels

    def take(self, frame: VerifiedFrame) -> None:
        """Take what a frame brings."""
        try:
            signals = frame.signals
        except InputError:
            return
        for stream, channels in enumerate(frame.descriptor.streams):
            for channel in channels:
                wanted = channel.name in self._wanted if self._wanted else channel is channels[0]
                if wanted and channel.name in signals:
                    wave = self.shown.setdefault(channel.name, Wave(channel))
                    wave.add(frame.times[stream].elapsed, signals[channel.name], self.window)


def _thinned(
    time: NDArray[np.float64], values: NDArray[np.float64], most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return at most about `most` points: the lowest and the highest of each run, so that no peak is lost."""
    step = -(-2 * len(values) // most)
    if step <= 2:
        return time, values
    count = len(values) // step * step
    runs = values[-count:].reshape(-1, step)
    places = np.sort(np.stack([runs.argmin(axis=1), runs.argmax(axis=1)], axis=1), axis=1)
    at = (np.arange(len(runs))[:, None] * step + places).ravel() + len(values) - count
    return time[at], values[at]
