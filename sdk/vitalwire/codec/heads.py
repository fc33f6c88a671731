"""Reads the heads of LIFT blocks, everything in front of their planes, and how their residuals are grouped."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from vitalwire_protocol import spec

from .batch import Batch, Int

HEAD = {
    "order": spec.LIFT_ORDER_BITS,
    "levels": spec.LIFT_LEVELS_BITS,
    "size": spec.LIFT_SIZE_BITS,
    "parameter": spec.LIFT_PARAMETER_BITS,
    "shift": spec.LIFT_SHIFT_BITS,
    "sum": spec.LIFT_SUM_BITS,
}
HEAD_BITS = sum(HEAD.values())
GROUPS = 1 << spec.LIFT_LEVELS_BITS  # the base and at most seven levels


def read_heads(batch: Batch) -> None:
    """Add the fields of the heads, refuse the blocks with impossible ones.

    `first` is the first sample and `width` the bits of each, both without `shift`; `kernels` all kernels as one number;
    `plane` where the unary plane begins; `lengths`, shape (blocks, GROUPS), the residuals in each group: base, then
    levels from the thinnest on; `cuts`, alike, its sub-blocks, and `number` all of a block.
    """
    batch.refuse(batch["count"] < 2, "block-body", "one sample alone in LIFT")
    batch.refuse(batch["end"] - batch["start"] < HEAD_BITS, "block-body", "a cut head")
    head = batch.field(batch["start"], HEAD_BITS)
    for (name, size), end in zip(HEAD.items(), accumulate(HEAD.values()), strict=True):
        batch[name] = head >> HEAD_BITS - end & (1 << size) - 1
    count, levels, order = batch["count"], batch["levels"], batch["order"]
    batch["width"] = batch["bits"] - batch["shift"]
    impossible = (levels > 0) & (count << 1 <= 1 << levels)  # a level without odd members
    impossible |= (order > 0) & (order >= count + (1 << levels) - 1 >> levels)
    impossible |= (batch["parameter"] > spec.LIFT_MAX_PARAMETER) | (batch["width"] < 1)
    impossible |= batch["width"] + batch["sum"] > spec.Limit.MAX_BITS
    batch.refuse(impossible, "block-body", "an impossible head")
    at, named = batch["start"] + HEAD_BITS, spec.LIFT_KERNEL_BITS * batch["levels"]
    batch["kernels"] = batch.field(at, named)
    batch["first"] = batch.signed(at + named, batch["width"])
    batch["plane"] = at + named + batch["width"]
    batch.refuse(batch["plane"] > batch["end"], "block-body", "a cut head")
    batch["lengths"] = _lengths(batch)
    batch["cuts"] = -(-batch["lengths"] // (spec.LIFT_UNIT << batch["size"])[:, None])
    batch["number"] = batch["cuts"].sum(axis=1)


def _lengths(batch: Batch) -> Int:
    count, levels = batch["count"][:, None], batch["levels"][:, None]
    level = levels - np.arange(GROUPS)  # of the group; of the base: the thinnest sequence itself
    members = count + (1 << np.maximum(level, 0)) - 1 >> np.maximum(level, 0)
    lengths = np.where(level >= 0, members >> 1, 0)
    lengths[:, 0] = members[:, 0] - 1
    return lengths
