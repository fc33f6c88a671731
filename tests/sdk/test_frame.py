"""A frame's map, descriptor and blocks: what SPEC allows is read, everything else has a reason."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitalwire import cbor, crypto, frame
from vitalwire.errors import BlockError, InputError
from vitalwire.messages import Decimal10, Event, MarkRun, Scalar
from vitalwire.testing import FakeDevice, flipped
from vitalwire.testing.device import varint
from vitalwire_protocol import spec
from vitalwire_protocol.spec import ChannelKey, EventKey, Key, Kind

DEVICE = FakeDevice("one")
DESCRIPTOR = DEVICE.descriptor()
BODY = frame.parse(DESCRIPTOR).body
assert BODY is not None
DATA = DEVICE.data(
    {"ecg_lead_i": np.arange(-5, 5), "accel_x": [1, 2], "accel_y": [3, 4], "accel_z": [5, 6]},
    marks=[(0, spec.Mark.LEAD_OFF, 0, 2), (0, 9, 0, 10), (0, spec.Mark.LEAD_OFF, 2, 1), (3, spec.Mark.SATURATED, 1, 1)],
    scalars=[(6, -500, 4321), (6, 500, -1)],
)


def fields_of(raw: bytes) -> dict[int, Any]:
    """Return a frame's map."""
    fields = cbor.decode(crypto.sign1_payload(raw))
    assert isinstance(fields, dict)
    return fields


def changed(raw: bytes, changes: dict[int, Any]) -> bytes:
    """Return the frame with other fields (None: without), its signature of the right form and wrong."""
    fields = {k: v for k, v in (fields_of(raw) | {int(k): v for k, v in changes.items()}).items() if v is not None}
    return raw[:7] + cbor.encode(cbor.encode(fields)) + raw[-66:]


def reason(raw: bytes) -> str:
    """Return why a frame is refused."""
    with pytest.raises(InputError) as caught:
        frame.parse(raw)
    return caught.value.reason


def test_a_data_frame_is_read_whole() -> None:
    """Every field of a data frame comes out, with absolute ticks and typed marks."""
    read = frame.parse(DATA)
    assert (read.kind, read.boot, read.seq, read.ticks) == (Kind.DATA, 1, 2, DEVICE.ticks)
    assert read.raw == DATA
    assert read.digest == hashlib.sha256(DATA).digest()
    assert read.prev == hashlib.sha256(DESCRIPTOR).digest()[:16]
    assert read.descriptor == BODY.digest == hashlib.sha256(DESCRIPTOR).digest()[:8]
    assert read.marks == (
        MarkRun(0, spec.Mark.LEAD_OFF, 0, 2),
        MarkRun(0, 9, 0, 10),
        MarkRun(0, spec.Mark.LEAD_OFF, 2, 1),
        MarkRun(3, spec.Mark.SATURATED, 1, 1),
    )
    assert read.scalars == (Scalar(6, DEVICE.ticks - 500, 4321), Scalar(6, DEVICE.ticks + 500, -1))
    assert (read.events, read.counters, read.body, read.unknown, read.utc_us) == ((), {}, None, {}, None)


def test_a_descriptor_is_read_whole() -> None:
    """Names, identity and channels come out exact; streams hold their channels."""
    assert (BODY.device, BODY.thumbprint, BODY.public_key) == ("one", DEVICE.thumbprint, DEVICE.point)
    assert BODY.channels == DEVICE.channels
    assert BODY.channels[0].rate == Fraction(256)
    assert BODY.channels[0].scale == Decimal10(3814697265625, -16)
    assert [[c.name for c in s] for s in BODY.streams] == [
        ["ecg_lead_i"],
        ["ppg_red", "ppg_ir"],
        ["accel_x", "accel_y", "accel_z"],
    ]


def test_events_and_counters_are_read() -> None:
    """Event ticks are absolute; unknown codes, details and counters are kept as they are."""
    details = {EventKey.CHANNEL: 3, 99: [b"later"]}
    read = frame.parse(changed(DEVICE.events((7, {})), {Key.EVENTS: [[2, -10, details], [200, 0, {}]]}))
    assert read.events == (
        Event(spec.Event.LEAD_OFF, read.ticks - 10, {1: 3, 99: [b"later"]}),
        Event(200, read.ticks, {}),
    )
    status = frame.parse(DEVICE.status({spec.Counter.FRAMES: 7, 250: 1 << 63}))
    assert status.counters == {2: 7, 250: 1 << 63}


def test_unknown_keys_kinds_and_keys_of_other_kinds_are_kept() -> None:
    """What a reader does not know never makes a frame invalid (SPEC sections 1 and 3)."""
    read = frame.parse(changed(DATA, {1000: "later", -1: {5: True}, Key.EVENTS: "not an array"}))
    assert read.unknown == {1000: "later", -1: {5: True}, Key.EVENTS: "not an array"}
    other = frame.parse(changed(DATA, {Key.KIND: 77}))
    assert (other.kind, other.blocks, other.marks) == (77, None, ())
    assert other.unknown.keys() == {Key.BLOCKS, Key.MARKS, Key.SCALARS}
    assert reason(changed(DATA, {Key.KIND: 77, Key.DESCRIPTOR: None})) == "missing-key"


@pytest.mark.parametrize("utc", [0, 1_790_000_000_000_000, (1 << 63) - 1])
def test_utc_stands_with_its_accuracy(utc: int) -> None:
    """Both are read, one alone is refused."""
    read = frame.parse(changed(DATA, {Key.UTC: utc, Key.UTC_ACCURACY: 63}))
    assert (read.utc_us, read.utc_accuracy) == (utc, 63)
    assert reason(changed(DATA, {Key.UTC: utc})) == "missing-key"
    assert reason(changed(DATA, {Key.UTC_ACCURACY: 0})) == "missing-key"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        *(({key: None}, "missing-key") for key in (1, 2, 3, 4, 5, 6)),
        *(({key: True}, "type") for key in (1, 2, 3, 4, 5, 6, 9, 10, 11)),
        *(({key: "1"}, "type") for key in (1, 2, 3, 4, 5, 6, 9, 10, 11)),
        ({Key.KIND: 0}, "range"),
        ({Key.KIND: 256}, "range"),
        ({Key.BOOT: 0}, "range"),
        ({Key.BOOT: 0xFFFFFFFF}, "range"),
        ({Key.SEQ: 0}, "range"),
        ({Key.SEQ: 0xFFFFFFFF}, "range"),
        ({Key.PREV: bytes(15)}, "range"),
        ({Key.DESCRIPTOR: bytes(9)}, "range"),
        ({Key.TICKS: -1}, "range"),
        ({Key.TICKS: 1 << 63}, "range"),
        ({Key.UTC: 1 << 63, Key.UTC_ACCURACY: 0}, "range"),
        ({Key.UTC: -1, Key.UTC_ACCURACY: 0}, "range"),
        ({Key.UTC: 0, Key.UTC_ACCURACY: 64}, "range"),
        ({Key.UTC: True, Key.UTC_ACCURACY: 0}, "type"),
        ({Key.MARKS: [[0, 1, 0, 1]] * 33}, "items"),
        ({Key.MARKS: [[0, 1, 0]]}, "type"),
        ({Key.MARKS: [[0, 1, 0, True]]}, "type"),
        ({Key.MARKS: [3]}, "type"),
        ({Key.MARKS: [[32, 1, 0, 1]]}, "range"),
        ({Key.MARKS: [[-1, 1, 0, 1]]}, "range"),
        ({Key.MARKS: [[0, 0, 0, 1]]}, "range"),
        ({Key.MARKS: [[0, 1, -1, 1]]}, "range"),
        ({Key.MARKS: [[0, 1, 0, 0]]}, "range"),
        ({Key.MARKS: [[0, 1, 8192, 1]]}, "range"),
        ({Key.MARKS: [[0, 1, 0, 8193]]}, "range"),
        ({Key.MARKS: [[0, 1, 0, 2], [0, 1, 1, 2]]}, "marks"),
        ({Key.MARKS: [[0, 1, 5, 2], [1, 1, 0, 1], [0, 1, 0, 2]]}, "marks"),
        ({Key.SCALARS: [[6, 0, 0]] * 33}, "items"),
        ({Key.SCALARS: [[6, 0]]}, "type"),
        ({Key.SCALARS: [[6, 0, False]]}, "type"),
        ({Key.SCALARS: [[32, 0, 0]]}, "range"),
        ({Key.SCALARS: [[6, (1 << 63) - 1, 0]]}, "range"),
        ({Key.SCALARS: [[6, 0, 1 << 63]]}, "range"),
    ],
)
def test_fields_of_data_frames_are_bounded(changes: dict[int, Any], expected: str) -> None:
    """A field missing, of another type or out of its bounds makes the frame malformed."""
    assert reason(changed(DATA, changes)) == expected


EVENT = DEVICE.events((spec.Event.BUTTON, {}))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (None, "missing-key"),
        ({}, "type"),
        ([], "range"),
        ([[1, 0, {}]] * 17, "items"),
        ([[1, 0]], "type"),
        ([[1, 0, []]], "type"),
        ([[True, 0, {}]], "type"),
        ([[0, 0, {}]], "range"),
        ([[256, 0, {}]], "range"),
        ([[1, 1, {}]], "range"),
        ([[1, -(1 << 63), {}], [1, 0, {EventKey.CHANNEL: 32}]], "range"),
        ([[1, 0, {EventKey.STREAM: 16}]], "range"),
        ([[1, 0, {EventKey.STREAM: False}]], "type"),
        ([[1, 0, {EventKey.FIRST: 0}]], "range"),
        ([[1, 0, {EventKey.LAST: 0xFFFFFFFF}]], "range"),
        ([[1, 0, {EventKey.DIGEST: bytes(15)}]], "range"),
        ([[1, 0, {EventKey.PREV: 5}]], "type"),
        ([[1, 0, {EventKey.COUNT: -1}]], "range"),
        ([[1, 0, {EventKey.ESTIMATED: 1}]], "type"),
        ([[1, 0, {EventKey.UTC_ACCURACY: 64}]], "range"),
    ],
)
def test_events_are_bounded(events: Any, expected: str) -> None:
    """An event's code, ticks and known details have types and bounds."""
    assert reason(changed(EVENT, {Key.EVENTS: events})) == expected


@pytest.mark.parametrize(
    ("counters", "expected"), [(None, "missing-key"), ([], "type"), ({1: -1}, "range"), ({1: True}, "type")]
)
def test_counters_are_unsigned(counters: Any, expected: str) -> None:
    """Counters are a map of integers from 0."""
    assert reason(changed(DEVICE.status(), {Key.COUNTERS: counters})) == expected


def test_a_payload_that_is_no_map_is_refused() -> None:
    """The payload itself is checked for its type."""
    assert reason(DATA[:7] + cbor.encode(cbor.encode([1])) + DATA[-66:]) == "type"


CHANNELS = fields_of(DESCRIPTOR)[Key.CHANNELS]


def with_channel(place: int, changes: dict[int, Any]) -> list[dict[int, Any]]:
    """Return the descriptor's channels with one changed."""
    entry = {int(k): v for k, v in (CHANNELS[place] | changes).items() if v is not None}
    return [*CHANNELS[:place], entry, *CHANNELS[place + 1 :]]


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (None, "missing-key"),
        ({}, "type"),
        ([], "range"),
        ([1], "type"),
        (CHANNELS * 5, "items"),
        (CHANNELS[1:], "channels"),
        *((with_channel(0, {key: None}), "missing-key") for key in (0, 1, 3, 4, 7, 8)),
        *((with_channel(0, {key: True}), "type") for key in range(10)),
        (with_channel(0, {ChannelKey.NAME: "accel_x"}), "channels"),
        (with_channel(0, {ChannelKey.STREAM: None}), "channels"),
        (with_channel(0, {ChannelKey.RATE: None}), "channels"),
        (with_channel(1, {ChannelKey.RATE: [101, 1]}), "channels"),
        (with_channel(0, {ChannelKey.STREAM: 3}), "channels"),
        (with_channel(0, {ChannelKey.STREAM: 2, ChannelKey.RATE: [52, 1]}), "channels"),
        (with_channel(0, {ChannelKey.STREAM: 16}), "range"),
        (with_channel(0, {ChannelKey.RATE: [0, 1]}), "range"),
        (with_channel(0, {ChannelKey.RATE: [1, 0]}), "range"),
        (with_channel(0, {ChannelKey.RATE: [1 << 32, 1]}), "range"),
        (with_channel(0, {ChannelKey.RATE: [256]}), "type"),
        (with_channel(0, {ChannelKey.BITS: 0}), "range"),
        (with_channel(0, {ChannelKey.BITS: 25}), "range"),
        (with_channel(0, {ChannelKey.SCALE: [1, 25]}), "range"),
        (with_channel(0, {ChannelKey.SCALE: [1, -25]}), "range"),
        (with_channel(0, {ChannelKey.SCALE: [1 << 63, 0]}), "range"),
        (with_channel(0, {ChannelKey.OFFSET: [0]}), "type"),
        (with_channel(0, {ChannelKey.MDC: 1 << 32}), "range"),
        (with_channel(0, {ChannelKey.MDC: -1}), "range"),
    ],
)
def test_channels_are_bounded_and_agree(channels: Any, expected: str) -> None:
    """Each channel's fields have types and bounds, and the channels do not contradict each other."""
    assert reason(changed(DESCRIPTOR, {Key.CHANNELS: channels})) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        *(({key: None}, "missing-key") for key in range(16, 23)),
        *(({key: True}, "type") for key in range(16, 23)),
        ({Key.VERSION: 2}, "version"),
        ({Key.PUBLIC_KEY: {1: 2, -1: 1, -2: bytes(32), -3: bytes(32)}}, "public-key"),
        ({Key.POLICY: 0}, "range"),
        ({Key.DEVICE: "a" * 65}, "text"),
    ],
)
def test_descriptors_are_bounded(changes: dict[int, Any], expected: str) -> None:
    """A descriptor's own fields have types and bounds; another version is another contract."""
    assert reason(changed(DESCRIPTOR, changes)) == expected


def test_a_descriptor_needs_no_descriptor() -> None:
    """The key DESCRIPTOR in a descriptor is one of another kind: kept aside."""
    read = frame.parse(changed(DESCRIPTOR, {Key.DESCRIPTOR: bytes(8)}))
    assert read.descriptor is None
    assert read.unknown == {Key.DESCRIPTOR: bytes(8)}


# ---------------------------------------------------------------- blocks


def with_blocks(blocks: bytes, ticks: int = 1000) -> bytes:
    """Return the data frame with another BLOCKS string."""
    return changed(DATA, {Key.BLOCKS: blocks, Key.TICKS: ticks, Key.SCALARS: None})


def block(body: bytes, coding: int = 0) -> bytes:
    """Return one block."""
    return varint(len(body) << spec.CODING_BITS | coding) + body


def cut(blocks: bytes) -> Any:
    """Return the readouts of a BLOCKS string."""
    assert BODY is not None
    return frame.readouts(frame.parse(with_blocks(blocks)), BODY)


ONE = varint(1) + block(b"x")
THREE = varint(3) + varint(9) + block(b"", 1) + block(b"z" * 40, 7) + block(b"w")


def test_readouts_are_cut_by_stream() -> None:
    """Streams without samples are skipped; ticks of later readouts add up from the frame's."""
    first, third = cut(ONE + varint(0) + THREE)
    assert (first.stream, first.count, first.ticks, first.blocks) == (0, 1, 1000, ((0, b"x"),))
    assert (third.stream, third.count, third.ticks) == (2, 3, 995)
    assert third.blocks == ((1, b""), (7, b"z" * 40), (0, b"w"))
    (only,) = cut(varint(0) + varint(0) + varint(3) + block(b"") + block(b"") + block(b""))
    assert (only.stream, only.ticks) == (2, 1000)
    assert cut(varint(0) * 3) == ()


def test_a_frame_without_blocks_has_no_readouts() -> None:
    """BLOCKS may be absent."""
    assert BODY is not None
    assert frame.readouts(frame.parse(changed(DATA, {Key.BLOCKS: None})), BODY) == ()


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (b"", "truncated"),
        (ONE, "truncated"),
        (ONE + varint(0), "truncated"),
        (varint(1) + varint(2 << 3) + b"x", "truncated"),
        (varint(1) + b"\x80", "truncated"),
        (ONE + varint(0) + THREE[:-1], "truncated"),
        (ONE + varint(0) + THREE + b"\0", "trailing"),
        (varint(8193) + block(b"x"), "block-count"),
        (b"\x80\x00", "varint"),
        (b"\x81\x80\x00", "varint"),
        (b"\xff\xff\xff\xff\x10", "varint"),
        (b"\xff\xff\xff\xff\xff\x00", "varint"),
        (ONE + varint(1) + varint(2001) + block(b"") * 2 + varint(0), "range"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(blocks: bytes, expected: str) -> None:
    """Missing or further bytes, too many samples, bad varints and impossible ticks are `BlockError`s."""
    with pytest.raises(BlockError) as caught:
        cut(blocks)
    assert caught.value.reason == expected


@given(st.binary(max_size=40))
def test_any_blocks_are_cut_or_refused(blocks: bytes) -> None:
    """No bytes make anything but readouts or a `BlockError`."""
    try:
        found = cut(blocks)
    except BlockError:
        return
    assert len(found) <= 3


@settings(max_examples=300)
@given(st.sampled_from((DESCRIPTOR, DATA, EVENT)), st.lists(st.integers(0, 1 << 16), min_size=1, max_size=3))
def test_damaged_frames_parse_or_are_refused(raw: bytes, bits: list[int]) -> None:
    """Bit flips anywhere make an `InputError` or another frame, never another exception."""
    for bit in bits:
        raw = flipped(raw, bit)
    try:
        frame.parse(raw)
    except InputError as error:
        assert error.reason  # noqa: PT017
