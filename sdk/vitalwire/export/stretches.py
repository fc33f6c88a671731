"""Cuts one device's verified frames into stretches: samples of one stream that follow each other without a gap.

A stretch ends where a frame is missing, the device rebooted, the descriptor changed, the sensor paused, or after
MAX_SAMPLES; what every format writes of it is the same counts, each once and unchanged. No format is known here.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vitalwire.client import VerifiedFrame
from vitalwire.errors import InputError
from vitalwire.messages import Channel, Descriptor, Event, MarkRun, Scalar
from vitalwire.signals import Signal
from vitalwire_protocol.spec import Event as Code
from vitalwire_protocol.spec import Kind, Mark

PAUSE = 0.25  # seconds, and one and a half periods, that samples may be later than their number says
MAX_SAMPLES = 1 << 22  # of each channel in one stretch: what a format that cannot be streamed must hold in memory
MAX_PAUSES = 16  # told ones that are remembered: a frame of data comes at the latest a frame's length after them


@dataclass(slots=True)
class Stretch:
    """One stretch while it grows: `number` counts those of one title from 1, `why` says what came before it."""

    descriptor: Descriptor
    stream: int
    number: int
    why: str
    boot: int
    first_seq: int
    last_seq: int = 0
    samples: int = 0
    start: float = math.nan  # of the first sample, seconds UTC; NaN if unknown
    first: float = math.nan  # of the first and the last sample, seconds since the boot by the device's clock
    last: float = math.nan
    end_ticks: int = 0
    file: str = ""  # where it is written, when it is
    invalid: dict[str, int] = field(default_factory=dict)  # samples under a mark, by channel

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels, in their order."""
        return self.descriptor.streams[self.stream]

    @property
    def title(self) -> str:
        """What the stream is called: its channel, or what the names of its channels have in common."""
        words = zip(*(channel.name.split("_") for channel in self.channels), strict=False)
        common = [each[0] for each in takewhile(lambda each: len(set(each)) == 1, words)]
        return "_".join(common) or f"stream{self.stream}"

    @property
    def nominal(self) -> float:
        """The rate the descriptor names, in Hz."""
        rate = self.channels[0].rate
        return float(rate) if rate else 1.0

    @property
    def rate(self) -> float:
        """The rate the chip had by the device's clock over the stretch, in Hz; of a short one, the nominal one."""
        length = self.last - self.first
        measured = (self.samples - 1) / length if length > 10 else 0.0
        return measured if abs(measured / self.nominal - 1) < 0.05 else self.nominal


@dataclass(frozen=True, slots=True)
class Piece:
    """What one frame adds to a stretch: counts of the shape (samples, channels), times (samples,) in seconds UTC."""

    frame: VerifiedFrame
    counts: NDArray[np.int32]
    time: NDArray[np.float64]
    marks: tuple[tuple[int, MarkRun], ...]  # (which channel of the stream, run)


@dataclass(frozen=True, slots=True)
class Begin:
    """A stretch begins."""

    stretch: Stretch


@dataclass(frozen=True, slots=True)
class Samples:
    """A stretch goes on."""

    stretch: Stretch
    piece: Piece


@dataclass(frozen=True, slots=True)
class End:
    """A stretch is complete."""

    stretch: Stretch


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a scalar channel."""

    frame: VerifiedFrame
    channel: Channel
    scalar: Scalar


@dataclass(frozen=True, slots=True)
class Happened:
    """One event."""

    frame: VerifiedFrame
    event: Event


Part: TypeAlias = Begin | Samples | End | Reading | Happened


def mark_name(mark: Mark | int) -> str:
    """Return a mark's name, or its number if it is not known here."""
    return mark.name if isinstance(mark, Mark) else str(mark)


class Splitter:
    """Takes frames in the order of their numbers; `spoiled` are the numbers of frames whose samples do not decode."""

    def __init__(self) -> None:
        self.spoiled: list[int] = []
        self._seq = self._boot = 0
        self._open: dict[int, Stretch] = {}
        self._ended: dict[int, str] = {}  # why each stream's last stretch ended
        self._number: Counter[str] = Counter()
        self._pauses: deque[int] = deque(maxlen=MAX_PAUSES)  # ticks at which the device said that one begins

    def split(self, frames: Iterable[VerifiedFrame]) -> Iterator[Part]:
        """Yield what the frames hold."""
        for frame in frames:
            why = self._break(frame)
            if why:
                yield from self._end(why)
            for event in frame.events:
                if event.code == Code.PAUSE_BEGUN:
                    self._pauses.append(event.ticks)
                yield Happened(frame, event)
            if frame.kind == Kind.DATA:
                yield from self._data(frame)
        yield from self._end("the end")

    def _break(self, frame: VerifiedFrame) -> str:
        """Return why no stretch goes on in this frame, or nothing."""
        if frame.kind == Kind.DESCRIPTOR and frame.seq != self._seq + 1:
            return ""  # repeated for this capture, however old it is: nothing is missing behind it
        follows, rebooted = frame.seq == self._seq + 1, frame.boot != self._boot
        self._seq, self._boot = frame.seq, frame.boot
        if rebooted:
            self._pauses.clear()
        return "a reboot" if rebooted else "" if follows else "missing frames"

    def _data(self, frame: VerifiedFrame) -> Iterator[Part]:
        try:
            signals = frame.signals
        except InputError:
            self.spoiled.append(frame.seq)
            yield from self._end("a frame that does not decode")
            return
        for stream, channels in enumerate(frame.descriptor.streams):
            members = [signals[channel.name] for channel in channels if channel.name in signals]
            if members:
                yield from self._samples(frame, stream, members)
        for scalar in frame.frame.scalars:
            yield Reading(frame, frame.descriptor.channels[scalar.channel], scalar)

    def _samples(self, frame: VerifiedFrame, stream: int, members: list[Signal]) -> Iterator[Part]:
        count, ticks = len(members[0]), members[0].ticks
        stretch = self._open.get(stream)
        if stretch is not None and (why := self._does_not_join(stretch, frame, ticks, count)):
            yield from self._end(why, stream)
            stretch = None
        times = frame.times[stream]
        if stretch is None:
            stretch = self._begin(frame, stream)
            stretch.start, stretch.first = float(times.utc[0]), float(times.elapsed[0])
            yield Begin(stretch)
        stretch.samples += count
        stretch.last_seq, stretch.end_ticks, stretch.last = frame.seq, ticks, float(times.elapsed[-1])
        for signal in members:
            if signal.marks:
                stretch.invalid[signal.name] = stretch.invalid.get(signal.name, 0) + int((~signal.valid).sum())
        marks = tuple((place, run) for place, signal in enumerate(members) for run in signal.marks)
        yield Samples(stretch, Piece(frame, np.stack([signal.counts for signal in members], axis=1), times.utc, marks))

    def _begin(self, frame: VerifiedFrame, stream: int) -> Stretch:
        stretch = Stretch(frame.descriptor, stream, 0, self._ended.get(stream, "the beginning"), frame.boot, frame.seq)
        self._number[stretch.title] += 1
        stretch.number = self._number[stretch.title]
        self._open[stream] = stretch
        return stretch

    def _end(self, why: str, stream: int | None = None) -> Iterator[Part]:
        for number in [stream] if stream is not None else list(self._open):
            self._ended[number] = why
            yield End(self._open.pop(number))

    def _does_not_join(self, stretch: Stretch, frame: VerifiedFrame, ticks: int, count: int) -> str:
        """Return why these samples do not continue the stretch, or nothing."""
        if stretch.descriptor is not frame.descriptor and stretch.descriptor != frame.descriptor:
            return "another descriptor"
        if stretch.samples + count > MAX_SAMPLES:
            return "its length"
        expected = count / stretch.nominal
        off = abs((ticks - stretch.end_ticks) / 1e6 - expected)
        # A slow channel's samples are so far apart that a short pause is within what they may be late.
        first = ticks - (count - 1) / stretch.nominal * 1e6
        rested = any(stretch.end_ticks <= pause < first for pause in self._pauses)
        return "a pause of the sensor" if rested or off > PAUSE + 1.5 / stretch.nominal + 0.05 * expected else ""
