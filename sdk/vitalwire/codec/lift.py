"""Rebuilds samples of LIFT blocks from residuals, by whole rows: cumulated differences, interpolation, sums undone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vitalwire_protocol import spec

from .batch import Batch, Int, Mask, Samples

WEIGHTS: NDArray[np.int32] = np.array(spec.LIFT_KERNELS, np.int32)
TAPS = WEIGHTS.shape[1]
HALF = 1 << spec.LIFT_SCALE - 1


def rebuild(batch: Batch, residuals: Samples, count: int) -> None:
    """Put the samples of all blocks of `count` samples into `batch.out`, or the error of those beyond their range.

    Numbers in range have at most `MAX_BITS` bits and magnitudes of weights add up to less than 128, so all but
    cumulated sums fits 32 bits; what leaves the range on the way is set to 0 at once and refused at the end.
    """
    _, batch = batch.split(batch["count"] == count)
    x, bad = _thin(batch, residuals, count)
    for level in reversed(range(int(batch["levels"].max()))):
        _refine(batch, x, bad, level)
    _unsum(batch, x, bad)
    x <<= batch["shift"][:, None].astype(np.int32)
    for index, samples in zip(batch["index"][~bad], x[~bad], strict=True):
        batch.out[index] = samples
    batch.refuse(bad, "block-range", "a sample that does not fit its channel")


@lru_cache(maxsize=256)
def _places(count: int, levels: int) -> Int:
    """Return which residual belongs to each sample: those of the thinnest sequence come first, then level by level."""
    thin = np.arange(0, count, 1 << levels)
    order = np.concatenate([thin, *(np.arange(1 << level, count, 2 << level) for level in reversed(range(levels)))])
    return np.argsort(order) - 1  # the first sample has none


def _outside(values: NDArray[np.signedinteger], width: Int) -> Mask:
    """Return the rows that have a value beyond `width` signed bits."""
    limit = np.left_shift(1, width - 1)
    outside: Mask = (values.max(axis=1) >= limit) | (values.min(axis=1) < -limit)
    return outside


def _thin(batch: Batch, residuals: Samples, count: int) -> tuple[Samples, Mask]:
    """Return rows with the thinnest sequences in place and residuals where the other samples will be; and bad rows."""
    x = np.empty((len(batch), count), np.int32)
    bad = np.zeros(len(batch), np.bool_)
    width = batch["width"] + batch["sum"]
    for levels in np.unique(batch["levels"]):
        rows = np.flatnonzero(batch["levels"] == levels)
        x[rows] = residuals.take(batch["offset"][rows, None] + _places(count, int(levels)), mode="wrap")
        x[rows, 0] = (batch["first"] << batch["sum"])[rows]
        thin = x[rows, :: 1 << levels].astype(np.int64)
        order = batch["order"][rows]
        for k in reversed(range(int(order.max()))):
            some = order > k
            sums = np.cumsum(thin[some, k:], axis=1)
            outside = _outside(sums, width[rows[some]] + k)
            sums[outside] = 0
            thin[some, k:] = sums
            bad[rows[some]] |= outside
        outside = _outside(thin, width[rows])
        thin[outside] = 0
        bad[rows] |= outside
        x[rows, :: 1 << levels] = thin
    return x, bad


def _refine(batch: Batch, x: Samples, bad: Mask, level: int) -> None:
    """Turn the residuals of one level into samples, from the even members around them."""
    rows = np.flatnonzero(batch["levels"] > level)
    kernel = batch["kernels"][rows] >> spec.LIFT_KERNEL_BITS * level & (1 << spec.LIFT_KERNEL_BITS) - 1
    even, odd = x[rows, :: 2 << level], x[rows, 1 << level :: 2 << level]
    n = odd.shape[1]
    e = np.concatenate([np.repeat(even[:, :1], TAPS - 1, 1), even, np.repeat(even[:, -1:], TAPS, 1)], 1)
    weights = WEIGHTS[kernel]
    total = np.full_like(odd, HALF)
    for j in range(TAPS):
        total += weights[:, j, None] * (e[:, TAPS - 1 - j :][:, :n] + e[:, TAPS + j :][:, :n])
    total >>= spec.LIFT_SCALE
    hold = kernel == 0
    total[hold] = even[hold, :n]
    odd += total
    outside = _outside(odd, (batch["width"] + batch["sum"])[rows])
    odd[outside] = 0
    bad[rows] |= outside
    x[rows, 1 << level :: 2 << level] = odd


def _unsum(batch: Batch, x: Samples, bad: Mask) -> None:
    """Turn running sums back into samples: v(i) = v(i - 2**sum) + x(i) - x(i-1)."""
    for log in np.unique(batch["sum"][batch["sum"] > 0]):
        rows = np.flatnonzero(batch["sum"] == log)
        n, lag = x.shape[1], 1 << int(log)
        steps = np.zeros((len(rows), -(-n // lag) * lag), np.int64)
        steps[:, 1:n] = np.diff(x[rows], axis=1)
        steps[:, :lag] += batch["first"][rows, None]
        v = np.cumsum(steps.reshape(len(rows), -1, lag), axis=1).reshape(steps.shape)[:, :n]
        outside = _outside(v, batch["width"][rows])
        v[outside] = 0
        bad[rows] |= outside
        x[rows] = v
