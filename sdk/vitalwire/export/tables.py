"""What becomes rows: samples by stream, single readings, events. Knows no file format; a `Sheet` writes one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vitalwire.messages import Channel, Event
from vitalwire.signals import Signal
from vitalwire_protocol import spec

from .files import Files
from .stretches import Happened, Part, Piece, Reading, Samples, Stretch, mark_name

Column: TypeAlias = "NDArray[np.generic] | list[str] | Sequence[int | None]"
Columns: TypeAlias = Mapping[str, Column]


class Sheet(Protocol):
    """One file of rows."""

    def append(self, columns: Columns) -> None:
        """Add rows: columns of equal length, the same ones each time."""

    def close(self) -> None:
        """Complete the file."""


MakeSheet: TypeAlias = Callable[[Path, Mapping[str, str]], Sheet]


class TableWriter:
    """Writes `TITLE.suffix` for each stream (if `streams`), `readings` and `events`."""

    def __init__(self, files: Files, make: MakeSheet, suffix: str, *, streams: bool = True) -> None:
        self._files = files
        self._make = make
        self._suffix = suffix
        self._streams = streams
        self._sheets: dict[Hashable, tuple[str, Sheet]] = {}
        self._titles: Counter[str] = Counter()

    def write(self, part: Part) -> None:
        """Write one part."""
        match part:
            case Samples(stretch, piece) if self._streams:
                stretch.file, sheet = self._sheet(stretch.channels, stretch.title, described(stretch.channels))
                sheet.append(sample_rows(stretch, piece))
            case Reading():
                self._sheet("readings", "readings", {})[1].append(reading_row(part))
            case Happened():
                self._sheet("events", "events", {})[1].append(event_row(part))

    def close(self) -> None:
        """Complete all files."""
        for _, sheet in self._sheets.values():
            sheet.close()

    def _sheet(self, key: Hashable, title: str, facts: Mapping[str, str]) -> tuple[str, Sheet]:
        """Return a file's name and the file, made when it is first wanted."""
        if key not in self._sheets:
            # Another descriptor may have given a stream other channels: then a file of its own.
            self._titles[title] += 1
            number = self._titles[title]
            title = title if number == 1 else f"{title}-{number}"
            path = self._files.name(title, self._suffix, beside=not self._streams)
            self._sheets[key] = path.name, self._make(path, facts)
        return self._sheets[key]


def reading_row(reading: Reading) -> Columns:
    """Return a single reading as a row."""
    counts = np.array([reading.scalar.counts], np.int32)
    return {
        "seq": [reading.frame.seq],
        "time_us": [_micro(reading.frame.time_of(reading.scalar.ticks))],
        "channel": [reading.channel.name],
        "counts": counts,
        "value": physical(counts, reading.channel),
        "unit": [reading.channel.unit],
    }


def event_row(happened: Happened) -> Columns:
    """Return an event as a row."""
    return {
        "seq": [happened.frame.seq],
        "time_us": [_micro(happened.frame.time_of(happened.event.ticks))],
        "event": [event_name(happened.event)],
        "details": [json.dumps(details(happened.event))],
    }


def sample_rows(stretch: Stretch, piece: Piece) -> Columns:
    """Return the samples of one frame as rows: counts, the values they stand for, and the marks they are under."""
    count = len(piece.counts)
    rows: dict[str, Column] = {
        "stretch": np.full(count, stretch.number, np.int32),
        "boot": np.full(count, stretch.boot, np.int64),
        "seq": np.full(count, piece.frame.seq, np.int64),
        "time_us": [_micro(time) for time in piece.time.tolist()],
    }
    for place, channel in enumerate(stretch.channels):
        rows[channel.name] = counts = piece.counts[:, place]
        rows[f"{channel.name}_value"] = physical(counts, channel)
        marks = [""] * count
        for where, run in piece.marks:
            if where == place:
                for sample in range(run.start, run.start + run.length):
                    marks[sample] = f"{marks[sample]}+{mark_name(run.mark)}".lstrip("+")
        rows[f"{channel.name}_mark"] = marks
    return rows


def described(channels: tuple[Channel, ...]) -> dict[str, str]:
    """Return what the descriptor says of channels, as text by name: what `value` means."""
    return {channel.name: json.dumps(describe(channel)) for channel in channels}


def describe(channel: Channel) -> dict[str, object]:
    """Return what the descriptor says of a channel; value = offset + counts x scale, in `unit` (UCUM)."""
    return {
        "name": channel.name,
        "unit": channel.unit,
        "mdc": channel.mdc,
        "part": channel.part,
        "rate_hz": None if channel.rate is None else float(channel.rate),
        "bits": channel.bits,
        "scale": f"{channel.scale.mantissa}e{channel.scale.exponent}",
        "offset": f"{channel.offset.mantissa}e{channel.offset.exponent}",
    }


def event_name(event: Event) -> str:
    """Return an event's name, or its number if it is not known here."""
    return event.code.name if isinstance(event.code, spec.Event) else str(event.code)


def details(event: Event) -> dict[str, object]:
    """Return an event's details by name, byte strings in hexadecimal."""
    names = {int(key): key.name.lower() for key in spec.EventKey}
    return {
        names.get(key, str(key)): value.hex() if isinstance(value, bytes) else value
        for key, value in event.details.items()
    }


def physical(counts: NDArray[np.int32], channel: Channel) -> NDArray[np.float64]:
    """Return the values that counts stand for."""
    return Signal(channel, counts, 0).values


def _micro(seconds: float) -> int | None:
    return None if seconds != seconds else round(seconds * 1e6)
