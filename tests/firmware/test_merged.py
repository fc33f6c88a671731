"""Marks that are too many for one frame."""

from __future__ import annotations

from collections.abc import Callable


def test_each_channel_keeps_one_run_over_all_that_is_marked(micropython: Callable) -> None:
    """What was marked stays marked on its own channel, in order, as what came first there; what is between is lost."""
    script = """
from merged import merged
print(merged([(2, 1, 40, 5), (0, 3, 7, 1), (2, 1, 10, 5), (0, 3, 7, 2), (2, 4, 60, 1)]))
print(merged([]))
"""
    assert micropython(script).stdout.split("\n")[:2] == ["[(0, 3, 7, 2), (2, 1, 10, 51)]", "[]"]
