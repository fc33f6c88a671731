"""Holds what was decoded against what the chips played, sample by sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwire.signals import Signal

SLOW = 10_000  # samples of a log below which each of them may be where a boot began


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of one channel: samples decoded, how many of them are valid, how many valid ones differ from what was played."""

    channel: str
    samples: int
    valid: int
    different: int


def compare(signals: Iterable[Mapping[str, Signal]], played: Mapping[str, NDArray[Any]]) -> list[Comparison]:
    """Compare the signals of one boot's frames, in order, with the log of `Hardware.save`.

    A boot's samples begin where the board last emptied that chip's FIFO; the log names these places (of what has no
    FIFO and few samples, any is one) and the one that fits best is taken. Samples the device marked as not measured
    count as decoded, not as valid.
    """
    decoded: dict[str, list[Signal]] = {}
    for frame in signals:
        for name, signal in frame.items():
            decoded.setdefault(name, []).append(signal)
    return [_channel(name, parts, played) for name, parts in decoded.items()]


def _channel(name: str, parts: list[Signal], played: Mapping[str, NDArray[Any]]) -> Comparison:
    counts = np.concatenate([part.counts for part in parts])
    valid = np.concatenate([part.valid for part in parts])
    log = played[name]
    starts = played[f"{parts[0].channel.part.lower()}_starts"].tolist() if len(log) > SLOW else range(len(log))
    different = min(_differences(counts, valid, log[start:]) for start in starts)
    return Comparison(name, len(counts), int(valid.sum()), different)


def _differences(counts: NDArray[Any], valid: NDArray[Any], log: NDArray[Any]) -> int:
    common = min(len(counts), len(log))
    wrong = (counts[:common] != log[:common]) & valid[:common]
    return int(wrong.sum()) + int(valid[common:].sum())
