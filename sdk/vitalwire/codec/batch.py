"""Columns of facts about many blocks, one row a block, and the bits of their bodies; knows no coding."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from ..errors import BlockError

Int = NDArray[np.int64]
Mask = NDArray[np.bool_]
Samples = NDArray[np.int32]

WINDOW = 64  # bits seen at once from any byte on: a field of up to 57 bits lies inside


class Batch:
    """The blocks that are still good. A refused one leaves the batch, its error stays in `out`."""

    def __init__(self, bodies: Sequence[bytes], columns: dict[str, Sequence[int]]) -> None:
        self.out: list[Samples | BlockError | None] = [None] * len(bodies)
        data = b"".join(bodies)
        sizes = np.fromiter(map(len, bodies), np.int64, len(bodies))
        end = np.cumsum(sizes) * 8
        self.columns = {name: np.asarray(values, dtype=np.int64) for name, values in columns.items()}
        self.columns |= {"index": np.arange(len(bodies)), "start": end - sizes * 8, "end": end}
        bits = np.unpackbits(np.frombuffer(data + b"\x80", np.uint8))
        self.ones = np.flatnonzero(bits.view(np.bool_))  # where the one bits are; the last stands behind the end
        padded = data + bytes(WINDOW // 8)
        self._windows = np.ndarray((len(data) + 1,), ">u8", padded, strides=(1,)).astype(np.uint64)

    def __getitem__(self, name: str) -> Int:
        return self.columns[name]

    def __setitem__(self, name: str, values: Int) -> None:
        self.columns[name] = values

    def __len__(self) -> int:
        return len(self.columns["index"])

    def field(self, at: Int, width: Int | int) -> Int:
        """Return the unsigned numbers of `width` bits at the bit positions `at`; beyond the end there are zeros."""
        seen = self._windows.take(at >> 3, mode="clip")
        seen <<= (at & 7).view(np.uint64)
        seen >>= 1
        seen >>= np.asarray(WINDOW - 1 - width).view(np.uint64)
        return seen.view(np.int64)

    def signed(self, at: Int, width: Int | int) -> Int:
        """Return the two's complement numbers of `width` bits, at least one, at the bit positions `at`."""
        half = np.left_shift(1, np.asarray(width) - 1)
        values: Int = (self.field(at, width) ^ half) - half
        return values

    def filled(self, at: Int) -> Mask:
        """Return where `at` is less than a byte before the body's end, with only zero bits between."""
        left = self["end"] - at
        fits = (left >= 0) & (left < 8)
        zero: Mask = self.field(at, np.where(fits, left, 0)) == 0  # a field of no bits is 0
        return fits & zero

    def refuse(self, bad: Mask, reason: str, message: str) -> None:
        """Take the blocks of a mask out of the batch."""
        if bad.any():
            for index in self["index"][bad]:
                self.out[index] = BlockError(f"a block with {message}", reason=reason)
            self.keep(~bad)

    def split(self, taken: Mask) -> tuple[Batch, Batch]:
        """Return the blocks outside a mask and those in it; both report into the same `out`."""
        left, right = copy(self), copy(self)
        left.keep(~taken)
        right.keep(taken)
        return left, right

    def keep(self, good: Mask) -> None:
        """Leave only the blocks of a mask in the batch."""
        self.columns = {name: values[good] for name, values in self.columns.items()}
