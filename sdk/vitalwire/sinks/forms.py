"""What goes over the wire for an entry: the signed frame as it is, or JSON in the event shape of MedTech's templates.

A form never fails on a frame it cannot put into words (its descriptor is not known, its payload is encrypted, its
samples do not decode): that frame goes out as it is, and the content type says so. Nothing here does I/O.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum

import numpy as np

from vitalwire.errors import FrameError, InputError
from vitalwire.frame import parse
from vitalwire.messages import Channel, Descriptor, Event, Frame
from vitalwire.signals import Signal, decode
from vitalwire.spool import Entry
from vitalwire_protocol import spec

from .descriptors import Descriptors, FindDescriptor
from .sink import Rejected

CREATED = "iothub-creation-time-utc"  # the property that MedTech's device templates take the time from
DEVICE_ID = "iothub-connection-device-id"
JSON_TYPE = "application/json"
_COSE_TYPES = {0xC0 | spec.Tag.SIGN1: "cose-sign1", 0xC0 | spec.Tag.MAC0: "cose-mac0"}  # by the first byte: the tag

MAX_SAMPLES = 1 << 14  # in the JSON of one frame: a few bytes may stand for a quarter of a million samples
_WORDS = {"unit", "time", "device", "mdc", "period_ms", "marks"}  # beside a channel's values
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Form(StrEnum):
    """How frames go out: as signed, as JSON with an array a channel, or as JSON with an object a sample."""

    FRAME = "frame"
    JSON = "json"
    JSON_SAMPLES = "json-samples"


@dataclass(frozen=True, slots=True)
class Message:
    """What a sink sends: `properties` are the same whatever the form, all text."""

    body: bytes = field(repr=False)
    content_type: str
    properties: Mapping[str, str]


class Former:
    """Makes the message of each entry; learns descriptors from entries, asks `find` for others by digest (8 bytes).

    `envelope` is for peers that are not IoT Hub, which adds `Properties` and `SystemProperties` by itself.
    """

    def __init__(self, form: Form, *, envelope: bool = True, find: FindDescriptor | None = None) -> None:
        self._form = form
        self._envelope = envelope
        self._descriptors = Descriptors(find)

    def __call__(self, entry: Entry) -> Message | Rejected:
        """Return the message, or why there is none: only for JSON of more than `MAX_SAMPLES` samples."""
        about = properties(entry)
        if self._form is not Form.FRAME:
            try:
                body = self._body(entry)
            except _TooLongError as error:
                return Rejected(entry.position, str(error))
            if body is not None:
                told = body if not self._envelope else _enveloped(entry, body, about)
                return Message(json.dumps(told, separators=(",", ":")).encode(), JSON_TYPE, about)
        return Message(entry.raw, cose_type(entry.raw), about)

    def _body(self, entry: Entry) -> dict[str, object] | None:
        try:
            frame = parse(entry.raw)
            descriptor = self._descriptors.of(frame)
            if descriptor is None or frame.opaque is not None:
                return None
            if frame.kind == spec.Kind.DATA:
                return _head(entry) | self._data(entry, frame, descriptor)
            return _head(entry) | (_events(entry, frame) if frame.events else _other(frame))
        except InputError:
            return None

    def _data(self, entry: Entry, frame: Frame, descriptor: Descriptor) -> dict[str, object]:
        signals = decode(frame, descriptor)
        if not _WORDS.isdisjoint(signals):
            raise FrameError("a channel is called as what stands beside its values")
        count = sum(len(signal) for signal in signals.values())
        if count > MAX_SAMPLES:
            raise _TooLongError(f"{count} samples in a frame; JSON is made of at most {MAX_SAMPLES}")
        readings: list[dict[str, object]] = []
        for signal in signals.values():
            if signal.at is None and self._form is Form.JSON:
                readings.append(_array(entry, frame, signal))
            else:
                readings += _each(entry, frame, signal)
        return {"readings": readings}


class _TooLongError(Exception):
    pass


def properties(entry: Entry) -> dict[str, str]:
    """Return what a message says of its entry beside the body: enough to route it and to know duplicates."""
    about = {
        "device": entry.device,
        "thumbprint": entry.thumbprint.hex(),
        "kind": _name(entry.kind),
        "boot": str(entry.boot),
        "seq": str(entry.seq),
        "digest": entry.digest.hex(),
        "trust": entry.trust.value,
    }
    created = iso(entry.time_us)
    return about if created is None else about | {CREATED: created}


def cose_type(raw: bytes) -> str:
    """Return the media type of a frame (RFC 9052 section 10.3)."""
    return f'application/cose; cose-type="{_COSE_TYPES[raw[0]]}"'


def utc(time_us: int | None) -> datetime | None:
    """Return microseconds since 1970 as a moment; None where there is no such time, or no such year."""
    if time_us is None:
        return None
    try:
        return _EPOCH + timedelta(microseconds=time_us)
    except OverflowError:
        return None


def iso(time_us: int | None) -> str | None:
    """Return microseconds since 1970 as RFC 3339 text; None as in `utc`."""
    moment = utc(time_us)
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# ------------------------------------------------------------ the parts of a body


def _enveloped(entry: Entry, body: dict[str, object], about: Mapping[str, str]) -> dict[str, object]:
    return {"Body": body, "Properties": dict(about), "SystemProperties": {DEVICE_ID: entry.device}}


def _head(entry: Entry) -> dict[str, object]:
    return {
        "device": entry.device,
        "thumbprint": entry.thumbprint.hex(),
        "kind": _name(entry.kind),
        "boot": entry.boot,
        "seq": entry.seq,
        "digest": entry.digest.hex(),
        "trust": entry.trust.value,
        "time": iso(entry.time_us),
        "accuracy_us": entry.accuracy_us,
    }


def _events(entry: Entry, frame: Frame) -> dict[str, object]:
    return {"events": [_event(entry, frame, event) for event in frame.events]}


def _event(entry: Entry, frame: Frame, event: Event) -> dict[str, object]:
    told = {_key(spec.EventKey, key): _plain(value) for key, value in event.details.items()}
    return told | {"event": _name(event.code), "time": _time(entry, frame, event.ticks)}


def _other(frame: Frame) -> dict[str, object]:
    if frame.body is None:
        return {"counters": {_key(spec.Counter, key): value for key, value in frame.counters.items()}}
    body = frame.body
    return {"board": body.board, "firmware": body.firmware, "channels": [_channel(each) for each in body.channels]}


def _channel(channel: Channel) -> dict[str, object]:
    rate = None if channel.rate is None else float(channel.rate)
    return {"name": channel.name, "unit": channel.unit, "mdc": channel.mdc, "part": channel.part, "rate_hz": rate}


def _array(entry: Entry, frame: Frame, signal: Signal) -> dict[str, object]:
    """Return a channel as one object: values (null: no measurement) from `time` on, `period_ms` apart by its rate."""
    assert signal.rate is not None
    values = [value if valid else None for value, valid in zip(_rounded(signal), signal.valid.tolist(), strict=True)]
    first = signal.ticks - int((len(signal) - 1) * 1_000_000 / signal.rate)
    told: dict[str, object] = {signal.name: values, "period_ms": float(1000 / signal.rate)}
    marks = [[_name(run.mark), run.start, run.length] for run in signal.marks]
    return told | _about(entry, frame, signal, first) | ({"marks": marks} if marks else {})


def _each(entry: Entry, frame: Frame, signal: Signal) -> Iterator[dict[str, object]]:
    """Yield an object for each valid sample or reading."""
    last = len(signal) - 1
    for place, (value, valid) in enumerate(zip(_rounded(signal), signal.valid.tolist(), strict=True)):
        if valid:
            if signal.at is None:
                ticks = signal.ticks - int((last - place) * 1_000_000 / (signal.rate or 1))
            else:
                ticks = int(signal.at[place])
            yield {signal.name: value} | _about(entry, frame, signal, ticks)


def _about(entry: Entry, frame: Frame, signal: Signal, ticks: int) -> dict[str, object]:
    # The device stands in each object, because a template sees only the object it matched.
    told: dict[str, object] = {"unit": signal.unit, "time": _time(entry, frame, ticks), "device": entry.device}
    return told if signal.channel.mdc is None else told | {"mdc": signal.channel.mdc}


def _rounded(signal: Signal) -> list[float]:
    """Return the values to a hundredth of a step, so that distinct counts stay distinct and texts stay short."""
    step = abs(float(signal.channel.scale))
    digits = 2 - math.floor(math.log10(step)) if step else 0
    values: list[float] = np.round(signal.values, digits).tolist() if digits <= 15 else signal.values.tolist()
    return values


def _time(entry: Entry, frame: Frame, ticks: int) -> str | None:
    return None if entry.time_us is None else iso(entry.time_us + ticks - frame.ticks)


def _name(value: int) -> str:
    return value.name.lower() if isinstance(value, IntEnum) else str(value)


def _plain(value: object) -> object:
    """Return what an unknown key of a frame holds as JSON can say it: bytes in hexadecimal, keys as text."""
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.hex() if isinstance(value, bytes) else value


def _key(keys: type[IntEnum], key: int) -> str:
    return keys(key).name.lower() if key in keys._value2member_map_ else str(key)
