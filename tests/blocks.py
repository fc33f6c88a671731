"""Blocks worth testing, for the tests of both codecs: edge cases, and excerpts of every published recording."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

EXCERPTS = Path(__file__).parent / "recordings" / "excerpts.npz"


def excerpts() -> dict[str, tuple[Any, int]]:
    """Return name -> (samples, bits) of every published recording."""
    with np.load(EXCERPTS) as file:
        return {name: (file[name][1:], int(file[name][0])) for name in file.files}


def shapes(count: int, bits: int) -> Iterator[Any]:
    """Yield signals of every kind that the format treats apart, the largest and smallest values among them."""
    rng = np.random.default_rng(count * 32 + bits)
    low, high, t = -(1 << bits - 1), (1 << bits - 1) - 1, np.arange(count)
    smooth = np.sin(t / 9) * high * 0.9
    yield np.zeros(count)
    yield np.full(count, low)
    yield np.full(count, high)
    yield np.where(t % 2, low, high)
    yield np.where(t // 2 % 2, low, high)
    yield rng.integers(low, high + 1, count)
    yield np.clip(np.cumsum(rng.normal(0, 1, count)).astype(int), low, high)
    yield smooth.astype(int) // 4 * 4
    yield np.clip((smooth * 0.5).astype(int) + t % 4 * (high // 20), low, high)  # hum at a quarter of the rate
    yield np.clip((smooth * 0.5).astype(int) + t % 2 * (high // 9), low, high)  # hum at half of it
    yield np.repeat(smooth.astype(int)[::2], 2)[:count]
    yield np.where(rng.random(count) < 0.02, high, 0)
    yield np.where(t < count // 2, 0, rng.integers(low, high + 1, count))
    yield np.where(t < count - 16, (t - count // 2) ** 2 * (high // count**2), np.where(t % 4 < 2, low, high))


def edges(counts: tuple[int, ...], widths: tuple[int, ...]) -> list[tuple[Any, int]]:
    """Return (samples, bits) of every shape in every count and width."""
    return [(np.asarray(x).astype(np.int64), bits) for count in counts for bits in widths for x in shapes(count, bits)]
