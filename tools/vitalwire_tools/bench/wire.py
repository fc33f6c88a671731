"""Measures what a minute of the virtual board's signal takes on the wire, against what users send today.

The same samples, all of them, as: our frames of every kind; one MedTech JSON event a sample; JSON with
an array of samples for each channel every two seconds; SenML in CBOR (RFC 8428 section 6). Transports are not counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
from rich.table import Table

from vitalwire.client import VerifiedFrame
from vitalwire.frame import readouts
from vitalwire.messages import Channel
from vitalwire.signals import Signal

from . import standard

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)  # a time of day like any other
DEVICE = "virtual"
# Labels of SenML in CBOR: RFC 8428 table 4.
BASE_NAME, BASE_TIME, BASE_UNIT, VALUE, TIME = -2, -3, -4, 2, 6
UNITS = {"mV": "mV", "1": "/", "m/s2": "m/s2", "Cel": "Cel"}  # SenML's names of ours (RFC 8428 12.1, RFC 8798)


def run() -> dict[str, Any]:
    """Return bytes and ratios (ours / theirs); `overhead_bytes` of a frame is everything but the bodies of blocks."""
    signal = standard.minute()
    frames = signal.frames
    ours = sum(map(len, signal.everything))
    bodies = [_bodies(frame) for frame in frames]
    samples = sum(len(each) for frame in frames for each in frame.signals.values() if each.at is None)
    theirs = {
        "json_event": sum(len(event) for frame in frames for event in events(frame)),
        "json_array": sum(len(arrays(frame)) for frame in frames),
        "senml": sum(len(senml(frame)) for frame in frames),
    }
    overheads = [len(frame.raw) - body for frame, body in zip(frames, bodies, strict=True)]
    return {
        "overhead_bytes": sum(overheads) / len(frames),
        "overhead_most": max(overheads),
        **{f"{name}_ratio": ours / size for name, size in theirs.items()},
        "frames": len(signal.everything),
        "data_frames": len(frames),
        "seconds": signal.seconds,
        "samples": samples,
        "bytes": ours,
        "data_bytes": sum(len(frame.raw) for frame in frames),
        **{f"{name}_bytes": size for name, size in theirs.items()},
    }


def _bodies(frame: VerifiedFrame) -> int:
    return sum(len(body) for readout in readouts(frame.frame, frame.descriptor) for _, body in readout.blocks)


def sampled(frame: VerifiedFrame) -> Iterator[tuple[Channel, Signal]]:
    """Yield the channels that have samples."""
    return ((signal.channel, signal) for signal in frame.signals.values() if signal.at is None)


def _at(signal: Signal, place: int) -> float:
    rate = float(signal.channel.rate or 1)
    return signal.ticks / 1e6 - (len(signal) - 1 - place) / rate


def _value(channel: Channel, count: int) -> float:
    """Return a physical value in as many digits as tell two counts apart, and no more."""
    digits = max(0, -channel.scale.exponent - len(str(abs(channel.scale.mantissa))) + 1)
    value = round(count * float(channel.scale) + float(channel.offset), digits)
    return int(value) if value == int(value) else value


def _stamp(seconds: float) -> str:
    return (BEGAN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def events(frame: VerifiedFrame) -> Iterator[bytes]:
    """Yield the body of one event for each sample, as MedTech's templates take it: device, time, value."""
    for channel, signal in sampled(frame):
        for place, count in enumerate(signal.counts.tolist()):
            body = {"dev": DEVICE, "t": _stamp(_at(signal, place)), channel.name: _value(channel, count)}
            yield json.dumps(body, separators=(",", ":")).encode()


def arrays(frame: VerifiedFrame) -> bytes:
    """Return one message with an array of values for each channel, and what is needed to place them in time."""
    body: dict[str, object] = {"dev": DEVICE}
    for channel, signal in sampled(frame):
        values = [_value(channel, count) for count in signal.counts.tolist()]
        body[channel.name] = {
            "t": _stamp(_at(signal, 0)),
            "hz": float(channel.rate or 1),
            "unit": channel.unit,
            "v": values,
        }
    return json.dumps(body, separators=(",", ":")).encode()


def senml(frame: VerifiedFrame) -> bytes:
    """Return one SenML pack: a base record for each channel, then a value and a time for each sample.

    Numbers are in their shortest exact form; values are whole steps of the sensor, so that they stay short.
    """
    records: list[dict[int, object]] = []
    for channel, signal in sampled(frame):
        begin = _at(signal, 0)
        rate = float(channel.rate or 1)
        for place, count in enumerate(signal.counts.tolist()):
            record: dict[int, object] = {VALUE: count}
            if place:
                record[TIME] = _short(place / rate)
            else:
                name = f"{DEVICE}/{channel.name}"
                record = {
                    BASE_NAME: name,
                    BASE_TIME: BEGAN.timestamp() + begin,
                    BASE_UNIT: UNITS[channel.unit],
                    VALUE: count,
                }
            records.append(record)
    return cbor2.dumps(records, canonical=True)


def _short(seconds: float) -> float:
    """Return a time that CBOR can hold in 3 or 5 bytes: to half a sample it is the same."""
    import struct

    short: float = struct.unpack(">f", struct.pack(">f", seconds))[0]
    return short


def render(result: dict[str, Any]) -> Table:
    """Return the figures of `run` as a table for a person."""
    table = Table("what", "bytes", "a sample", "ours to it", "target", title="wire", title_justify="left")
    for column in table.columns[1:4]:
        column.justify = "right"
    samples = result["samples"]
    table.add_row(
        f"vitalwire, {result['frames']} frames", f"{result['bytes']:,}", f"{result['bytes'] / samples:.2f}", "1", ""
    )
    names = {"json_event": "MedTech JSON, an event a sample", "json_array": "JSON, arrays", "senml": "SenML-CBOR"}
    targets = {"json_event": "1/40", "json_array": "1/5", "senml": "1/5"}
    for key, name in names.items():
        size, ratio = result[f"{key}_bytes"], result[f"{key}_ratio"]
        table.add_row(name, f"{size:,}", f"{size / samples:.2f}", f"1/{1 / ratio:.1f}", targets[key])
    table.add_section()
    mean, most = result["overhead_bytes"], result["overhead_most"]
    table.add_row("overhead of a frame: all but blocks' bodies", f"{mean:.0f}", "", f"at most {most}", "170")
    return table
