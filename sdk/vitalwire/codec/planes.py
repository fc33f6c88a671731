"""Reads the head and the two planes of LIFT blocks into residuals; what these mean is `lift`'s business.

Every number of a plane is found from the positions of the one bits, so that no loop goes over samples or sub-blocks.
"""

from __future__ import annotations

import numpy as np

from vitalwire_protocol import spec

from .batch import Batch, Int, Samples

HEAD = {
    "order": spec.LIFT_ORDER_BITS,
    "levels": spec.LIFT_LEVELS_BITS,
    "size": spec.LIFT_SIZE_BITS,
    "parameter": spec.LIFT_PARAMETER_BITS,
    "shift": spec.LIFT_SHIFT_BITS,
    "sum": spec.LIFT_SUM_BITS,
}
GROUPS = 1 << spec.LIFT_LEVELS_BITS  # the base and at most seven levels


def read(batch: Batch) -> Samples:
    """Return the residuals of all blocks that are not refused, in order; adds the columns that `lift` needs.

    `offset` is where a block's residuals begin, `first` its first sample and `width` the bits of each (both without
    `shift`), `kernels` the kernels as one number, `own` the bits that the residuals took.
    """
    _head(batch)
    if not len(batch):
        return np.zeros(0, np.int32)
    lengths = _groups(batch)
    unit = spec.LIFT_UNIT << batch["size"]
    cuts = -(-lengths // unit[:, None])
    batch["cuts"] = cuts.sum(axis=1)
    batch["one"] = np.searchsorted(batch.ones, batch["plane"])
    batch["stop"] = np.searchsorted(batch.ones, batch["end"])
    return _residuals(batch, lengths, unit, cuts)


def _head(batch: Batch) -> None:
    """Read everything in front of the planes."""
    batch.refuse(batch["count"] < 2, "block-body", "one sample alone in LIFT")
    batch.refuse(batch["end"] - batch["start"] < sum(HEAD.values()), "block-body", "a cut head")
    at = batch["start"]
    for name, size in HEAD.items():
        batch[name] = batch.field(at, size)
        at = at + size
    batch["at"] = at
    count, levels, order = batch["count"], batch["levels"], batch["order"]
    batch["width"] = batch["bits"] - batch["shift"]
    impossible = (levels > 0) & (count << 1 <= 1 << levels)  # a level without odd members
    impossible |= (order > 0) & (order >= count + (1 << levels) - 1 >> levels)
    impossible |= (batch["parameter"] > spec.LIFT_MAX_PARAMETER) | (batch["width"] < 1)
    impossible |= batch["width"] + batch["sum"] > spec.Limit.MAX_BITS
    batch.refuse(impossible, "block-body", "an impossible head")
    named = spec.LIFT_KERNEL_BITS * batch["levels"]
    batch["kernels"] = batch.field(batch["at"], named)
    batch["first"] = batch.signed(batch["at"] + named, batch["width"])
    batch["plane"] = batch["at"] + named + batch["width"]
    batch.refuse(batch["plane"] > batch["end"], "block-body", "a cut head")


def _groups(batch: Batch) -> Int:
    """Return the residuals in each group, shape (blocks, GROUPS): base, then levels from the thinnest on."""
    count, levels = batch["count"][:, None], batch["levels"][:, None]
    level = levels - np.arange(GROUPS)  # of the group; of the base: the thinnest sequence itself
    members = count + (1 << np.maximum(level, 0)) - 1 >> np.maximum(level, 0)
    lengths = np.where(level >= 0, members >> 1, 0)
    lengths[:, 0] = members[:, 0] - 1
    return lengths


def _residuals(batch: Batch, lengths: Int, unit: Int, cuts: Int) -> Samples:
    """Read parameters and residuals. A block found bad on the way reads on as zeros and is refused at the end."""
    ones = batch.ones
    bad = batch["stop"] - batch["one"] < batch["cuts"] - 1
    # Sub-blocks of all blocks in a row: their block, how many there are before it in the block, their length.
    number = np.where(bad, 1, batch["cuts"])
    cuts = np.where(bad[:, None], np.arange(GROUPS) == 0, cuts)
    first = np.cumsum(number) - number
    block = np.repeat(np.arange(len(batch)), number)
    nth = np.arange(len(block)) - first[block]
    group = np.repeat(np.arange(cuts.size), cuts.ravel())
    nth_of_group = np.arange(len(group)) - np.repeat(np.cumsum(cuts.ravel()) - cuts.ravel(), cuts.ravel())
    length = np.minimum(unit[block], lengths.ravel()[group] - nth_of_group * unit[block])

    # Parameters: the first from the head, the others by the gaps between ones.
    at = np.where(nth > 0, ones[batch["one"][block] + nth - 1], batch["plane"][block] - 1)
    gap = np.diff(at, prepend=0) - 1
    step = np.where(nth > 0, (gap >> 1) ^ -(gap & 1), batch["parameter"][block])
    total = np.cumsum(step)
    parameter = total - (total - step)[first][block]
    bad |= np.logical_or.reduceat((parameter < 0) | (parameter > spec.LIFT_MAX_PARAMETER), first)
    coded = np.add.reduceat(np.where(parameter > 0, length, 0), first)
    bad |= coded > batch["stop"] - batch["one"] - (number - 1)
    parameter[bad[block]] = 0

    # Quotients by the gaps between the ones that follow, remainders from where the last of these was.
    held = np.where(parameter > 0, length, 0)
    width = np.maximum(parameter - 1, 0)
    coded = np.add.reduceat(held, first)
    some = coded > 0
    begin = np.cumsum(coded) - coded
    skip = batch["one"] + number - 1
    before = np.where(number > 1, ones[skip - 1], batch["plane"] - 1)
    tail = np.where(some, ones[skip + coded - 1], before) + 1
    at = np.arange(int(coded.sum()))
    at += np.repeat(skip - begin, coded)
    at = ones.take(at)
    z = np.empty_like(at)
    np.subtract(at[1:], at[:-1], out=z[1:])
    z[begin[some]] = at[begin[some]] - before[some]
    z -= 1
    k = np.repeat(width, held)
    stored = np.add.reduceat(held * width, first)
    np.cumsum(k, out=at)
    at -= k
    at += np.repeat(tail - np.cumsum(stored) + stored, coded)
    z <<= k
    z |= batch.field(at, k)
    bad |= ~batch.filled(tail + stored)
    large = z >= 1 << spec.LIFT_MAX_RESIDUAL_BITS
    if large.any():
        bad[np.repeat(np.arange(len(batch)), coded)[large]] = True
        z[large] = 0

    signed = z.astype(np.int32)
    signed >>= 1
    signed ^= -(z & 1).astype(np.int32)
    residuals = signed
    if len(signed) < length.sum():
        residuals = np.zeros(int(length.sum()), np.int32)
        residuals[np.repeat(parameter > 0, length)] = signed
    lengths = np.add.reduceat(length, first)
    batch["offset"] = np.cumsum(lengths) - lengths
    batch["own"] = tail + stored - before - 1
    batch.refuse(bad, "block-body", "planes that do not fit its samples")
    return residuals
