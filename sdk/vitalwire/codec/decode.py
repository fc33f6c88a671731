"""Reads blocks, many in one pass of array operations; every check is made for all blocks at once.

One bad block costs the others nothing. The planes of LIFT are read in `planes`, its samples rebuilt in `lift`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from vitalwire_protocol import spec

from ..errors import BlockError
from . import lift, planes
from .batch import Batch, Samples


def decode_block(coding: int, body: bytes, count: int, bits: int) -> Samples:
    """Return the samples of one block: int32, shape (count,).

    Raises `BlockError` for a body that is not exactly `count` samples of `bits` bits.
    """
    (samples,) = decode_blocks([coding], [body], [count], [bits])
    if isinstance(samples, BlockError):
        raise samples
    return samples


def decode_blocks(
    codings: Sequence[int], bodies: Sequence[bytes], counts: Sequence[int], bits: Sequence[int]
) -> list[Samples | BlockError]:
    """Return for each block its samples (int32, shape (count,)) or, as a value, the error that refuses it.

    Arrays of one call may share memory.
    """
    batch = Batch(bodies, {"coding": codings, "count": counts, "bits": bits})
    count, width = batch["count"], batch["bits"]
    batch.refuse((count < 1) | (count > spec.Limit.MAX_BLOCK_SAMPLES), "block-count", "a count out of range")
    batch.refuse((width < 1) | (width > spec.Limit.MAX_BITS), "range", "a sample width out of range")
    known = np.isin(batch["coding"], (spec.Coding.RAW, spec.Coding.LIFT))
    batch.refuse(~known, "block-coding", "an unknown coding")
    everything, is_lift = batch.columns, batch["coding"] == spec.Coding.LIFT
    batch.keep(~is_lift)
    _read_raw(batch)
    batch.columns = everything
    batch.keep(is_lift)
    residuals = planes.read(batch)
    for number in np.unique(batch["count"]):
        lift.rebuild(batch, residuals, int(number))
    return [samples if samples is not None else BlockError("unread", reason="block-body") for samples in batch.out]


def _read_raw(batch: Batch) -> None:
    """Read the samples of RAW blocks."""
    stop = batch["start"] + batch["count"] * batch["bits"]
    batch.refuse(~batch.filled(stop), "block-body", "a body of the wrong length")
    if not len(batch):
        return
    count, bits = batch["count"], batch["bits"]
    ends = np.cumsum(count)
    nth = np.arange(ends[-1]) - np.repeat(ends - count, count)
    width = np.repeat(bits, count)
    samples = batch.signed(np.repeat(batch["start"], count) + nth * width, width).astype(np.int32)
    for index, piece in zip(batch["index"], np.split(samples, ends[:-1]), strict=True):
        batch.out[index] = piece
