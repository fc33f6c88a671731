"""Cuts verified frames by windows of device ticks: which samples of a channel belong to one, on a regular grid.

A sample's tick is counted back from its readout at the nominal rate; one that would lie before the samples in front of
it, because a readout was early or late, stays behind them. So each sample is in exactly one window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vitalwire.errors import InputError
from vitalwire.messages import Channel, Descriptor, Frame
from vitalwire.signals import Signal, Signals

from .ids import WindowKey
from .sampled import MISSING

SECOND = 1_000_000  # ticks
JOIN = SECOND // 4  # ticks, and one and a half periods, that samples may come later than their number says
LONGEST_FIT = Fraction(1, 20)  # a chip whose period is further from the nominal one is not believed
NANO = Decimal("0.000001")  # of a millisecond
MAX_SAMPLES = 1 << 22  # of a channel in a window: an hour of 1 kHz


@dataclass(frozen=True, slots=True)
class Source:
    """One verified frame with its samples; `utc_us` is the UTC of the frame's ticks by the fit, off by `accuracy_us`.

    Both are None where nothing is known of UTC.
    """

    device: bytes
    frame: Frame
    descriptor: Descriptor
    signals: Signals = field(repr=False)
    arrived_us: int
    utc_us: int | None
    accuracy_us: int | None


@dataclass(frozen=True, slots=True)
class Window:
    """A closed window and the frames that may have samples in it, by number; `amended`: after it was closed once."""

    key: WindowKey
    descriptor: Descriptor
    sources: tuple[Source, ...]
    amended: bool = False


@dataclass(frozen=True, slots=True)
class Track:
    """One channel in one window: counts on a grid, `marks` VALID, MISSING or a `spec.Mark`, arrays of shape (n,).

    `first` and `last` are the ticks of the outer samples, `period` the chip's in ticks, `frames` the places of the
    sources that have samples in it.
    """

    channel: Channel
    counts: NDArray[np.int32] = field(repr=False)
    marks: NDArray[np.uint8] = field(repr=False)
    first: int
    last: int
    period: Fraction
    frames: tuple[int, ...]

    @property
    def period_ms(self) -> Decimal:
        """The period in milliseconds, to a nanosecond."""
        exact = Decimal(self.period.numerator) / (1000 * Decimal(self.period.denominator))
        return exact.quantize(NANO, ROUND_HALF_EVEN)

    @property
    def rate(self) -> float:
        """Samples a second."""
        return float(SECOND / self.period)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Samples [low, high) of one signal, the last of them at `end` ticks."""

    place: int
    signal: Signal
    low: int
    high: int
    begin: int
    end: int


def tick_of(signal: Signal, index: int, rate: Fraction) -> int:
    """Return the tick of one sample at the nominal rate."""
    behind = len(signal) - 1 - index
    return signal.ticks - behind * SECOND * rate.denominator // rate.numerator


def first_at(signal: Signal, tick: int, rate: Fraction) -> int:
    """Return the index of the first sample at or behind a tick."""
    if tick > signal.ticks:
        return len(signal)
    behind = ((signal.ticks - tick + 1) * rate.numerator - 1) // (SECOND * rate.denominator)
    return max(0, len(signal) - 1 - behind)


def track(window: Window, channel: Channel) -> Track | None:
    """Return the samples of a channel in a window, None if there are none.

    Raises InputError where the device claims a rate or times at which there are more than MAX_SAMPLES.
    """
    assert channel.rate is not None
    rate, start, stop = channel.rate, window.key.start, window.key.start + window.key.length
    pieces: list[_Piece] = []
    reached = -1
    for place, source in enumerate(window.sources):
        signal = source.signals.get(channel.name)
        if signal is None or not len(signal):
            continue
        low = 0 if reached >= start else first_at(signal, start, rate)
        high = 0 if reached >= stop else first_at(signal, stop, rate)
        if low < high:
            begin = max(tick_of(signal, low, rate), start)
            pieces.append(_Piece(place, signal, low, high, begin, tick_of(signal, high - 1, rate)))
        reached = max(reached, signal.ticks)
    return _joined(channel, rate, pieces) if pieces else None


def points(window: Window, channel: Channel) -> Track | None:
    """Return the single readings of a scalar channel in a window, as if they were evenly spread; None without any."""
    start, stop = window.key.start, window.key.start + window.key.length
    counts: list[int] = []
    ticks: list[int] = []
    places: list[int] = []
    for place, source in enumerate(window.sources):
        inside = [each for each in source.frame.scalars if each.channel == channel.id and start <= each.ticks < stop]
        if inside and channel.name in source.signals:
            counts += [each.counts for each in inside]
            ticks += [each.ticks for each in inside]
            places.append(place)
    if not counts:
        return None
    period = Fraction(window.key.length, len(counts))
    none = np.zeros(len(counts), np.uint8)
    return Track(channel, np.array(counts, np.int32), none, min(ticks), max(ticks), period, tuple(places))


def _joined(channel: Channel, rate: Fraction, pieces: Sequence[_Piece]) -> Track:
    nominal = Fraction(SECOND * rate.denominator, rate.numerator)
    gaps = [0]
    for before, after in pairwise(pieces):
        late = after.begin - before.end
        gaps.append(max(0, round(late / nominal) - 1) if late > JOIN + Fraction(3, 2) * nominal else 0)
    total = sum(gaps) + sum(piece.high - piece.low for piece in pieces)
    if total > MAX_SAMPLES:
        raise InputError(f"{total} samples of {channel.name} in one window", reason="oversized")
    counts, marks = np.zeros(total, np.int32), np.full(total, MISSING, np.uint8)
    at = 0
    for gap, piece in zip(gaps, pieces, strict=True):
        at += gap
        size = piece.high - piece.low
        counts[at : at + size] = piece.signal.counts[piece.low : piece.high]
        marks[at : at + size] = _marks(piece.signal)[piece.low : piece.high]
        at += size
    period = _period(pieces, gaps, nominal)
    first, last = (
        piece.signal.ticks - round((len(piece.signal) - 1 - index) * period)
        for piece, index in ((pieces[0], pieces[0].low), (pieces[-1], pieces[-1].high - 1))
    )
    return Track(channel, counts, marks, first, last, period, tuple(piece.place for piece in pieces))


def _marks(signal: Signal) -> NDArray[np.uint8]:
    marks = np.zeros(len(signal), np.uint8)
    for run in signal.marks:
        # A mark that this program does not know still says that nothing was measured.
        marks[run.start : run.start + run.length] = run.mark if 0 < run.mark < MISSING else MISSING
    return marks


def _period(pieces: Sequence[_Piece], gaps: Sequence[int], nominal: Fraction) -> Fraction:
    """Return the chip's period by its readouts over the longest stretch without a gap, or the nominal one."""
    best, start = (0, 0), 0
    for number in range(1, len(pieces) + 1):
        if number == len(pieces) or gaps[number]:
            if number - 1 - start > best[1] - best[0]:
                best = start, number - 1
            start = number
    samples = sum(len(piece.signal) for piece in pieces[best[0] + 1 : best[1] + 1])
    ticks = pieces[best[1]].signal.ticks - pieces[best[0]].signal.ticks
    if not samples or ticks < 2 * SECOND:
        return nominal
    period = Fraction(ticks, samples)
    return period if abs(period / nominal - 1) <= LONGEST_FIT else nominal


def streams(descriptor: Descriptor) -> Iterable[Channel]:
    """Return the channels that are sampled, in their order."""
    return (channel for channel in descriptor.channels if channel.stream is not None and channel.rate)
