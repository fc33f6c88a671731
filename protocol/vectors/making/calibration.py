"""Descriptors that carry calibrations: section 4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .frames import History, descriptor
from .independent import ALICE, Vector, accept, encode, refuse_all, sign1

SPO2 = 150456
LINE = [[110, 0], [-25, 0]]
CURVE = [[94845, -3], [30354, -3], [-4506, -2]]
EXTREME = [[2**63 - 1, 24], [-(2**63), -24], [0, 0], [-1, 24]]


def accepted() -> Iterator[Vector]:
    """One device's descriptors, each with another map of calibrations, and a frame in which the key means nothing."""
    history = History()
    for name, curves in {
        "a line": {SPO2: LINE},
        "a curve": {SPO2: CURVE},
        "a constant": {SPO2: [[97, 0]]},
        "at the bounds": {0: EXTREME, SPO2: EXTREME, 2**32 - 1: EXTREME},
        "of readings that are not known": {147842: LINE, 150344: CURVE},
        "of nothing": {},
    }.items():
        raw, full = history.frame(1, descriptor(k23=curves), ticks=0)
        yield accept(f"calibrations: {name}", "frame", raw, full, {**ALICE.keys, "algorithm": -7})
    raw, full = history.frame(2, {23: "kept"})
    yield accept("calibrations: an unknown key of a data frame", "frame", raw, full, {**ALICE.keys, "algorithm": -7})


def refused(_: dict[str, bytes]) -> Iterator[Vector]:
    """The first of them with one thing wrong."""

    def of(curves: Any) -> bytes:
        return sign1(encode({1: 1, 2: 1, 3: 1, 4: bytes(16), 6: 0, **descriptor(k23=curves)}))

    def line(*terms: Any) -> bytes:
        return of({SPO2: list(terms)})

    table = {
        "type": {
            "calibrations as an array": of([LINE]),
            "calibrations as a byte string": of(b""),
            "a calibration as an integer": of({SPO2: 1}),
            "a calibration as a map": of({SPO2: {0: [110, 0]}}),
            "a coefficient as an integer": line(110, -25),
            "a coefficient of one number": line([110]),
            "a coefficient of three numbers": line([110, 0, 0]),
            "a coefficient with a text": line(["110", 0]),
            "a coefficient with true": line([110, True]),
        },
        "range": {
            "a calibration of nothing": of({SPO2: []}),
            "a calibration of the code -1": of({-1: LINE}),
            "a calibration of the code 2^32": of({2**32: LINE}),
            "a coefficient of 2^63": line([2**63, 0]),
            "a coefficient with exponent 25": line([1, 25]),
            "a coefficient with exponent -25": line([1, -25]),
        },
        "items": {"five coefficients": of({SPO2: [[1, 0]] * 5})},
        "key-type": {"a calibration of a name": of({"spo2": LINE})},
        "float": {"a coefficient with a fraction": line([110.5, 0])},
        "duplicate-key": {
            "a calibration twice": sign1(
                encode({1: 1, 2: 1, 3: 1, 4: bytes(16), 6: 0, **descriptor(k23={SPO2: LINE})}).replace(
                    encode({SPO2: LINE}), b"\xa2" + encode({SPO2: LINE})[1:] * 2
                )
            )
        },
    }
    yield from refuse_all("frame", table, ALICE.public)
