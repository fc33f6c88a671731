"""From the bytes of a frame to a `Frame`: the rules of form that need no descriptor (SPEC sections 1 to 3, 5 and 7).

What a device can get wrong raises an `InputError` whose `reason` is of the vocabulary of `protocol/vectors/README.md`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from vitalwire import cbor
from vitalwire.crypto import frame_payload, is_signed
from vitalwire.encryption import ciphertext_of
from vitalwire.errors import FrameError
from vitalwire.frame.descriptor import read_descriptor
from vitalwire.frame.fields import array, integer, mapping, octets
from vitalwire.frame.scan import scan, scan_scalars
from vitalwire.messages import Descriptor, Event, Frame, MarkRun, Scalar
from vitalwire_protocol import spec
from vitalwire_protocol.spec import EventKey, Key, Kind, Limit

UINT63 = (0, (1 << 63) - 1)
UINT64 = (0, (1 << 64) - 1)
_HALF_COUNTS = 1 << Limit.MAX_BITS - 1

_COMMON = frozenset(map(int, (Key.KIND, Key.BOOT, Key.SEQ, Key.PREV, Key.TICKS, Key.UTC, Key.UTC_ACCURACY)))
_DESCRIBED = _COMMON | {int(Key.DESCRIPTOR)}
KNOWN: dict[int, frozenset[int]] = {  # of each kind, the keys that mean something in it
    Kind.DESCRIPTOR: _COMMON
    | set(map(int, (Key.VERSION, Key.DEVICE, Key.PUBLIC_KEY, Key.BOARD, Key.FIRMWARE, Key.POLICY)))
    | set(map(int, (Key.CHANNELS, Key.CALIBRATIONS, Key.DURABLE))),
    Kind.DATA: _DESCRIBED | set(map(int, (Key.BLOCKS, Key.MARKS, Key.SCALARS, Key.PRIVATE))),
    Kind.EVENT: _DESCRIBED | {int(Key.EVENTS), int(Key.PRIVATE)},
    Kind.STATUS: _DESCRIBED | {int(Key.COUNTERS)},
}
_KINDS: dict[int, Kind] = {int(kind): kind for kind in Kind}
_MARKS: dict[int, spec.Mark] = {int(mark): mark for mark in spec.Mark}
_EVENTS: dict[int, spec.Event] = {int(event): event for event in spec.Event}

# Bounds of an event's details; a pair is an integer's, a number the size of a byte string, None a boolean.
_DETAILS: dict[int, tuple[int, int] | int | None] = {
    EventKey.CHANNEL: (0, Limit.MAX_CHANNELS - 1),
    EventKey.STREAM: (0, Limit.MAX_STREAMS - 1),
    EventKey.CAUSE: UINT64,
    EventKey.FIRST: (1, Limit.MAX_SEQ),
    EventKey.LAST: (1, Limit.MAX_SEQ),
    EventKey.DIGEST: spec.PREV_SIZE,
    EventKey.COUNT: UINT64,
    EventKey.ESTIMATED: None,
    EventKey.FAULT: UINT64,
    EventKey.MILLIVOLT: UINT64,
    EventKey.UTC: UINT63,
    EventKey.UTC_ACCURACY: (0, Limit.MAX_ACCURACY),
    EventKey.PREV: spec.PREV_SIZE,
}


def parse(raw: bytes) -> Frame:
    """Return the frame that these bytes are; form and size of its signature or MAC are checked, nothing more.

    Raises `FrameError` or `CborError` (SPEC section 8, step 1: *malformed*).
    """
    found = scan(raw)
    if found is None:
        return parse_any(raw)
    seq, boot, prev, descriptor, utc_us, utc_accuracy, ticks, begin, end, at = found
    blocks = raw[begin:end] if begin else None
    scalars = (
        tuple([Scalar(channel, ticks + ago, counts) for channel, ago, counts in scan_scalars(raw, at)]) if at else ()
    )
    digest = hashlib.sha256(raw).digest()
    return Frame(
        raw, digest, Kind.DATA, boot, seq, prev, descriptor, ticks, utc_us, utc_accuracy, blocks, (), scalars
    )  # fmt: skip


def parse_any(raw: bytes) -> Frame:
    """Do the same for every form a frame may have, the usual one included."""
    fields = cbor.decode(frame_payload(raw))
    if type(fields) is not dict:
        raise FrameError("a frame's payload is a map", reason="type")
    digest = hashlib.sha256(raw).digest()
    number = integer(fields, Key.KIND, 1, 255)
    boot = integer(fields, Key.BOOT, 1, Limit.MAX_BOOT)
    seq = integer(fields, Key.SEQ, 1, Limit.MAX_SEQ)
    prev = octets(fields, Key.PREV, spec.PREV_SIZE)
    ticks = integer(fields, Key.TICKS, *UINT63)
    utc_us = utc_accuracy = None
    if Key.UTC in fields or Key.UTC_ACCURACY in fields:
        utc_us = integer(fields, Key.UTC, *UINT63)
        utc_accuracy = integer(fields, Key.UTC_ACCURACY, 0, Limit.MAX_ACCURACY)
    known = KNOWN.get(number, _DESCRIBED)
    unknown = {} if fields.keys() <= known else {key: fields[key] for key in fields.keys() - known}

    opaque: bytes | None = None
    body: Descriptor | None = None
    descriptor: bytes | None = None
    if number == Kind.DESCRIPTOR:
        body = read_descriptor(fields, digest)
    else:
        descriptor = octets(fields, Key.DESCRIPTOR, spec.DIGEST_SIZE)
        if Key.PRIVATE in fields and Key.PRIVATE in known:
            opaque = ciphertext_of(fields[Key.PRIVATE])
    contents = read_contents(number, fields, ticks, some=opaque is not None)
    return Frame(
        raw,
        digest,
        _KINDS.get(number, number),
        boot,
        seq,
        prev,
        descriptor,
        ticks,
        utc_us,
        utc_accuracy,
        *contents,
        body,
        unknown,
        is_signed(raw),
        opaque,
    )


class Contents(NamedTuple):
    """What a frame of its kind is about, as in a `Frame`."""

    blocks: bytes | None = None
    marks: tuple[MarkRun, ...] = ()
    scalars: tuple[Scalar, ...] = ()
    events: tuple[Event, ...] = ()
    counters: Mapping[int, int] = {}


def read_contents(kind: int, fields: Mapping[int, Any], ticks: int, *, some: bool = False) -> Contents:
    """Return what stands in a map for a kind; `some`: the rest stands elsewhere. Raises `FrameError`."""
    if kind == Kind.DATA:
        blocks = octets(fields, Key.BLOCKS) if Key.BLOCKS in fields else None
        marks = _read_marks(array(fields, Key.MARKS, 0, Limit.MAX_MARKS)) if Key.MARKS in fields else ()
        scalars: tuple[Scalar, ...] = ()
        if Key.SCALARS in fields:
            scalars = _read_scalars(array(fields, Key.SCALARS, 0, Limit.MAX_SCALARS), ticks)
        return Contents(blocks, marks, scalars)
    if kind == Kind.EVENT and not (some and Key.EVENTS not in fields):
        return Contents(events=_read_events(array(fields, Key.EVENTS, 1, Limit.MAX_EVENTS), ticks))
    if kind == Kind.STATUS:
        return Contents(counters=_read_counters(fields))
    return Contents()


def _numbers(entry: Any, size: int, what: str) -> list[int]:
    if type(entry) is not list or len(entry) != size or any(type(each) is not int for each in entry):
        raise FrameError(f"{what} is an array of {size} integers", reason="type")
    return entry


def _read_marks(entries: list[Any]) -> tuple[MarkRun, ...]:
    runs: list[MarkRun] = []
    ends: dict[tuple[int, int], int] = {}
    for entry in entries:
        channel, mark, start, length = _numbers(entry, 4, "a run of marks")
        if not (
            0 <= channel < Limit.MAX_CHANNELS
            and 1 <= mark <= 255
            and 0 <= start < Limit.MAX_BLOCK_SAMPLES
            and 1 <= length <= Limit.MAX_BLOCK_SAMPLES
        ):
            raise FrameError("a run of marks out of bounds", reason="range")
        if start < ends.get((channel, mark), 0):
            raise FrameError(f"runs of mark {mark} on channel {channel} overlap or are out of order", reason="marks")
        ends[channel, mark] = start + length
        runs.append(MarkRun(channel, _MARKS.get(mark, mark), start, length))
    return tuple(runs)


def _read_scalars(entries: list[Any], origin: int) -> tuple[Scalar, ...]:
    scalars: list[Scalar] = []
    for entry in entries:
        channel, ticks, counts = _numbers(entry, 3, "a scalar")
        if not (
            0 <= channel < Limit.MAX_CHANNELS and _is_ticks(origin + ticks) and -_HALF_COUNTS <= counts < _HALF_COUNTS
        ):
            raise FrameError("a scalar out of bounds", reason="range")
        scalars.append(Scalar(channel, origin + ticks, counts))
    return tuple(scalars)


def _is_ticks(number: int) -> bool:
    return UINT63[0] <= number <= UINT63[1]


def _read_events(entries: list[Any], origin: int) -> tuple[Event, ...]:
    events: list[Event] = []
    for entry in entries:
        if type(entry) is not list or len(entry) != 3 or type(entry[2]) is not dict:
            raise FrameError("an event is an array of code, ticks and a map", reason="type")
        code, ticks = _numbers(entry[:2], 2, "code and ticks of an event")
        if not (1 <= code <= 255 and ticks <= 0 and _is_ticks(origin + ticks)):
            raise FrameError("an event's code or ticks out of bounds", reason="range")
        details: dict[int, Any] = entry[2]
        for key in details.keys() & _DETAILS.keys():
            bounds = _DETAILS[key]
            if bounds is None:
                if type(details[key]) is not bool:
                    raise FrameError(f"{EventKey(key).name} of an event is true or false", reason="type")
            elif isinstance(bounds, tuple):
                integer(details, EventKey(key), *bounds)
            else:
                octets(details, EventKey(key), bounds)
        events.append(Event(_EVENTS.get(code, code), origin + ticks, details))
    return tuple(events)


def _read_counters(fields: Mapping[int, Any]) -> Mapping[int, int]:
    counters: dict[int, int] = mapping(fields, Key.COUNTERS)
    if any(type(value) is not int for value in counters.values()):
        raise FrameError("COUNTERS is a map of integers", reason="type")
    if any(value < 0 for value in counters.values()):
        raise FrameError("a counter below zero", reason="range")
    return counters
