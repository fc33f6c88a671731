"""Blocks on the host: lossless, bounded, alike for one and for many, and as strict as a reader written from SPEC.md."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.blocks import edges, excerpts
from tests.protocol.stranger.blocks import Bits, read_lift, read_raw
from tests.protocol.stranger.cbor import Refused

from vitalwire.codec import decode_block, decode_blocks, encode_block, heads, side_bits
from vitalwire.errors import BlockError, UsageError
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Coding

MAX = spec.Limit.MAX_BLOCK_SAMPLES
HEADS = {**heads.HEAD}


def test_the_example_of_the_specification() -> None:
    """The samples and bytes that SPEC.md prints belong together, both ways."""
    text = (Path(__file__).resolve().parents[2] / "protocol" / "SPEC.md").read_text()
    found = re.search(r"\*Example\.\* ([-0-9 ]+), `BITS` = (\d+)\..*?`51`.*?`([0-9a-f]+)`", text, re.DOTALL)
    assert found
    samples, bits, body = [int(x) for x in found[1].split()], int(found[2]), bytes.fromhex(found[3])
    assert encode_block(samples, bits) == (Coding.LIFT, body)
    assert decode_block(Coding.LIFT, body, len(samples), bits).tolist() == samples


@st.composite
def signals(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], int]:
    """Draw samples of any width: noise of any size around sums, steps and repetitions of it."""
    bits = draw(st.integers(1, 24))
    count = draw(st.integers(1, 300))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.integers(-(2 ** draw(st.integers(0, bits))), 2 ** draw(st.integers(0, bits)), count)
    for _ in range(draw(st.integers(0, 3))):
        x = np.cumsum(x)
    x = np.repeat(x, draw(st.integers(1, 4)))[:count] << draw(st.integers(0, 9))
    return np.clip(x, -(1 << bits - 1), (1 << bits - 1) - 1), bits


@given(signals())
@settings(deadline=None, max_examples=300)
def test_any_signal_comes_back_and_is_never_longer_than_raw(signal: tuple[np.ndarray[Any, Any], int]) -> None:
    """What is encoded decodes to itself, here and by SPEC.md, in no more bytes than the samples in their bits."""
    x, bits = signal
    coding, body = encode_block(x, bits)
    assert len(body) <= (len(x) * bits + 7) // 8
    back = decode_block(coding, body, len(x), bits)
    assert back.dtype == np.int32
    assert back.tolist() == x.tolist()
    read = read_lift if coding == Coding.LIFT else read_raw
    assert read(Bits(body), len(x), bits) == x.tolist()


EDGES = edges((1, 2, 3, 4, 5, 8, 9, 17, 100, 513), (1, 2, 8, 17, 24)) + edges((MAX,), (16, 24))


def test_many_blocks_in_one_pass_are_as_one_by_one() -> None:
    """Blocks of every kind, count and width decode in one call to what was encoded."""
    blocks = [encode_block(x, bits) for x, bits in EDGES]
    assert {coding for coding, _ in blocks} == {Coding.RAW, Coding.LIFT}
    codings, bodies = zip(*blocks, strict=True)
    many = decode_blocks(codings, bodies, [len(x) for x, _ in EDGES], [bits for _, bits in EDGES])
    for (x, bits), (coding, body), got in zip(EDGES, blocks, many, strict=True):
        assert not isinstance(got, BlockError)
        assert np.array_equal(got, x), (len(x), bits)
        assert np.array_equal(decode_block(coding, body, len(x), bits), x)


def test_blocks_of_nearly_equal_counts_are_as_one_by_one() -> None:
    """Blocks that are rebuilt in the rows of one array do not see what stands behind the shorter ones."""
    pieces = [
        (x[begin : begin + count], bits)
        for begin, (x, bits) in enumerate(excerpts().values())
        for count in range(200, 249, 3)
    ]
    hum = np.arange(260) % 4 * 900 + np.cumsum(np.random.default_rng(9).integers(-5, 6, 260))
    pieces += [(hum[:count], 16) for count in range(200, 249)]
    blocks = [encode_block(x, bits) for x, bits in pieces]
    codings, bodies = zip(*blocks, strict=True)
    many = decode_blocks(codings, bodies, [len(x) for x, _ in pieces], [bits for _, bits in pieces])
    for (x, _), got in zip(pieces, many, strict=True):
        assert not isinstance(got, BlockError)
        assert got.tolist() == x.tolist()


@pytest.mark.parametrize("name", excerpts())
def test_real_recordings_come_back_smaller(name: str) -> None:
    """An excerpt of each published recording in blocks of 256 samples comes back bit for bit, in less than raw bits."""
    x, bits = excerpts()[name]
    pieces = [x[i : i + 256] for i in range(0, len(x), 256)]
    blocks = [encode_block(piece, bits) for piece in pieces]
    back = [decode_block(*block, len(piece), bits) for block, piece in zip(blocks, pieces, strict=True)]
    assert np.array_equal(np.concatenate(back), x)
    assert 8 * sum(len(body) for _, body in blocks) < 0.95 * len(x) * bits


def test_excerpts_stay_as_small_as_they_are() -> None:
    """All excerpts together take no more than when the format was frozen, so a writer that chooses worse fails."""
    assert sum(len(encode_block(x, bits)[1]) for x, bits in excerpts().values()) <= 34_271


def reading(coding: int, body: bytes, count: int, bits: int) -> list[int] | None:
    """Return what the reader written from SPEC.md reads, None if it refuses."""
    held = Bits(body)
    try:
        samples = {Coding.RAW: read_raw, Coding.LIFT: read_lift}[Coding(coding)](held, count, bits)
        held.end()
    except (Refused, KeyError):
        return None
    return samples


def damaged() -> list[tuple[int, bytes, int, int]]:
    """Return blocks with bits flipped, cut, extended, or read with another count, width or coding; some still good."""
    rng = np.random.default_rng(5)
    sources = [case for case in EDGES if 1 < len(case[0]) <= 100]
    sources += [(x[:200], bits) for x, bits in list(excerpts().values())[::3]]
    out = []
    for _ in range(3000):
        x, bits = sources[rng.integers(len(sources))]
        coding, body = encode_block(x, bits)
        changed, count = bytearray(body), len(x)
        match rng.integers(7):
            case 0:  # in the head
                changed[rng.integers(min(3, len(body)))] ^= 1 << rng.integers(8)
            case 1 | 2:
                changed[rng.integers(len(body))] ^= 1 << rng.integers(8)
            case 3:
                changed = changed[: rng.integers(len(body))]
            case 4:
                changed += bytes([rng.integers(2)])
            case 5:
                count = max(1, count + int(rng.integers(-2, 3)))
            case 6:
                bits = int(np.clip(bits + rng.integers(-1, 2), 1, 24))
        out.append((coding, bytes(changed), count, bits))
    return out


def test_damaged_blocks_are_read_and_refused_as_the_specification_says() -> None:
    """A reader written from SPEC.md agrees on every damaged block: the same samples, or refused by both."""
    cases = damaged()
    refused = 0
    for case, got in zip(cases, decode_blocks(*zip(*cases, strict=True)), strict=True):
        want = reading(*case)
        if isinstance(got, BlockError):
            refused += 1
            assert want is None, (case, str(got))
            assert got.reason in {"block-body", "block-range"}
        else:
            assert got.tolist() == want, case
    assert 500 < refused < len(cases)


def test_noise_is_no_block_and_costs_the_others_nothing() -> None:
    """Random bodies raise nothing but BlockError, and good blocks between them in one call come back whole."""
    rng = np.random.default_rng(6)
    x, bits = excerpts()["ecg, MIT-BIH 208"]
    coding, body = encode_block(x[:512], bits)
    cases = []
    for _ in range(400):
        noise = rng.bytes(int(rng.integers(0, 60))) + bytes(int(rng.integers(0, 3)))
        cases.append((int(rng.integers(0, 9)), noise, int(rng.integers(-1, MAX + 2)), int(rng.integers(-1, 27))))
        cases.append((coding, body, 512, bits))
    for case, got in zip(cases, decode_blocks(*zip(*cases, strict=True)), strict=True):
        if case[1] is body:
            assert np.array_equal(got, x[:512])  # type: ignore[arg-type]
        elif not isinstance(got, BlockError):
            assert got.tolist() == reading(*case)


def body_of(fields: dict[str, int], rest: str) -> bytes:
    """Return a LIFT body with the given head fields, the others 0, and bits behind it, filled up."""
    bits = "".join(f"{fields.get(name, 0):0{width}b}" for name, width in HEADS.items()) + rest
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))


FIRST = "00000101"  # 5 in eight bits
GOOD = ({"parameter": 1}, FIRST + "1" * 3, 4, 8)  # 5, then three numbers 0
REFUSED = {
    "one sample": ({}, FIRST, 1, 8, "block-body"),
    "nothing": ({}, "", 0, 8, "block-count"),
    "too many samples": (*GOOD[:2], MAX + 1, 8, "block-count"),
    "no bits": (*GOOD[:3], 0, "range"),
    "too many bits": (*GOOD[:3], 25, "range"),
    "an order beyond the sequence": ({"order": 2}, FIRST, 2, 8, "block-body"),
    "a level without odd members": ({"levels": 3}, "0" * 9 + FIRST, 4, 8, "block-body"),
    "a parameter above the limit": ({"parameter": 29}, FIRST + "1" * 90, 4, 8, "block-body"),
    "a shift of all bits": ({"shift": 7, "parameter": 1}, "1111", 4, 7, "block-body"),
    "a sum beyond 24 bits": ({"sum": 1}, "0" * 24, 4, 24, "block-body"),
    "a unary number without end": ({"parameter": 1}, FIRST + "110", 4, 8, "block-body"),
    "remainders missing": ({"parameter": 8}, FIRST + "111" + "0" * 16, 4, 8, "block-body"),
    "a parameter that falls below 0": ({"parameter": 0}, FIRST + "01", 12, 8, "block-body"),
    "a parameter that rises above the limit": (
        {"parameter": 28},
        FIRST + "001" + "1" * 11 + "0" * 300,
        12,
        8,
        "block-body",
    ),
    "a number that 32 bits would cut to 0": (
        {"parameter": 28},
        FIRST + "0" * 32 + "111" + "0" * 81,
        4,
        8,
        "block-body",
    ),
    "a fill bit": ({"parameter": 1}, FIRST + "111" + "001", 4, 8, "block-body"),
    "a byte left over": ({"parameter": 1}, FIRST + "111" + "0" * 11, 4, 8, "block-body"),
    "a sample above": ({"parameter": 1}, FIRST + "0" * 256 + "1" + "11", 4, 8, "block-range"),
    "a sample below": ({"parameter": 1}, FIRST + "0" * 257 + "1" + "11", 4, 8, "block-range"),
    "an odd member above": ({"levels": 1, "parameter": 1}, "001" + FIRST + "0" * 246 + "1", 2, 8, "block-range"),
    "an odd member below": ({"levels": 1, "parameter": 1}, "000" + FIRST + "0" * 267 + "1", 2, 8, "block-range"),
    "a sum's sample above": ({"parameter": 1, "order": 1, "sum": 1}, "01111111" + "0010000101", 4, 8, "block-range"),
}


def test_numbers_that_wrap_on_the_way_are_never_samples() -> None:
    """Residuals of up to 28 bits, which no samples need, through orders, levels and sums: as the specification says."""
    rng = np.random.default_rng(8)
    cases: list[tuple[int, bytes, int, int]] = []
    for _ in range(1500):
        count, width = int(rng.integers(2, 40)), int(rng.integers(16, 25))
        fields = {"order": int(rng.integers(4)), "levels": int(rng.integers(3)), "size": 3}
        fields |= {"parameter": int(rng.integers(24, 29)), "sum": int(rng.integers(4))}
        rest = "".join(map(str, rng.integers(0, 2, 3 * fields["levels"] + width)))
        groups = fields["levels"] + 1  # the parameter stays as it is in all of them
        sparse = rng.choice([0.002, 0.02, 0.5])  # few ones behind the quotients make some good blocks
        ones = (rng.random((count - 1) * (fields["parameter"] - 1)) < sparse).astype(int)
        rest += "1" * (groups - 1 + count - 1) + "".join(map(str, ones))
        cases.append((int(Coding.LIFT), body_of(fields, rest), count, width))
    good = 0
    for case, got in zip(cases, decode_blocks(*zip(*cases, strict=True)), strict=True):
        want = reading(*case)
        good += want is not None
        assert (None if isinstance(got, BlockError) else got.tolist()) == want, case
    assert 50 < good < 1450


@pytest.mark.parametrize("name", REFUSED)
def test_each_rule_refuses(name: str) -> None:
    """A body that breaks one rule is refused with its reason; the same body without the fault is read."""
    assert decode_block(Coding.LIFT, body_of(*GOOD[:2]), *GOOD[2:]).tolist() == [5, 0, 0, 0]
    fields, rest, count, bits, reason = REFUSED[name]
    with pytest.raises(BlockError) as caught:
        decode_block(Coding.LIFT, body_of(fields, rest), count, bits)
    assert caught.value.reason == reason


@pytest.mark.parametrize("coding", [2, 3, 4, 5, 6, 7, 8, -1])
def test_unassigned_codings_are_refused(coding: int) -> None:
    """Only the codings of this version are read."""
    with pytest.raises(BlockError) as caught:
        decode_block(coding, bytes(4), 4, 8)
    assert caught.value.reason == "block-coding"


@pytest.mark.parametrize(("body", "count"), [(bytes(3), 1), (b"", 1), (bytes(4), 3), (b"\0\1", 1), (bytes(4), 2)])
def test_raw_bodies_of_another_length_are_refused(body: bytes, count: int) -> None:
    """RAW has exactly its samples' bits, filled with zeros: here of 12 bits each."""
    assert decode_block(Coding.RAW, b"\xff\xf0", 1, 12).tolist() == [-1]
    with pytest.raises(BlockError):
        decode_block(Coding.RAW, body, count, 12)


def test_a_short_body_cannot_make_a_long_computation() -> None:
    """No loop goes over samples or bits: thirty times the samples run the same lines of Python about as often."""

    def lines(count: int) -> int:
        x = np.cumsum(np.random.default_rng(7).integers(-9, 10, count))
        block = encode_block(x, 20)
        assert block[0] == Coding.LIFT
        ran = 0

        def count_lines(_frame: Any, event: str, _argument: Any) -> Any:
            nonlocal ran
            ran += event == "line"
            return count_lines

        before = sys.gettrace()
        sys.settrace(count_lines)
        try:
            decode_block(*block, count, 20)
        finally:
            sys.settrace(before)
        return ran

    lines(256)  # what is cached from now on does not count
    assert lines(MAX) < 1.5 * lines(256)


@pytest.mark.parametrize(
    ("samples", "bits"),
    [([], 8), ([0] * (MAX + 1), 8), ([128], 8), ([-129], 8), ([0], 0), ([0], 25), ([[0, 1]], 8)],
    ids=["none", "too many", "above", "below", "no bits", "too many bits", "two rows"],
)
def test_what_cannot_be_a_block_is_not_encoded(samples: list[Any], bits: int) -> None:
    """Counts, widths and samples out of range are the caller's error."""
    with pytest.raises(UsageError):
        encode_block(samples, bits)


def test_side_information_is_what_the_samples_did_not_take() -> None:
    """A body is its side information and the codes of its residuals; in RAW only the fill is side information."""
    x, bits = excerpts()["ecg, MIT-BIH 208"]
    coding, body = encode_block(x[:512], bits)
    assert 18 + bits < side_bits(coding, body, 512, bits) < 200
    assert side_bits(*encode_block(np.full(512, 77), 16), 512, 16) == 40  # all of it, fill included
    assert side_bits(Coding.RAW, bytes(6), 4, 11) == 4
