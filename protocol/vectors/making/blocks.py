"""Vectors of sections 5 and 6: strings of BLOCKS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .block import Lift, Raw, blocks, filled, fixed, meant
from .independent import Table, Vector, accept, refuse, refuse_all, varint

TICKS = 12_345_678
STREAMS = [[18], [19, 19], [16, 16, 16]]
WIDE_STREAMS = [[1 + each % 24, 1 + (each + 1) % 24] for each in range(0, 32, 2)]


def ramp(size: int, step: int, start: int = 0) -> list[int]:
    """Return samples that rise."""
    return [start + step * each for each in range(size)]


READOUTS: list[Any] = [
    (TICKS, [Lift([(each - 20) ** 2 * 37 - 5_000 for each in range(40)], 1, (5,))]),
    (TICKS - 1_234, [ramp(12, -3, 90_000), [7] * 12]),
    (TICKS + 56_789, [ramp(6, 5, -17), [0, 1, -1, 2, -2, 3], [-32768, 32767, 0, -1, 1, 8]]),
]
PARTIAL: list[Any] = [None, None, (TICKS, [[1], [2], [3]])]
WAVE = [round(900 * ((each * each) % 61 / 61 - 0.5) + 3_000 * (each % 97 < 5)) for each in range(300)]
SMOOTH = [each * each // 3 - 40 * each for each in range(200)]
BLOCKS: dict[str, tuple[int, Raw | Lift]] = {
    **{f"RAW of {bits} bits": (bits, Raw([-(1 << bits - 1), (1 << bits - 1) - 1, 0, -1])) for bits in range(1, 25)},
    "RAW of 8192 samples": (1, Raw([-(each * each % 7 & 1) for each in range(8192)])),
    "LIFT of 2 samples": (24, Lift([-(2**23), 2**23 - 1])),
    "LIFT of 2 samples, one level": (24, Lift([2**23 - 1, -(2**23)], 0, (1,))),
    "LIFT of 3 samples, two levels": (12, Lift([5, -6, 7], 0, (5, 0))),
    **{f"LIFT of order {order}": (16, Lift(WAVE, order)) for order in range(4)},
    **{f"LIFT with kernel {kernel}": (17, Lift(SMOOTH, 1, (kernel,))) for kernel in range(8)},
    "LIFT with all kernels and seven levels": (17, Lift(SMOOTH, 1, (7, 6, 5, 4, 3, 2, 1))),
    "LIFT of 129 samples in seven levels": (13, Lift(SMOOTH[:129], 1, (0, 1, 2, 3, 4, 5, 6))),
    "LIFT of 65 samples in seven levels, base of one": (13, Lift(SMOOTH[:65], 0, (1,) * 7)),
    **{f"LIFT in sub-blocks of {8 << size}": (16, Lift(WAVE * 4, 2, (1, 1), size)) for size in range(8)},
    "LIFT of a constant": (18, Lift([-131072] * 8192, 0, (0,) * 7, 7)),
    "LIFT of a constant in small sub-blocks": (18, Lift([7] * 100, 1)),
    "LIFT of a line": (16, Lift(ramp(100, 13, -600), 2)),
    "LIFT of 1 bit": (1, Lift([0, -1, -1, 0, 0, -1, 0, 0, 0], 0)),
    "LIFT with shift 7": (24, Lift([(each * each % 1000 - 500) << 7 for each in range(64)], 1, (), 1, 7)),
    "LIFT of 8 bits with shift 7": (8, Lift([-128, 0] * 8, 1, (), 0, 7)),
    **{
        f"LIFT of sums of {1 << sums}": (
            18,
            Lift([each % (1 << sums) * 9 + each for each in range(60)], 1, (1, 5), sum=sums),
        )
        for sums in (1, 2, 3)
    },
    "LIFT of sums, longer than the block": (21, Lift([2**20 - 1, -(2**20), 5], 2, (), sum=3)),
    "LIFT of sums of shifted samples": (
        24,
        Lift([(each * 37 % 64 - 32) << 5 for each in range(50)], 3, (4,), 0, 5, sum=3),
    ),
    "LIFT, the largest residuals": (24, Lift([-(2**23), 2**23 - 1] * 12, 3, (), 0, 0, (28, 28, 27))),
    "LIFT, parameters up and down": (
        24,
        Lift([*[0] * 9, *[2**22 - each for each in range(8)], *[0] * 8, 1, -1], 1, (), 0, 0, (0, 23, 23, 2)),
    ),
    "LIFT, the parameter falls from 28 to 0 and rises again": (
        24,
        Lift([0] * 24 + [1] * 8, 1, (), 0, 0, (28, 0, 28, 1)),
    ),
    "LIFT, long unary numbers": (16, Lift([0, 300, -300, 299] * 4, 0, (), 3, 0, (1,))),
    "LIFT that overshoots at both ends": (16, Lift([32767, -32768] * 40, 0, (7, 7), 1)),
}


def accepted() -> Iterator[Vector]:
    """Sections 5 and 6: whole strings of BLOCKS."""

    def of(name: str, ticks: int, readouts: list[Any], streams: list[list[int]]) -> Vector:
        key = {"ticks": ticks, "streams": streams}
        return accept(name, "blocks", blocks(ticks, readouts, streams), meant(readouts), key)

    for name, (bits, block) in BLOCKS.items():
        yield of(name, TICKS, [(TICKS, [block])], [[bits]])
    yield of("blocks of three streams", TICKS, READOUTS, STREAMS)
    yield of("blocks of the last stream alone", TICKS, PARTIAL, STREAMS)
    yield of("blocks of no stream", TICKS, [None, None, None], STREAMS)
    yield of("blocks without streams", TICKS, [], [])
    far = [(2**40, [[1]]), (2**40 - 2**31, [[2]]), None, (2**40 - 1, [[3]])]
    yield of("ticks as far apart as may be", 2**40, far, [[8], [8], [8], [8]])


# ---------------------------------------------------------------- refused: one channel of 16 bits where not said


def one(block: Raw | Lift, bits: int = 16) -> bytes:
    """Return BLOCKS with one block."""
    return blocks(TICKS, [(TICKS, [block])], [[bits]])


def body(count: int, data: bytes, coding: int = 1) -> bytes:
    """Return BLOCKS with one block of this body."""
    return varint(count) + varint(len(data) << 3 | coding) + data


def lift(count: int, parameter: int, rest: str, shift: int = 0) -> bytes:
    """Return BLOCKS with one block of coding LIFT: order 0, no level, sub-blocks of 8, no sums, then these bits."""
    return body(count, filled(fixed(0, 8) + fixed(parameter, 5) + fixed(shift, 3) + fixed(0, 2) + rest))


FIRST = fixed(0, 16)
CURVE = Lift([each * each for each in range(20)], 1, (5, 5)).body(16)
RAW_OF_3 = body(3, bytes(6), 0)
REFUSED: Table = {
    "truncated": {
        "nothing": b"",
        "a count without blocks": b"\5",
        "a head without its body": RAW_OF_3[:-1],
        "a head of half its bytes": b"\3\x80",
    },
    "trailing": {"a zero": RAW_OF_3 + b"\0", "another readout": RAW_OF_3 + RAW_OF_3},
    "varint": {
        "count of six bytes": b"\x83\x80\x80\x80\x80\0" + RAW_OF_3[1:],
        "count with a superfluous zero": b"\x83\0" + RAW_OF_3[1:],
        "head above 2^32-1": b"\3\xff\xff\xff\xff\x1f",
    },
    "block-count": {
        "8193 samples": body(8193, bytes(8193 * 2), 0),
        "2^32-1 samples": varint(2**32 - 1) + varint(0),
    },
    "block-coding": {f"coding {coding}": body(3, bytes(6), coding) for coding in range(2, 8)},
    "block-body": {
        "RAW with a byte missing": body(3, bytes(5), 0),
        "RAW with a byte left over": body(3, bytes(7), 0),
        "RAW with nothing": body(3, b"", 0),
        "LIFT with nothing": body(3, b""),
        "LIFT of one sample": lift(1, 0, FIRST),
        "LIFT of order 3 with a base of 3": one(Lift([1, 2, 3], 3)),
        "LIFT of order 1 with a base of 1": one(Lift([1, 2], 1, (1,))),
        "LIFT with a level too many": one(Lift([1, 2, 3], 0, (1, 1, 1))),
        "LIFT with seven levels of 64 samples": one(Lift([0] * 64, 0, (1,) * 7)),
        "LIFT with parameter 29": lift(3, 29, FIRST + "11" + fixed(0, 56)),
        "LIFT with parameter 31": lift(3, 31, FIRST + "11" + fixed(0, 60)),
        "LIFT whose parameter falls below 0": lift(17, 0, FIRST + "01"),
        "LIFT whose parameter rises above 28": lift(17, 28, FIRST + "001" + "1" * 16 + fixed(0, 27 * 8 + 28 * 8)),
        "LIFT with a unary number that does not end": lift(2, 1, FIRST + "0" * 24),
        "LIFT without its last remainders": lift(9, 9, FIRST + "1" * 8 + fixed(0, 56)),
        "LIFT with a byte left over": body(20, CURVE + b"\0"),
        "LIFT with its last byte cut off": body(20, CURVE[:-1]),
        "LIFT cut in its first sample": lift(9, 0, "0" * 8),
    },
    "block-range": {
        "the first difference": one(Lift([32767, 32768, 0])),
        "below": one(Lift([-32768, -32769, 0], 1)),
        "at a level": one(Lift([0, 40_000, 0, 0], 0, (1,))),
        "a second difference": one(Lift([0, 20_000, 40_000, 0], 2)),
        "shifted": one(Lift([0, 1 << 15, 0], 0, (), 0, 3)),
        "far away": one(Lift([0, 2**26, 0])),
        "under a sum": one(Lift([0, 32767, 32768, 0], sum=2)),
    },
}
ODD_WIDTHS: dict[str, tuple[int, bytes]] = {
    "RAW with a fill bit of 1": (18, body(3, bytes(6) + b"\1", 0)),
    "LIFT with a fill bit of 1": (17, lift(9, 0, fixed(5, 17) + "00001")),
    "LIFT with a shift of all bits": (1, lift(4, 0, "", 1)),
    "LIFT with a residual of 29 bits": (24, lift(2, 28, fixed(0, 24) + "001" + fixed(0, 27))),
    "LIFT with sums of 25 bits": (24, one(Lift([0, 0, 0], sum=1), 24)),
}


def refused() -> Iterator[Vector]:
    """Sections 5 and 6."""
    yield from refuse_all("blocks", REFUSED, {"ticks": TICKS, "streams": [[16]]})
    for name, (bits, data) in ODD_WIDTHS.items():
        yield refuse(name, "blocks", data, "block-body", {"ticks": TICKS, "streams": [[bits]]})
    three = {"ticks": TICKS, "streams": STREAMS}
    yield refuse("two streams of three", "blocks", b"\0\0", "truncated", three)
    yield refuse("a second readout without ticks", "blocks", body(3, bytes(7), 0) + b"\1", "truncated", three)
    yield refuse("a stream too many", "blocks", bytes(4), "trailing", three)
    late = varint(1) + varint(1 << 3) + b"\1" + varint(1) + varint(2 * TICKS + 1) + varint(1 << 3) + b"\1"
    yield refuse("a readout before boot", "blocks", late, "range", {"ticks": TICKS, "streams": [[8], [8]]})
