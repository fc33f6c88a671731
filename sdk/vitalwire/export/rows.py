"""What becomes rows: samples by stream, single readings, events, each by column. Knows no file format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vitalwire.messages import Channel, Event, MarkRun
from vitalwire.signals import Signal
from vitalwire_protocol import spec

from .stretches import Happened, Piece, Reading, Stretch, mark_name

Column: TypeAlias = "NDArray[np.generic] | list[str] | Sequence[int | None]"
Columns: TypeAlias = Mapping[str, Column]

# What a worker needs of one frame: number of the stretch, boot, seq, counts, times, marks.
_Piece: TypeAlias = tuple[int, int, int, NDArray[np.int32], NDArray[np.float64], tuple[tuple[int, MarkRun], ...]]


class Rows(Protocol):
    """Rows of one file that wait until there are enough of them."""

    def __len__(self) -> int: ...

    def columns(self) -> Columns:
        """Return them by column, each of the same length."""


@dataclass(slots=True)
class SampleRows:
    """Samples of one stream, a row a sample: counts, the values they stand for, and the marks they are under."""

    channels: tuple[Channel, ...]
    pieces: list[_Piece] = field(default_factory=list)
    count: int = 0

    def __len__(self) -> int:
        return self.count

    def add(self, stretch: Stretch, piece: Piece) -> None:
        """Add what one frame holds."""
        self.pieces.append((stretch.number, stretch.boot, piece.frame.seq, piece.counts, piece.time, piece.marks))
        self.count += len(piece.counts)

    def columns(self) -> Columns:
        """Return the rows by column."""
        numbers, boots, seqs, pieces, times, marks = zip(*self.pieces, strict=True)
        lengths = [len(each) for each in pieces]
        counts = np.concatenate(pieces)
        rows: dict[str, Column] = {
            "stretch": np.repeat(np.array(numbers, np.int32), lengths),
            "boot": np.repeat(np.array(boots, np.int64), lengths),
            "seq": np.repeat(np.array(seqs, np.int64), lengths),
            "time_us": _micro(np.concatenate(times)),
        }
        begins = np.cumsum(lengths) - lengths
        for place, channel in enumerate(self.channels):
            rows[channel.name] = counts[:, place]
            rows[f"{channel.name}_value"] = physical(counts[:, place], channel)
            names = [""] * len(counts)
            for begin, runs in zip(begins.tolist(), marks, strict=True):
                for where, run in runs:
                    if where == place:
                        for sample in range(begin + run.start, begin + run.start + run.length):
                            names[sample] = f"{names[sample]}+{mark_name(run.mark)}".lstrip("+")
            rows[f"{channel.name}_mark"] = names
        return rows


@dataclass(slots=True)
class ListedRows:
    """Single readings, or events: a row each."""

    rows: list[Mapping[str, Any]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one."""
        self.rows.append(row)

    def columns(self) -> Columns:
        """Return the rows by column."""
        return {name: _column([row[name] for row in self.rows]) for name in self.rows[0]}


def reading_row(reading: Reading) -> Mapping[str, Any]:
    """Return a single reading as a row."""
    counts = np.array([reading.scalar.counts], np.int32)
    return {
        "seq": reading.frame.seq,
        "time_us": _micro(np.array([reading.frame.time_of(reading.scalar.ticks)]))[0],
        "channel": reading.channel.name,
        "counts": counts[0],
        "value": physical(counts, reading.channel)[0],
        "unit": reading.channel.unit,
    }


def event_row(happened: Happened) -> Mapping[str, Any]:
    """Return an event as a row."""
    return {
        "seq": happened.frame.seq,
        "time_us": _micro(np.array([happened.frame.time_of(happened.event.ticks)]))[0],
        "event": event_name(happened.event),
        "details": json.dumps(details(happened.event)),
    }


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


def _column(values: list[Any]) -> Column:
    return np.array(values) if isinstance(values[0], np.generic) else values


def _micro(seconds: NDArray[np.float64]) -> Sequence[int | None]:
    unknown = np.isnan(seconds)
    micro: list[int | None] = np.rint(np.where(unknown, 0, seconds) * 1e6).astype(np.int64).tolist()
    for place in np.flatnonzero(unknown).tolist():
        micro[place] = None
    return micro
