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

WORD_LOG = 5
WORD = 1 << WORD_LOG  # bits from one window to the next
WINDOW = 63  # bits seen at once; a field of up to 32 bits lies inside the window that its first bit's word begins


class Batch:
    """The blocks that are still good. A refused one leaves the batch, its error stays in `out`."""

    def __init__(self, bodies: Sequence[bytes], columns: dict[str, Sequence[int]]) -> None:
        self.out: list[Samples | BlockError | None] = [None] * len(bodies)
        self.data = b"".join(bodies)
        sizes = np.fromiter(map(len, bodies), np.int64, len(bodies))
        end = np.cumsum(sizes) * 8
        self.columns = {name: np.asarray(values, dtype=np.int64) for name, values in columns.items()}
        self.columns |= {"index": np.arange(len(bodies)), "start": end - sizes * 8, "end": end}
        words = len(self.data) * 8 // WORD + 2  # in the last one nothing is left
        padded = self.data + bytes(3 * WORD // 8)
        windows = np.ndarray((words,), ">u8", padded, strides=(WORD // 8,)).astype(np.uint64)
        self.windows = windows >> 1  # the highest bit stays free, so that they are signed numbers as well

    def __getitem__(self, name: str) -> Int:
        return self.columns[name]

    def __setitem__(self, name: str, values: Int) -> None:
        self.columns[name] = values

    def __len__(self) -> int:
        return len(self.columns["index"])

    def field(self, at: Int, width: Int | int) -> Int:
        """Return the unsigned numbers of `width` bits, 0 to 32, at the positions `at`; zeros beyond the end."""
        seen = self.windows.view(np.int64).take(at >> WORD_LOG, mode="clip")
        seen >>= WINDOW - width - (at & WORD - 1)
        seen &= np.left_shift(1, width) - 1
        return seen

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
            self.columns = self.part(~bad).columns

    def part(self, rows: Mask | Int | slice) -> Batch:
        """Return the blocks of a mask, of a slice or of these rows in this order; it reports into the same `out`."""
        part = copy(self)
        part.columns = {name: values[rows] for name, values in self.columns.items()}
        return part
