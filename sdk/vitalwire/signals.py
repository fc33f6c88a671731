"""The samples of frames as arrays: counts as the converter gave them, values in physical units, what is valid.

Decoding is done for many frames in one pass of array operations; a frame that does not decode costs the others nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vitalwire.codec import decode_blocks
from vitalwire.errors import BlockError, FrameError, InputError
from vitalwire.frame.blocks import Cut, cut
from vitalwire.messages import Channel, Descriptor, Frame, MarkRun

# Decoded at once: enough to make the fixed costs small, few enough to bound memory.
PASS_BLOCKS = 2048
_PASS_SAMPLES = 1 << 19


@dataclass(slots=True)  # not frozen: that doubles what a signal costs beside its samples, and there are many
class Signal:
    """What one channel delivered in one frame, oldest first; arrays have the shape (n,).

    `ticks` are the device's microseconds since its boot at the newest sample; `time` (seconds UTC) is for whoever
    fits clocks to fill in. Of a scalar channel, `at` are the ticks of each reading.
    """

    channel: Channel
    counts: NDArray[np.int32]
    ticks: int
    marks: tuple[MarkRun, ...] = ()
    at: NDArray[np.int64] | None = None
    time: NDArray[np.float64] | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The channel's name."""
        return self.channel.name

    @property
    def unit(self) -> str:
        """The unit of `values` (UCUM)."""
        return self.channel.unit

    @property
    def rate(self) -> Fraction | None:
        """The nominal rate in Hz; None for a scalar."""
        return self.channel.rate

    @property
    def values(self) -> NDArray[np.float64]:
        """The physical values: offset + counts x scale."""
        return np.multiply(self.counts, float(self.channel.scale), dtype=np.float64) + float(self.channel.offset)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """True for measurements, False for samples under any mark."""
        mask = np.ones(len(self.counts), np.bool_)
        for run in self.marks:
            mask[run.start : run.start + run.length] = False
        return mask

    def __len__(self) -> int:
        return len(self.counts)


Signals: TypeAlias = dict[str, Signal]

# One frame on its way: its cut blocks, and what is wrong with it.
_Work: TypeAlias = tuple[Frame, Descriptor, Sequence[Cut], InputError | None]


def decode(frame: Frame, descriptor: Descriptor) -> Signals:
    """Return the signals of one frame by channel name; channels without samples are not in it.

    Raises `BlockError` or `FrameError` where the frame does not fit its descriptor.
    """
    (signals,) = decode_many([(frame, descriptor)])
    if isinstance(signals, InputError):
        raise signals
    return signals


def decode_many(frames: Iterable[tuple[Frame, Descriptor]]) -> Iterator[Signals | InputError]:
    """Yield for each frame its signals or, as a value, the error that `decode` would raise. Memory is bounded."""
    chunk: list[_Work] = []
    blocks = samples = 0
    for frame, descriptor in frames:
        work = _prepare(frame, descriptor)
        chunk.append(work)
        for _, count, _, pieces in work[2]:
            blocks += len(pieces)
            samples += len(pieces) * count
        if blocks >= PASS_BLOCKS or samples >= _PASS_SAMPLES:
            yield from _finish(chunk)
            chunk, blocks, samples = [], 0, 0
    yield from _finish(chunk)


def _prepare(frame: Frame, descriptor: Descriptor) -> _Work:
    try:
        found = cut(frame, descriptor)
        if frame.marks:
            _check_marks(frame, descriptor, found)
    except InputError as error:
        return frame, descriptor, (), error
    return frame, descriptor, found, None


def _check_marks(frame: Frame, descriptor: Descriptor, found: Sequence[Cut]) -> None:
    counts = {channel.id: count for stream, count, _, _ in found for channel in descriptor.streams[stream]}
    for run in frame.marks:
        if run.start + run.length > counts.get(run.channel, 0):
            raise FrameError(f"a mark on channel {run.channel} reaches past its samples", reason="marks")


def _finish(chunk: Sequence[_Work]) -> Iterator[Signals | InputError]:
    blocks: list[tuple[int, bytes]] = []
    counts: list[int] = []
    bits: list[int] = []
    widths: dict[int, list[list[int]]] = {}  # by descriptor, for each stream
    for _, descriptor, found, _ in chunk:
        by_stream = widths.get(id(descriptor))
        if by_stream is None:
            by_stream = widths[id(descriptor)] = [[channel.bits for channel in each] for each in descriptor.streams]
        for stream, count, _, pieces in found:
            blocks += pieces
            counts += [count] * len(pieces)
            bits += by_stream[stream]
    codings, bodies = zip(*blocks, strict=True) if blocks else ((), ())
    decoded = iter(decode_blocks(codings, bodies, counts, bits))
    for frame, descriptor, found, wrong in chunk:
        error = wrong
        signals: Signals = {}
        marks = frame.marks
        for stream, _, ticks, _ in found:
            for channel, samples in zip(descriptor.streams[stream], decoded, strict=False):  # as many as it has
                if isinstance(samples, BlockError):
                    error = error or samples
                    continue
                own = tuple(run for run in marks if run.channel == channel.id) if marks else ()
                signals[channel.name] = Signal(channel, samples, ticks, own)
        if frame.scalars:
            try:
                signals |= _scalars(frame, descriptor)
            except FrameError as late:
                error = error or late
        yield error or signals


def _scalars(frame: Frame, descriptor: Descriptor) -> Signals:
    channels = descriptor.channels
    found: dict[int, tuple[list[int], list[int]]] = {}
    for scalar in frame.scalars:
        number, counts = scalar.channel, scalar.counts
        own = found.get(number)
        if own is None:
            if number >= len(channels) or channels[number].rate is not None:
                raise FrameError(f"channel {number} is no scalar", reason="channels")
            own = found[number] = [], []
        if not -1 << channels[number].bits - 1 <= counts < 1 << channels[number].bits - 1:
            raise FrameError(f"a reading of channel {number} does not fit its bits", reason="range")
        own[0].append(scalar.ticks)
        own[1].append(counts)
    return {
        channels[number].name: Signal(
            channels[number], np.array(readings, np.int32), max(at), (), np.array(at, np.int64)
        )
        for number, (at, readings) in found.items()
    }
