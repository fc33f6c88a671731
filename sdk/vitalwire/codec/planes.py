"""Reads the two planes of LIFT blocks into residuals; what these mean is `lift`'s business.

Sub-blocks are cut into units of `LIFT_UNIT` residuals, which have a parameter in common. The first residuals of all
units are read at once, then the second ones: no loop goes over blocks or samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vitalwire_protocol import spec

from .batch import WINDOW, WORD, WORD_LOG, Batch, Int, Mask, Samples
from .heads import read_heads
from .unary import read_unary

UNIT = spec.LIFT_UNIT
TOO_LARGE = 1 << spec.LIFT_MAX_RESIDUAL_BITS


def read(batch: Batch) -> Samples:
    """Return the residuals of all blocks that are not refused; adds the columns of heads and those that `lift` needs.

    `offsets`, shape (blocks, groups), is where the residuals of each group begin, `own` how many bits they took all
    together. Behind those of a group anything may stand; behind all of them there is room for one block more.
    """
    read_heads(batch)
    if not len(batch):
        return np.zeros(0, np.int32)
    numbers, ones = read_unary(batch)
    pieces, bad = _pieces(batch, numbers)
    if not bad.any():
        residuals, bad = _residuals(batch, pieces, numbers, ones)
        if not bad.any():
            return residuals
    batch.refuse(bad, "block-body", "planes that do not fit its samples")
    return read(batch)  # without the bad ones; twice at most


class Pieces(NamedTuple):
    """Sub-blocks of all blocks in a row, and where each block's begin among them."""

    first: Int
    block: Int
    length: Int
    parameter: Int


def _pieces(batch: Batch, numbers: Samples) -> tuple[Pieces, Mask]:
    """Return the sub-blocks, and which blocks have an impossible parameter or not all their numbers.

    Adds `used`, how many numbers a block has in its unary plane.
    """
    number, cuts = batch["number"], batch["cuts"]
    first = np.cumsum(number) - number
    block = np.repeat(np.arange(len(batch)), number)
    unit = UNIT << batch["size"]
    length = unit[block]
    some = cuts.ravel() > 0
    last = np.cumsum(cuts.ravel())[some] - 1
    length[last] = (batch["lengths"] - (cuts - 1) * unit[:, None]).ravel()[some]

    before = batch["one"] - 1 - first  # the step to a block's first sub-block stands in its head
    step = numbers.take(before[block] + np.arange(len(block)), mode="clip").astype(np.int64)
    step = step >> 1 ^ -(step & 1)
    step[first] = batch["parameter"]
    total = np.cumsum(step)
    parameter = total - (total - step)[first][block]
    bad = np.logical_or.reduceat((parameter < 0) | (parameter > spec.LIFT_MAX_PARAMETER), first)
    batch["used"] = number - 1 + np.add.reduceat(np.where(parameter > 0, length, 0), first)
    bad |= batch["used"] > batch["stop"] - batch["one"]
    return Pieces(first, block, length, parameter), bad


def _residuals(batch: Batch, pieces: Pieces, numbers: Samples, ones: Int) -> tuple[Samples, Mask]:
    """Return the residuals, and which blocks have one that is too large or another end than that of its remainders."""
    first, block, length, parameter = pieces
    held = np.where(parameter > 0, length, 0)
    width = np.maximum(parameter - 1, 0)
    steps = _behind(batch, ones, batch["number"] - 1)
    tail = _behind(batch, ones, batch["used"])
    stored = np.add.reduceat(held * width, first)
    batch["own"] = tail + stored - steps
    bad = ~batch.filled(tail + stored)

    # Where the quotients and the remainders of a sub-block begin, and from there those of a unit.
    quotient = np.cumsum(held) - held
    quotient += (batch["one"] + batch["number"] - 1 - quotient[first])[block]
    remainder = np.cumsum(held * width) - held * width
    remainder += (tail - remainder[first])[block]
    units = length + UNIT - 1 >> spec.LIFT_UNIT.bit_length() - 1
    piece = np.repeat(np.arange(len(units)), units)
    nth = np.arange(len(piece)) - (np.cumsum(units) - units)[piece]
    nth *= UNIT
    k = width[piece]
    quotient = quotient[piece] + nth
    remainder = remainder[piece] + nth * k

    room = np.empty(len(piece) * UNIT + int(batch["count"].max()), np.int32)
    residuals = room[: len(piece) * UNIT].reshape(-1, UNIT)
    most = _read_units(batch, residuals, numbers, quotient.copy(), remainder, k)
    zero = parameter[piece] == 0
    if zero.any():
        residuals[zero] = 0
    if (most << k >= TOO_LARGE).any():  # or what stands behind a group is
        real = np.arange(UNIT) < (held[piece] - nth)[:, None]
        values = numbers.take(quotient[:, None] + np.arange(UNIT), mode="clip").astype(np.int64) << k[:, None]
        bad[block[piece[((values >= TOO_LARGE) & real).any(axis=1)]]] = True
    ends = np.cumsum(-(-batch["lengths"] // UNIT)).reshape(-1, batch["lengths"].shape[1])
    batch["offsets"] = UNIT * (ends - -(-batch["lengths"] // UNIT))
    return room, bad


def _behind(batch: Batch, ones: Int, number: Int) -> Int:
    """Return the positions behind the first so many numbers of the blocks' unary planes."""
    at = ones.take(batch["one"] + number - 1, mode="clip") + 1 + batch["moved"]
    return np.where(number > 0, at, batch["plane"])


def _read_units(batch: Batch, out: Samples, numbers: Samples, quotient: Int, remainder: Int, k: Int) -> Int:
    """Write the residuals of units into `out`, shape (units, UNIT); return the largest quotient of each unit."""
    mask = (np.left_shift(1, k) - 1).view(np.uint64)
    shift = k.astype(np.int32)
    at, left = np.empty_like(k), np.empty_like(k)
    seen = np.empty(len(k), np.uint64)
    z, sign, most = np.empty(len(k), np.int32), np.empty(len(k), np.int32), np.zeros(len(k), np.int32)
    for nth in range(UNIT):
        np.right_shift(remainder, WORD_LOG, out=at)
        batch.windows.take(at, out=seen, mode="clip")
        np.bitwise_and(remainder, WORD - 1, out=left)
        left += k
        np.subtract(WINDOW, left, out=left)
        seen >>= left.view(np.uint64)
        seen &= mask
        numbers.take(quotient, out=z, mode="clip")
        np.maximum(most, z, out=most)
        z <<= shift
        np.bitwise_or(z, seen.view(np.int64), out=z, casting="unsafe")
        np.bitwise_and(z, 1, out=sign)
        np.negative(sign, out=sign)
        z >>= 1
        np.bitwise_xor(z, sign, out=out[:, nth])
        quotient += 1
        remainder += k
    return most.astype(np.int64)
