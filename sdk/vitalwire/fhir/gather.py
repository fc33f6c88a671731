"""Collects frames into windows and says when one is complete: all frames that may reach into it came, or time is up.

Holds at most KEPT closed windows of a device, so that a late frame can amend them; a frame later than that is named in
`Late`, for whoever can read the others again. Decides by ticks and numbers only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from vitalwire.messages import Descriptor, Frame
from vitalwire.ranges import Ranges
from vitalwire_protocol.spec import Event, EventKey, Kind

from .ids import WindowKey
from .windows import SECOND, Source, Window, first_at, streams, tick_of

LAG = 60 * SECOND  # ticks behind the others after which a stream is not waited for: its channels have stopped
KEPT = 16  # closed windows of a device
MAX_OPEN = 64  # windows of a device that wait; the oldest is closed when there are more
MAX_GAPS = 256  # remembered in the numbers of a device; the oldest is given up when there are more
MAX_BOOTS = 4


@dataclass(frozen=True, slots=True)
class Late:
    """A frame came for a window that is closed and not kept any more."""

    key: WindowKey


@dataclass(slots=True)
class _Open:
    """A window in the making."""

    descriptor: Descriptor
    sources: dict[int, Source] = field(default_factory=dict)  # by number
    is_closed: bool = False
    has_news: bool = False
    passed: float | None = None  # when the first stream passed its end
    complete: int | None = None  # the newest number when all streams had passed it


@dataclass(slots=True)
class _Device:
    seen: Ranges = field(default_factory=Ranges)
    reached: dict[tuple[int, int], int] = field(default_factory=dict)  # newest tick of (boot, stream)
    windows: dict[WindowKey, _Open] = field(default_factory=dict)
    gone: dict[int, int] = field(default_factory=dict)  # of each boot, the end of windows no longer kept
    head: int = 0  # the highest number
    boot: int = 0


class Gatherer:
    """Windows of `length` ticks for resources of one form.

    A window that is not complete is closed after `patience` seconds of `now`, or when MAX_OPEN others wait.
    """

    def __init__(self, form: str, length: int, patience: float = math.inf) -> None:
        self.form = form
        self.length = length
        self.patience = patience
        self._devices: dict[bytes, _Device] = {}

    def add(self, source: Source, now: float = 0.0) -> Iterator[Window | Late]:
        """Take a frame of any kind and yield the windows that this completes."""
        device = self._devices.setdefault(source.device, _Device())
        frame = source.frame
        _saw(device.seen, frame)
        device.head = max(device.head, frame.seq)
        if frame.boot > device.boot:
            device.boot = frame.boot
            device.reached = {at: tick for at, tick in device.reached.items() if at[0] > frame.boot - MAX_BOOTS}
            device.gone = {boot: end for boot, end in device.gone.items() if boot > frame.boot - MAX_BOOTS}
        if frame.kind == Kind.DATA:
            for start in self._place(device, source):
                key = WindowKey(source.device, frame.boot, start, self.length, self.form, source.descriptor.digest)
                if key not in device.windows and start + self.length <= device.gone.get(frame.boot, 0):
                    yield Late(key)
                    continue
                window = device.windows.setdefault(key, _Open(source.descriptor))
                window.has_news |= frame.seq not in window.sources
                window.sources[frame.seq] = source
        yield from self._due(device, now)

    def due(self, now: float) -> Iterator[Window]:
        """Yield the windows whose time is up."""
        for device in self._devices.values():
            yield from self._due(device, now)

    def flush(self) -> Iterator[Window]:
        """Yield all that is there: nothing more comes."""
        for device in self._devices.values():
            for key in sorted(device.windows, key=_in_time):
                yield from self._close(device, key)

    def kept(self) -> Iterator[Source]:
        """Yield the frames of all windows that wait or could be amended; one may come several times."""
        for device in self._devices.values():
            for window in device.windows.values():
                yield from window.sources.values()

    def _place(self, device: _Device, source: Source) -> list[int]:
        """Return the starts of the windows that a frame has samples in."""
        starts: set[int] = set()
        boot = source.frame.boot
        for channel in streams(source.descriptor):
            signal = source.signals.get(channel.name)
            if signal is None or not len(signal) or channel.stream is None or channel.rate is None:
                continue
            where = (boot, channel.stream)
            reached = device.reached.get(where, 0) if source.frame.seq >= device.head else 0
            begin = max(0, tick_of(signal, 0, channel.rate), min(reached, signal.ticks))
            at = begin // self.length * self.length
            while at <= signal.ticks:
                starts.add(at)
                # On to the window of the next sample, however long a device says that samples are apart.
                index = first_at(signal, at + self.length, channel.rate)
                if index >= len(signal):
                    break
                at = tick_of(signal, index, channel.rate) // self.length * self.length
            device.reached[where] = max(device.reached.get(where, 0), signal.ticks)
        starts.update(scalar.ticks // self.length * self.length for scalar in source.frame.scalars if source.signals)
        return sorted(start for start in starts if start >= 0)

    def _due(self, device: _Device, now: float) -> Iterator[Window]:
        for key in sorted(device.windows, key=_in_time):
            window = device.windows[key]
            if window.is_closed and not window.has_news:
                continue
            self._look(device, key, window, now)
            is_late = window.passed is not None and now - window.passed >= self.patience
            if is_late or (window.complete is not None and _whole(device, window)):
                yield from self._close(device, key)
        waiting = [key for key, window in device.windows.items() if not window.is_closed]
        for key in sorted(waiting, key=_in_time)[: max(0, len(waiting) - MAX_OPEN)]:
            yield from self._close(device, key)
        closed = [key for key, window in device.windows.items() if window.is_closed]
        for key in sorted(closed, key=_in_time)[: max(0, len(closed) - KEPT)]:
            del device.windows[key]
            device.gone[key.boot] = max(device.gone.get(key.boot, 0), key.start + key.length)

    def _close(self, device: _Device, key: WindowKey) -> Iterator[Window]:
        window = device.windows[key]
        if window.is_closed and not window.has_news:
            return
        sources = tuple(window.sources[seq] for seq in sorted(window.sources))
        yield Window(key, window.descriptor, sources, amended=window.is_closed)
        window.is_closed, window.has_news, window.passed = True, False, None

    def _look(self, device: _Device, key: WindowKey, window: _Open, now: float) -> None:
        """Note whether the first and the last stream have passed a window."""
        stop = key.start + self.length
        ticks = [device.reached.get((key.boot, number), 0) for number in range(len(window.descriptor.streams))]
        newest = max(ticks, default=0)
        rebooted = device.boot > key.boot
        if window.passed is None and (rebooted or newest >= stop):
            window.passed = now
        if window.complete is None and (rebooted or all(tick >= stop or newest - tick > LAG for tick in ticks)):
            window.complete = device.head


def _whole(device: _Device, window: _Open) -> bool:
    """Whether no number is missing from before a window's first frame to the one that completed it."""
    first = min(window.sources)
    earliest = next(iter(device.seen))[0]
    last = window.complete or first
    return any(low <= max(first - 1, earliest) and last <= high for low, high in device.seen)


def _in_time(key: WindowKey) -> tuple[int, int, bytes]:
    return key.boot, key.start, key.descriptor


def _saw(seen: Ranges, frame: Frame) -> None:
    """Note a frame's number, and those that it declares to have no frame."""
    seen.add(frame.seq, frame.seq)
    for event in frame.events:
        if event.code in (Event.BOOT, Event.DROPPED):
            first, last = event.details.get(EventKey.FIRST), event.details.get(EventKey.LAST)
            if isinstance(first, int) and isinstance(last, int) and 0 < first <= last < frame.seq:
                seen.add(first, last)
    while len(seen) > MAX_GAPS:
        (first, _), (_, last) = islice(seen, 2)
        seen.add(first, last)
