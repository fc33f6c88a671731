"""What a test asks of a recorded board: its events, its samples and marks, whether they are what was played."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwire.client import VerifiedFrame
from vitalwire.messages import Event
from vitalwire_protocol import spec
from vitalwire_tools.virtual.compare import compare

SELDOM = "battery_voltage"  # read every ten seconds only
Frames = list[VerifiedFrame]


def until(seconds: float, boot: int = 1) -> Callable[[Frames], bool]:
    """Return whether samples of a boot have come up to so many seconds of the board's time."""

    def is_there(frames: Frames) -> bool:
        last = frames[-1] if frames else None
        return last is not None and last.boot >= boot and last.frame.ticks > seconds * 1e6 and bool(last.signals)

    return is_there


def events(frames: Iterable[VerifiedFrame], *codes: spec.Event) -> Iterator[Event]:
    """Yield what happened, of these codes if any are given."""
    for frame in frames:
        for event in frame.events:
            if not codes or event.code in codes:
                yield event


def faults(frames: Iterable[VerifiedFrame]) -> list[tuple[int, int, int]]:
    """Return (code, stream, fault or 0) of what happened to sensors, in order."""
    found = events(frames, spec.Event.SENSOR_FAULT, spec.Event.SENSOR_OK)
    return [(e.code, number(e, spec.EventKey.STREAM), number(e, spec.EventKey.FAULT, 0)) for e in found]


def number(event: Event, key: spec.EventKey, default: int | None = None) -> int:
    """Return a number among an event's details."""
    value = event.details.get(key, default)
    assert isinstance(value, int), event
    return value


def unharmed(frames: Frames, played: Mapping[str, NDArray[Any]], but: Iterable[str] = ()) -> int:
    """Hold that every channel, but those of the parts `but`, has the samples played in one piece; returns how many."""
    samples = 0
    parts = {channel.name: channel.part.lower() for channel in frames[0].descriptor.channels}
    for channel in compare((frame.signals for frame in frames), played):
        if parts[channel.channel] not in but:
            assert channel.valid == channel.samples, channel
            assert channel.samples or channel.channel == SELDOM, channel
            assert channel.different == 0, channel
            samples += channel.samples
    return samples


def gather(frames: Iterable[VerifiedFrame], name: str, what: str = "counts") -> NDArray[Any]:
    """Return one channel's counts, times or validity over all frames."""
    return np.concatenate([getattr(frame.signals[name], what) for frame in frames if name in frame.signals])


def marked(frames: Iterable[VerifiedFrame], name: str, *marks: spec.Mark) -> NDArray[np.bool_]:
    """Return which of a channel's samples are under one of these marks."""
    found = []
    for frame in frames:
        signal = frame.signals.get(name)
        if signal is not None:
            mask = np.zeros(len(signal), np.bool_)
            for run in signal.marks:
                if run.mark in marks:
                    mask[run.start : run.start + run.length] = True
            found.append(mask)
    return np.concatenate(found)
