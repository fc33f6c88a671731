"""Packets: exact both ways, whatever happens to the stream, and bounded."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalwire.errors import PacketError
from vitalwire.packet import (
    MAX_BODY,
    LogLine,
    Packet,
    PacketDecoder,
    decode_packet,
    encode_packet,
    parse_log,
    stuff,
    unstuff,
)
from vitalwire_protocol import spec
from vitalwire_protocol.spec import PacketType

# Cheshire and Baker 1999, as worked examples: zero bytes, and runs around the 254 that one code byte can stand for.
COBS = [
    (b"", "01"),
    (b"\0", "0101"),
    (b"\0\0", "010101"),
    (b"\x11\x22\0\x33", "0311220233"),
    (b"\x11\0\0\0", "0211010101"),
    (bytes(range(1, 255)), "ff" + bytes(range(1, 255)).hex()),
    (bytes(range(255)), "01ff" + bytes(range(1, 255)).hex()),
    (bytes(range(1, 256)), "ff" + bytes(range(1, 255)).hex() + "02ff"),
    (bytes(range(2, 256)) + b"\0", "ff" + bytes(range(2, 256)).hex() + "0101"),
]
bodies = st.one_of(
    st.binary(max_size=600),
    st.integers(240, 520).map(lambda n: b"\x07" * n),
    st.lists(st.sampled_from([b"\0", b"\xff", b"\x01" * 253, b"\x02" * 254]), max_size=12).map(b"".join),
)


@pytest.mark.parametrize(("data", "expected"), COBS)
def test_cobs_is_the_published_one(data: bytes, expected: str) -> None:
    """Stuffing gives the bytes of the paper, also around runs of 254."""
    assert stuff(data).hex() == expected
    assert unstuff(bytes.fromhex(expected)) == data


@given(bodies)
def test_cobs_round_trip_without_zero_and_within_its_bound(data: bytes) -> None:
    """Stuffed data holds no zero, grows by one byte and one more for each 254, and comes back exactly."""
    stuffed = stuff(data)
    assert 0 not in stuffed
    assert len(stuffed) <= len(data) + 1 + len(data) // 254
    assert unstuff(stuffed) == data


@given(st.sampled_from(sorted(MAX_BODY)), st.integers(0, 255), bodies)
def test_a_packet_comes_back_exactly(type_: PacketType, id_: int, body: bytes) -> None:
    """Type, id and body survive, or a body that is too long for its type is refused."""
    if len(body) > MAX_BODY[type_]:
        with pytest.raises(PacketError) as error:
            encode_packet(type_, id_, body)
        assert error.value.reason == "oversized"
    else:
        assert decode_packet(encode_packet(type_, id_, body).strip(b"\0")) == Packet(type_, id_, body)


def test_the_layout_is_the_contract() -> None:
    """A packet is COBS of type, id, body and the little-endian CRC-32 of them, between zero bytes."""
    raw = bytes([PacketType.LOG, 7]) + b"\x02hello"
    expected = stuff(raw + zlib.crc32(raw).to_bytes(4, "little"))
    assert encode_packet(PacketType.LOG, 7, b"\x02hello") == b"\0" + expected + b"\0"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x05abc", "cobs"),
        (b"\x03\0a", "cobs"),
        (b"", "truncated"),
        (stuff(b"\x01\x02\x03\x04\x05"), "truncated"),
        (stuff(b"\x01\x02body\0\0\0\0"), "crc"),
        (stuff(b"\x07" * 4100), "oversized"),
    ],
)
def test_what_is_no_packet_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    """Each way of being wrong has its own reason."""
    with pytest.raises(PacketError) as error:
        decode_packet(raw)
    assert error.value.reason == reason


@pytest.mark.parametrize("type_", sorted(MAX_BODY))
def test_each_type_has_its_own_limit(type_: PacketType) -> None:
    """A body at the limit of its type passes, and one byte more is refused although its CRC is right."""
    limit = MAX_BODY[type_]
    assert decode_packet(encode_packet(type_, 0, b"x" * limit).strip(b"\0")).body == b"x" * limit
    raw = bytes([type_, 0]) + b"x" * (limit + 1)
    with pytest.raises(PacketError) as error:
        decode_packet(stuff(raw + zlib.crc32(raw).to_bytes(4, "little")))
    assert error.value.reason == "oversized"


@given(st.lists(st.tuples(bodies, st.binary(max_size=20)), max_size=6), st.data())
def test_packets_arrive_whatever_the_pieces_and_the_noise_between(
    parts: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    """Any noise between packets costs none of them, however the stream is cut into pieces."""
    packets = [Packet(PacketType.FRAME, number, body) for number, (body, _) in enumerate(parts)]
    stream = b"".join(noise + encode_packet(p.type, p.id, p.body) for p, (_, noise) in zip(packets, parts, strict=True))
    decoder, got = PacketDecoder(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += decoder.feed(stream[:size])
        stream = stream[size:]
    assert got == packets
    assert decoder.counters.good == len(packets)
    assert decoder.counters.bad == sum(len([n for n in noise.split(b"\0") if n]) for _, noise in parts)


def test_any_bytes_neither_raise_nor_pile_up() -> None:
    """A megabyte of seeded noise, with and without zero bytes, raises nothing and leaves at most one packet behind."""
    rng, decoder = random.Random(9), PacketDecoder()
    for size in [1, 7, 4000, 5000, 300_000]:
        decoder.feed(rng.randbytes(size))
        decoder.feed(rng.randbytes(size).replace(b"\0", b"\1"))
        assert len(decoder._begun) <= 4055
    assert decoder.counters.good == 0
    assert decoder.counters.bad > 0
    assert decoder.feed(encode_packet(PacketType.REPLY, 1, b"x")) == [Packet(PacketType.REPLY, 1, b"x")]


def test_a_damaged_packet_costs_only_itself() -> None:
    """Each single bit flip in a packet loses that packet and not the next; none changes it unseen."""
    good = encode_packet(PacketType.FRAME, 1, b"first\0second")
    after = encode_packet(PacketType.FRAME, 2, b"after")
    for bit in range(8, 8 * (len(good) - 1)):
        broken = bytearray(good)
        broken[bit // 8] ^= 1 << bit % 8
        decoder = PacketDecoder()
        assert decoder.feed(bytes(broken) + after) == [Packet(PacketType.FRAME, 2, b"after")]
        assert decoder.counters.bad >= 1


def test_unknown_types_are_passed_on_and_counted() -> None:
    """A packet of a type not known here is counted, and its number is kept."""
    decoder = PacketDecoder()
    assert decoder.feed(encode_packet(99, 5, b"later")) == [Packet(99, 5, b"later")]
    assert (decoder.counters.good, decoder.counters.unknown, decoder.counters.bad) == (1, 1, 0)


def test_a_log_line_cannot_steer_a_terminal() -> None:
    """A log line's level and text are read, and control characters and bad UTF-8 become U+FFFD."""
    line = parse_log(bytes([spec.LogLevel.WARNING]) + b"\x1b[2Jhi\xff\n")
    assert line == LogLine(spec.LogLevel.WARNING, "\N{REPLACEMENT CHARACTER}[2Jhi" + "\N{REPLACEMENT CHARACTER}" * 2)
    assert parse_log(b"\x63").level == 99
    with pytest.raises(PacketError):
        parse_log(b"")
