"""Reads blocks, many in one pass of array operations; every check is made for all blocks at once.

One bad block costs the others nothing. The planes of LIFT are read in `planes`, its samples rebuilt in `lift`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from vitalwire_protocol import spec

from ..errors import BlockError
from . import lift, planes
from .batch import Batch, Int, Samples

MANY = 256  # blocks in one call from which on memory is worth keeping
KEPT = 1 << 24  # bytes, half of what is kept at most


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
    if len(bodies) >= MANY:
        _keep_memory()
    raw, batch = _open(codings, bodies, counts, bits)
    _read_raw(raw)
    residuals = planes.read(batch)
    lift.rebuild(batch, residuals)
    return [BlockError("an unread block", reason="block-body") if each is None else each for each in batch.out]


@cache
def _keep_memory() -> None:
    """Free one large array that was never touched.

    A C library that returns freed memory to the kernel and faults it in again for the next call, page by page, costs
    half as much as all the decoding; glibc stops doing so below twice the largest size it has seen freed (mallopt(3),
    M_MMAP_THRESHOLD). Others take no notice.
    """
    np.empty(KEPT, np.uint8)


def side_bits(coding: int, body: bytes, count: int, bits: int) -> int:
    """Return how many bits of a good block's body are not the samples' own codes: head, parameters, fill."""
    raw, batch = _open([coding], [body], [count], [bits])
    planes.read(batch)
    own = int(batch["own"][0]) if len(batch) else count * bits if len(raw) else 0
    return 8 * len(body) - own


def _open(
    codings: Sequence[int], bodies: Sequence[bytes], counts: Sequence[int], bits: Sequence[int]
) -> tuple[Batch, Batch]:
    """Return the blocks of RAW and those of LIFT; others are refused in the first."""
    batch = Batch(bodies, {"coding": codings, "count": counts, "bits": bits})
    count = batch["count"]
    batch.refuse((count < 1) | (count > spec.Limit.MAX_BLOCK_SAMPLES), "block-count", "a count out of range")
    batch.refuse((batch["bits"] < 1) | (batch["bits"] > spec.Limit.MAX_BITS), "range", "a sample width out of range")
    known = np.isin(batch["coding"], (spec.Coding.RAW, spec.Coding.LIFT))
    batch.refuse(~known, "block-coding", "an unknown coding")
    lifted = batch["coding"] == spec.Coding.LIFT
    return batch.part(~lifted), batch.part(lifted)


def _read_raw(batch: Batch) -> None:
    """Read the samples of RAW blocks."""
    stop = batch["start"] + batch["count"] * batch["bits"]
    batch.refuse(~batch.filled(stop), "block-body", "a body of the wrong length")
    if not len(batch):
        return
    count, bits = batch["count"], batch["bits"]
    ends = np.cumsum(count)
    nth = np.arange(int(ends[-1])) - np.repeat(ends - count, count)
    width: Int = np.repeat(bits, count)
    at: Int = np.repeat(batch["start"], count) + nth * width
    samples = batch.signed(at, width).astype(np.int32)
    for index, begin, end in zip(batch["index"].tolist(), (ends - count).tolist(), ends.tolist(), strict=True):
        batch.out[index] = samples[begin:end]
