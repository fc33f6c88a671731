"""Finds the numbers of unary planes, of all blocks at once, by the gaps between one bits; knows not what they count."""

from __future__ import annotations

import numpy as np

from .batch import Batch, Int, Samples

GUESS = 3  # bits a number; where a plane is longer, the whole body is searched


def read_unary(batch: Batch) -> tuple[Samples, Int]:
    """Return the numbers in the planes at `plane` of all blocks, and the position of the one bit that ends each.

    `one` is where a block's numbers begin in both, and they reach to `stop` or to the end of what the block can need;
    `moved` is to be added to a block's positions. Numbers between those of two blocks mean nothing.
    """
    need = batch["number"] + batch["count"] - 2
    begin, end = batch["plane"] >> 3, batch["end"] >> 3
    stop = np.minimum(begin + (GUESS * need >> 3) + 2, end)
    while True:
        sizes = stop - begin
        edges = np.cumsum(sizes)
        searched = b"".join([batch.data[a:b] for a, b in zip(begin.tolist(), stop.tolist(), strict=True)])
        bits = np.unpackbits(np.frombuffer(searched + b"\x80", np.uint8))  # the last one stands behind the end
        ones = np.flatnonzero(bits.view(np.bool_))
        batch["moved"] = begin - edges + sizes << 3
        plane = batch["plane"] - batch["moved"]
        batch["one"] = np.searchsorted(ones, plane)
        batch["stop"] = np.searchsorted(ones, edges << 3)
        short = (batch["stop"] - batch["one"] < need) & (stop < end)
        if not short.any():
            break
        stop = np.where(short, end, stop)
    del searched, bits  # their memory, still in the cache, serves what follows
    numbers = np.empty(len(ones), np.int32)
    numbers[0] = ones[0]
    np.subtract(ones[1:], ones[:-1], out=numbers[1:], casting="unsafe")
    numbers -= 1
    numbers[batch["one"]] = ones[batch["one"]] - plane
    return numbers, ones
