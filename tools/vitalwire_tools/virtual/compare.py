"""Holds what was decoded against what the chips played, sample by sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwire.signals import Signal


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of one channel: samples decoded, how many of them are valid, how many valid ones differ from what was played."""

    channel: str
    samples: int
    valid: int
    different: int


def compare(
    signals: Iterable[Mapping[str, Signal]], played: Mapping[str, NDArray[Any]], *, single_boot: bool = False
) -> list[Comparison]:
    """Compare the signals of one boot's frames, in order, with the log of `Hardware.save`; one row a channel played.

    A boot's samples begin where the board emptied that chip's FIFO: for the last time in a `single_boot` without
    faults, otherwise at the place that fits best (of what has no such places, at any). Samples the device marked as
    not measured count as decoded, not as valid.
    """
    decoded: dict[str, list[Signal]] = {}
    for frame in signals:
        for name, signal in frame.items():
            decoded.setdefault(name, []).append(signal)
    rows = []
    for part in sorted(name.removesuffix("_starts") for name in played if name.endswith("_starts")):
        starts = [0, *played[f"{part}_starts"].tolist()]
        for name in channels_of(part, played):
            if single_boot:
                candidates: Iterable[int] = starts[-1:]
            else:
                candidates = starts if len(starts) > 1 else range(len(played[name]))
            rows.append(_channel(name, decoded.get(name, []), played[name], candidates))
    return rows


def channels_of(part: str, played: Mapping[str, NDArray[Any]]) -> list[str]:
    """Return the channels of one part in a log: they stand in front of its times."""
    found: list[str] = []
    for name in played:
        if name == f"{part}_us":
            return found
        found = [] if name.endswith(("_us", "_lost", "_starts")) else [*found, name]
    return []


def _channel(name: str, parts: list[Signal], log: NDArray[Any], starts: Iterable[int]) -> Comparison:
    if not parts:
        return Comparison(name, 0, 0, 0)
    counts = np.concatenate([part.counts for part in parts])
    valid = np.concatenate([part.valid for part in parts])
    different = min(_differences(counts, valid, log[start:]) for start in starts)
    return Comparison(name, len(counts), int(valid.sum()), different)


def _differences(counts: NDArray[Any], valid: NDArray[Any], log: NDArray[Any]) -> int:
    common = min(len(counts), len(log))
    wrong = (counts[:common] != log[:common]) & valid[:common]
    return int(wrong.sum()) + int(valid[common:].sum())
