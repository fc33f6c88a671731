"""The CBOR decoder takes deterministic encoding and nothing else; `cbor2` is the independent judge."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalwire import cbor
from vitalwire.errors import CborError

KEYS = st.integers(min_value=-(1 << 63), max_value=(1 << 64) - 1)
LEAVES = KEYS | st.booleans() | st.binary(max_size=300) | st.text(max_size=16)
ITEMS = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5))


def nesting(item: object) -> int:
    """Return how many arrays and maps lie within each other."""
    inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else None
    return 0 if inner is None else 1 + max(map(nesting, inner), default=0)


@given(ITEMS)
def test_what_is_encoded_is_read_back(item: cbor.Item) -> None:
    """Every item comes back the same, types included, and `cbor2` reads the same bytes as the same item."""
    data = cbor.encode(item)
    assert cbor2.loads(data) == item
    if nesting(item) <= 5:
        assert cbor.encode(cbor.decode(data)) == data
        assert type(cbor.decode(data)) is type(item)


@given(st.binary(max_size=60))
def test_whatever_is_accepted_is_deterministic(data: bytes) -> None:
    """Any bytes either raise `CborError` or are exactly the encoding of what they were read as."""
    try:
        item = cbor.decode(data)
    except CborError:
        return
    assert cbor.encode(item) == data


@given(ITEMS.filter(lambda item: nesting(item) <= 5), st.data())
def test_damaged_items_are_refused_or_deterministic(item: cbor.Item, data: st.DataObject) -> None:
    """One changed, missing or added byte never makes a second form of an item."""
    encoded = bytearray(cbor.encode(item))
    place = data.draw(st.integers(0, len(encoded) - 1))
    change = data.draw(st.sampled_from(("change", "cut", "add")))
    if change == "change":
        encoded[place] ^= data.draw(st.integers(1, 255))
    elif change == "cut":
        del encoded[place:]
    else:
        encoded.insert(place, data.draw(st.integers(0, 255)))
    try:
        read = cbor.decode(bytes(encoded))
    except CborError:
        return
    assert cbor.encode(read) == encoded


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (255, "18ff"),
        (256, "190100"),
        (65535, "19ffff"),
        (65536, "1a00010000"),
        (1 << 32, "1b0000000100000000"),
        ((1 << 64) - 1, "1bffffffffffffffff"),
        (-1, "20"),
        (-25, "3818"),
        (-(1 << 63), "3b7fffffffffffffff"),
        (b"\x01", "4101"),
        ("\u00fc", "62c3bc"),
        ([1, [2]], "82018102"),
        ({10: 2, 100: 3, 256: 4, -1: 1}, "a40a02186403190100042001"),
        (False, "f4"),
        (True, "f5"),
    ],
)
def test_known_encodings(value: cbor.Item, encoded: str) -> None:
    """RFC 8949 appendix A and 4.2.1: shortest heads, keys in bytewise order."""
    assert cbor.encode(value).hex() == encoded
    assert repr(cbor.decode(bytes.fromhex(encoded))) == repr(value)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        ("", "truncated"),
        ("18", "truncated"),
        ("1900", "truncated"),
        ("42ff", "truncated"),
        ("62c3", "truncated"),
        ("8201", "truncated"),
        ("a101", "truncated"),
        ("5bffffffffffffffff", "truncated"),
        ("0000", "trailing"),
        ("1817", "not-deterministic"),
        ("1900ff", "not-deterministic"),
        ("1a0000ffff", "not-deterministic"),
        ("1b00000000ffffffff", "not-deterministic"),
        ("580100", "not-deterministic"),
        ("7801" + "61", "not-deterministic"),
        ("980101", "not-deterministic"),
        ("b8010101", "not-deterministic"),
        ("a202010101", "not-deterministic"),
        ("a220010001", "not-deterministic"),
        ("5f4101ff", "indefinite"),
        ("7f6161ff", "indefinite"),
        ("9f01ff", "indefinite"),
        ("bf0101ff", "indefinite"),
        ("ff", "indefinite"),
        ("1c", "reserved"),
        ("3d", "reserved"),
        ("5e", "reserved"),
        ("fc", "reserved"),
        ("a201010102", "duplicate-key"),
        ("a1f501", "key-type"),
        ("a1410101", "key-type"),
        ("a1616101", "key-type"),
        ("a18001", "key-type"),
        ("818181818180", "depth"),
        ("8181818181a0", "depth"),
        ("9841" + "00" * 65, "items"),
        ("9bffffffffffffffff", "items"),
        ("bbffffffffffffffff", "items"),
        ("7841" + "61" * 65, "text"),
        ("62c328", "utf8"),
        ("63eda080", "utf8"),
        ("f93c00", "float"),
        ("fa3f800000", "float"),
        ("fb3ff0000000000000", "float"),
        ("f6", "simple"),
        ("f7", "simple"),
        ("e0", "simple"),
        ("f8ff", "simple"),
        ("c100", "tag"),
        ("d28440a0404100", "tag"),
        ("3b8000000000000000", "range"),
    ],
)
def test_every_other_form_is_refused(encoded: str, reason: str) -> None:
    """Each forbidden form is refused for its own reason."""
    with pytest.raises(CborError) as caught:
        cbor.decode(bytes.fromhex(encoded))
    assert caught.value.reason == reason


def test_limits_are_inclusive() -> None:
    """Five levels, 64 entries and 64 bytes of text are still read."""
    deep: cbor.Item = [[[[[]]]]]
    assert cbor.decode(cbor.encode(deep)) == deep
    wide: cbor.Item = list(range(64))
    assert cbor.decode(cbor.encode(wide)) == wide
    assert cbor.decode(cbor.encode("a" * 64)) == "a" * 64


def test_a_sequence_is_read_item_by_item() -> None:
    """`decode_prefix` returns where the next item begins."""
    data = cbor.encode({1: b"x"}) + cbor.encode(-5)
    first, middle = cbor.decode_prefix(data)
    assert first == {1: b"x"}
    assert cbor.decode_prefix(data, middle) == (-5, len(data))


@pytest.mark.parametrize("item", [1.5, None, {"a": 1}, {True: 1}, 1 << 64, -(1 << 63) - 1, object()])
def test_nothing_else_is_encoded(item: object) -> None:
    """What vitalwire's CBOR has no form for is refused when written, too."""
    with pytest.raises(CborError):
        cbor.encode(item)
