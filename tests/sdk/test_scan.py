"""The fast way is never a second opinion: what `scan` takes, `parse_any` takes too and reads the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vitalwire import cbor, crypto, frame
from vitalwire.errors import InputError
from vitalwire.frame.form import parse_any
from vitalwire.frame.scan import scan
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Key, Kind

EDGES = sorted(
    {max(0, (1 << n) + d) for n in (0, 4, 5, 8, 16, 23, 24, 31, 32, 33, 61, 62, 63, 64) for d in (-2, -1, 0, 1)}
)
EDGE = st.sampled_from([n for n in EDGES if n < 1 << 64])
SIGNED = st.tuples(EDGE, st.booleans()).map(lambda p: p[0] if p[1] else max(-1 - p[0], -(1 << 63)))
SIGNATURE = bytes(range(64))


def wrap(fields: dict[int, Any], alg: int = -7) -> bytes:
    """Return a frame of the right outer form around this map; its signature is none."""
    head = {-7: b"\x26", -9: b"\x28"}[alg]
    return b"\xd2\x84\x43\xa1\x01" + head + b"\xa0" + cbor.encode(cbor.encode(fields)) + b"\x58\x40" + SIGNATURE


MAPS = st.fixed_dictionaries(
    {
        int(Key.KIND): st.just(int(Kind.DATA)),
        int(Key.BOOT): EDGE,
        int(Key.SEQ): EDGE,
        int(Key.PREV): st.sampled_from((16, 16, 16, 15, 17)).map(bytes),
        int(Key.DESCRIPTOR): st.sampled_from((8, 8, 8, 7, 9)).map(bytes),
        int(Key.TICKS): EDGE,
    },
    optional={
        int(Key.UTC): EDGE,
        int(Key.UTC_ACCURACY): st.sampled_from((0, 23, 24, 63, 64)),
        int(Key.BLOCKS): st.sampled_from((0, 1, 23, 24, 255, 256, 3000)).map(bytes),
        int(Key.SCALARS): st.lists(
            st.tuples(st.sampled_from((0, 23, 24, 31, 32)), SIGNED, SIGNED).map(list), max_size=6
        ),
        int(Key.MARKS): st.just([]),
        14: st.integers(0, 5),
    },
)


def agree(raw: bytes) -> bool:
    """Hold the fast way against the thorough one; return whether it took the frame."""
    if scan(raw) is None:
        return False
    assert frame.parse(raw) == parse_any(raw)
    return True


@settings(max_examples=500)
@given(MAPS, st.sampled_from((-7, -9)))
def test_fields_at_their_bounds(fields: dict[int, Any], alg: int) -> None:
    """With every field at and beyond its bounds, whatever is scanned is read alike."""
    agree(wrap(fields, alg))


DEVICE = FakeDevice("one")
DEVICE.descriptor()
DEVICE.ticks = 1 << 33
DEVICE.utc_us = 1_790_000_000_000_000
FRAMES = (DEVICE.sampled(0.2), DEVICE.data({"ecg_lead_i": range(9)}), DEVICE.data({}, scalars=[(6, -900_000, 5)] * 4))


@settings(max_examples=1000)
@given(st.sampled_from(FRAMES), st.data())
def test_damage_anywhere_outside_the_samples(raw: bytes, data: st.DataObject) -> None:
    """Bytes changed, cut and put in around the fields never make a frame that only `scan` takes."""
    damaged = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        edge = data.draw(st.integers(0, 90))
        place = edge if data.draw(st.booleans()) else len(damaged) - 1 - edge
        assume(0 <= place < len(damaged))
        match data.draw(st.sampled_from(("change", "cut", "put in"))):
            case "change":
                damaged[place] = data.draw(st.integers(0, 255))
            case "cut":
                del damaged[place]
            case _:
                damaged.insert(place, data.draw(st.integers(0, 255)))
    agree(bytes(damaged))


@pytest.mark.parametrize("raw", FRAMES)
def test_every_single_byte_around_the_samples(raw: bytes) -> None:
    """Each byte before and behind the samples, changed to each other value."""
    places = range(len(raw)) if len(raw) < 200 else [*range(90), *range(len(raw) - 90, len(raw) - 60)]
    for place in places:
        for value in range(256):
            agree(raw[:place] + bytes([value]) + raw[place + 1 :])


def test_readings_before_the_boot_are_not_scanned() -> None:
    """A scalar whose ticks would be negative is left to the thorough way, which refuses it."""
    fields = {1: 2, 2: 1, 3: 9, 4: bytes(16), 5: bytes(8), 6: 5, 11: [[6, -6, 0]]}
    assert scan(wrap(fields)) is None
    with pytest.raises(InputError):
        frame.parse(wrap(fields))
    assert agree(wrap(fields | {6: 1 << 24, 11: [[6, -(1 << 24), 0]]}))


@pytest.mark.parametrize("raw", FRAMES)
def test_ordinary_frames_are_scanned(raw: bytes) -> None:
    """The frames that make up a record do go the fast way, under both names of the algorithm."""
    assert agree(raw)
    assert agree(crypto.sign1(DEVICE.private_key, crypto.sign1_payload(raw), -9))


@pytest.mark.parametrize(
    "raw",
    [DEVICE.descriptor(), DEVICE.status(), DEVICE.data({"ecg_lead_i": [1]}, marks=[(0, 1, 0, 1)]), b"", bytes(5000)],
)
def test_everything_else_is_left_alone(raw: bytes) -> None:
    """Other kinds, marks and nonsense are left to the thorough way."""
    assert scan(raw) is None


def test_frames_beyond_the_limit_are_not_scanned() -> None:
    """A frame of MAX_FRAME bytes is taken by both, one byte more by neither."""
    fields = {1: 2, 2: 1, 3: 9, 4: bytes(16), 5: bytes(8), 6: 77}
    room = 4032 - len(wrap(fields | {9: bytes(300)})) + 300
    while len(wrap(fields | {9: bytes(room)})) > 4032:
        room -= 1
    assert len(wrap(fields | {9: bytes(room)})) == 4032
    assert agree(wrap(fields | {9: bytes(room)}))
    assert scan(wrap(fields | {9: bytes(room + 1)})) is None
    with pytest.raises(InputError):
        frame.parse(wrap(fields | {9: bytes(room + 1)}))
