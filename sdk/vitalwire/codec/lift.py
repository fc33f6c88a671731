"""Rebuilds samples of LIFT blocks from residuals, by whole rows: cumulated differences, interpolation, sums undone.

Numbers wrap at 32 bits on the way and only samples are checked, because samples in range prove that nothing wrapped:
differences of orders up to 3 and predictions of numbers in range stay below 2**31 beside any residual, so what wrapped
would be a sum of them that differs from itself by less than 2**32.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vitalwire_protocol import spec

from .batch import Batch, Int, Samples

WEIGHTS: NDArray[np.int32] = np.array(spec.LIFT_KERNELS, np.int32)
TAPS = WEIGHTS.shape[1]
HALF = 1 << spec.LIFT_SCALE - 1
# What is still asked for; every column costs time wherever blocks are put into another order.
COLUMNS = ("index", "count", "order", "levels", "kernels", "offsets", "width", "shift", "sum", "first")
SPREAD = 0.25  # blocks whose counts differ by no more than this are rebuilt together, the shorter ones padded


def rebuild(batch: Batch, residuals: Samples) -> None:
    """Put the samples of all blocks into `batch.out`, or the error of those beyond their range."""
    if not len(batch):
        return
    batch.columns = {name: batch[name] for name in COLUMNS}
    for part in _classes(batch):
        x = _interpolate(part, residuals)
        _unsum(part, x)
        count = part["count"]
        if count.min() < x.shape[1]:
            x[np.arange(x.shape[1]) >= count[:, None]] = 0
        limit = np.left_shift(1, part["width"] - 1)
        bad = (x.max(axis=1) >= limit) | (x.min(axis=1) < -limit)
        if part["shift"].any():
            x <<= part["shift"][:, None].astype(np.int32)
        widest = x.shape[1]
        for index, samples, n in zip(part["index"].tolist(), x, count.tolist(), strict=True):
            batch.out[index] = samples if n == widest else samples[:n]
        part.refuse(bad, "block-range", "a sample that does not fit its channel")


def _classes(batch: Batch) -> Iterator[Batch]:
    """Yield blocks of about the same count, those with more levels first, among these those of higher order."""
    by_count = np.argsort(batch["count"], kind="stable")
    counts = batch["count"][by_count]
    begin = 0
    while begin < len(counts):
        end = int(np.searchsorted(counts, counts[begin] * (1 + SPREAD), "right"))
        rows = by_count[begin:end]
        yield batch.part(rows[np.lexsort((-batch["order"][rows], -batch["levels"][rows]))])
        begin = end


def _interpolate(batch: Batch, residuals: Samples) -> Samples:
    """Return x of each block, shape (blocks, the largest count); behind a block's own anything may stand."""
    widest = int(batch["count"].max())
    levels = -batch["levels"]
    x = np.empty((0, 0), np.int32)
    for level in reversed(range(1 - int(levels[0]))):
        done, active = len(x), int(np.searchsorted(levels, -level, "right"))
        y = np.empty((active, -(-widest >> level)), np.int32)
        if done:
            _refine(batch, residuals, level, x, y[:done])
        if active > done:
            _thin(batch.part(slice(done, active)), residuals, y[done:])
        x = y
    return x


def _rows(residuals: Samples, offset: Int, length: int) -> Samples:
    """Return the residuals from each of the offsets on, shape (offsets, length)."""
    step = residuals.itemsize
    shape = (len(residuals) - length + 1, length)
    rows: Samples = np.ndarray(shape, np.int32, residuals, strides=(step, step))[offset]
    return rows


def _thin(batch: Batch, residuals: Samples, x: Samples) -> None:
    """Put the thinnest sequences into `x`."""
    order = batch["order"]
    x[:, 0] = batch["first"] << batch["sum"]
    x[:, 1:] = _rows(residuals, batch["offsets"][:, 0], x.shape[1] - 1)
    for k in reversed(range(int(order[0]))):
        some = x[: np.searchsorted(-order, -k), k:]
        np.cumsum(some, axis=1, dtype=np.int32, out=some)


def _refine(batch: Batch, residuals: Samples, level: int, even: Samples, out: Samples) -> None:
    """Put the members of a level into `out`: the even ones as they are, the odd ones predicted and corrected."""
    rows, n = np.arange(len(even)), even.shape[1]
    padded = np.empty((len(even), n + 2 * TAPS - 1), np.int32)
    padded[:, : TAPS - 1] = even[:, :1]
    padded[:, TAPS - 1 : TAPS - 1 + n] = even
    padded[:, TAPS - 1 + n :] = even[:, -1:]
    members = -(-batch["count"][: len(even)] >> level + 1)
    if members.min() < n:  # a shorter block: its last number goes on as well
        last = even[rows, members - 1]
        for beyond in range(TAPS):
            padded[rows, TAPS - 1 + members + beyond] = last

    # Rows are joined to add up neighbours, whatever comes of it between them.
    flat = padded.ravel()
    kernel = batch["kernels"][: len(even)] >> spec.LIFT_KERNEL_BITS * level & (1 << spec.LIFT_KERNEL_BITS) - 1
    weights = WEIGHTS[kernel]
    total = np.full(padded.shape, HALF, np.int32)
    pair = np.zeros(padded.shape, np.int32)
    inner = len(flat) - 2 * TAPS + 1
    for j in range(TAPS):
        np.add(flat[TAPS - 1 - j :][:inner], flat[TAPS + j :][:inner], out=pair.ravel()[:inner])
        pair *= weights[:, j, None]
        total += pair
    total >>= spec.LIFT_SCALE
    hold = kernel == 0
    total[hold, :n] = even[hold]
    odd = _rows(residuals, batch["offsets"][rows, batch["levels"][: len(even)] - level], out.shape[1] - n)
    odd += total[:, : odd.shape[1]]
    out[:, ::2] = even
    out[:, 1::2] = odd


def _unsum(batch: Batch, x: Samples) -> None:
    """Turn running sums back into samples: v(i) = v(i - 2**sum) + x(i) - x(i-1)."""
    for log in np.unique(batch["sum"][batch["sum"] > 0]):
        rows = np.flatnonzero(batch["sum"] == log)
        n, lag = x.shape[1], 1 << int(log)
        steps = np.zeros((len(rows), -(-n // lag) * lag), np.int32)
        steps[:, 1:n] = np.diff(x[rows], axis=1)
        steps[:, :lag] += batch["first"][rows, None].astype(np.int32)
        v = np.cumsum(steps.reshape(len(rows), -1, lag), axis=1, dtype=np.int32).reshape(steps.shape)
        x[rows] = v[:, :n]
