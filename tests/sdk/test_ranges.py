"""Ranges of sequence numbers behave as the set of those numbers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vitalwire.ranges import Ranges

steps = st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 6)), max_size=40)


@given(steps)
def test_ranges_are_the_set_of_their_numbers(steps: list[tuple[bool, int, int]]) -> None:
    """Adding and discarding ranges in any order gives the set's numbers, in rising ranges that do not touch."""
    ranges, model = Ranges(), set[int]()
    for add, first, length in steps:
        (ranges.add if add else ranges.discard)(first, first + length)
        (model.update if add else model.difference_update)(range(first, first + length + 1))
    pairs = list(ranges)
    assert {n for first, last in pairs for n in range(first, last + 1)} == model
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(pairs))
    assert all(first <= last for first, last in pairs)
    assert all((n in ranges) == (n in model) for n in range(50))
    assert len(ranges) == len(pairs)
