"""Sets of sequence numbers as ranges: what grows by one number at a time stays one entry."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator


class Ranges:
    """A set of integers, kept as rising ranges that do not touch."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __len__(self) -> int:
        """Count the ranges, not the numbers."""
        return len(self._firsts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield (first, last) of each range, rising."""
        return iter(zip(self._firsts, self._lasts, strict=True))

    def __contains__(self, number: int) -> bool:
        index = bisect_left(self._lasts, number)
        return index < len(self._lasts) and self._firsts[index] <= number

    def add(self, first: int, last: int) -> None:
        """Add all numbers from `first` to `last`, both included."""
        left = bisect_left(self._lasts, first - 1)  # ranges before this one end too early to touch
        right = bisect_left(self._firsts, last + 2)  # ranges from this one on begin too late to touch
        if left < right:
            first, last = min(first, self._firsts[left]), max(last, self._lasts[right - 1])
        self._firsts[left:right] = [first]
        self._lasts[left:right] = [last]

    def discard(self, first: int, last: int) -> None:
        """Take out all numbers from `first` to `last`, both included, whether they are in or not."""
        left = bisect_left(self._lasts, first)
        right = bisect_left(self._firsts, last + 1)
        rest: list[tuple[int, int]] = []
        if left < right:
            if self._firsts[left] < first:
                rest.append((self._firsts[left], first - 1))
            if self._lasts[right - 1] > last:
                rest.append((last + 1, self._lasts[right - 1]))
        self._firsts[left:right] = [a for a, _ in rest]
        self._lasts[left:right] = [b for _, b in rest]

    def clear(self) -> None:
        """Take out everything."""
        self._firsts.clear()
        self._lasts.clear()
