"""Descriptors that say whose word their device erases frames on: section 4."""

from __future__ import annotations

from collections.abc import Iterator

from .frames import History, descriptor
from .independent import ALICE, Vector, accept, encode, refuse_all, sign1


def accepted() -> Iterator[Vector]:
    """One device's descriptors, each with another word, and a frame in which the key means nothing."""
    history = History()
    for name, value in {"a reader": 1, "a broker": 2, "somebody not known": 3, "at the bound": 255}.items():
        raw, full = history.frame(1, descriptor(k24=value), ticks=0)
        yield accept(f"durable: {name}", "frame", raw, full, {**ALICE.keys, "algorithm": -7})
    raw, full = history.frame(2, {24: "kept"})
    yield accept("durable: an unknown key of a data frame", "frame", raw, full, {**ALICE.keys, "algorithm": -7})


def refused(_: dict[str, bytes]) -> Iterator[Vector]:
    """The first of them with one thing wrong."""

    def of(value: object) -> bytes:
        return sign1(encode({1: 1, 2: 1, 3: 1, 4: bytes(16), 6: 0, **descriptor(k24=value)}))

    table = {
        "type": {"durable as a text": of("broker"), "durable as true": of(True), "durable as an array": of([2])},
        "range": {"durable 0": of(0), "durable 256": of(256), "durable -1": of(-1)},
    }
    yield from refuse_all("frame", table, ALICE.public)
