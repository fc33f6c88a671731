"""Writes one block; the device's encoder (`firmware/codec.py`) makes the same choices and the same bytes.

The format leaves a writer free. What this one does, in order: drop low bits that are always 0; sum where hum is strong;
at each level keep the kernel and the order with the smallest estimated size; stop at the cheapest level; choose one
sub-block size by estimate and each parameter by trial; fall back to RAW.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitalwire_protocol import spec

from ..errors import UsageError

Int = NDArray[np.int64]

CHUNK = 2 * spec.LIFT_UNIT  # residuals judged together; their sum of magnitudes fits 31 bits
CLIP = (1 << 20) - 1  # larger residuals count as this one when costs are added: 1024 of them fit 30 bits
PROBE = 128  # samples from which the running sum is chosen
EVERY = 4  # one chunk in so many chooses the kernel
SUMS = 3  # running sums of 1, 2 and 4 samples are tried; 8 never paid
TAPS = len(spec.LIFT_KERNELS[0])


def encode_block(samples: ArrayLike, bits: int) -> tuple[int, bytes]:
    """Return (coding, body) of 1 to 8192 samples that fit `bits` signed bits.

    Raises `UsageError` for a count, a width or a sample out of range.
    """
    x = np.asarray(samples, dtype=np.int64)
    if not 1 <= bits <= spec.Limit.MAX_BITS:
        raise UsageError(f"{bits} bits a sample: 1 to {spec.Limit.MAX_BITS} are possible")
    if x.ndim != 1 or not 1 <= len(x) <= spec.Limit.MAX_BLOCK_SAMPLES:
        raise UsageError(f"a block takes 1 to {spec.Limit.MAX_BLOCK_SAMPLES} samples in one row, not {x.shape}")
    if x.min() < -(1 << bits - 1) or x.max() >= 1 << bits - 1:
        raise UsageError(f"a sample does not fit {bits} bits")
    body = _lift(x, bits) if len(x) > 1 else None
    if body is None:
        return spec.Coding.RAW, _pack(x, np.full(len(x), bits))
    return spec.Coding.LIFT, body


def _lift(samples: Int, bits: int) -> bytes | None:
    """Return the LIFT body, or None where RAW is not longer."""
    shift = _wasted_bits(samples)
    v = samples >> shift
    log = _choose_sum(v, bits - shift)
    x = running_sum(v, log)
    order, kernels = _plan(x)
    groups = [_base(x[:: 1 << len(kernels)], order)]
    for level in reversed(range(len(kernels))):
        groups.append(_odd(x[:: 1 << level], kernels[level]))
    groups = [np.where(group < 0, -2 * group - 1, 2 * group) for group in groups]
    size = _choose_size(groups)
    blocks = _cut(groups, spec.LIFT_UNIT << size)
    parameters = np.array([_parameter(block) for block in blocks])
    delta = np.diff(parameters)
    delta = np.where(delta < 0, -2 * delta - 1, 2 * delta)
    k = np.repeat(parameters - 1, [len(block) for block in blocks])
    z = np.concatenate(blocks)[k >= 0]
    k = k[k >= 0]
    unary = np.concatenate([delta, z >> k]) + 1
    head = [
        (order, spec.LIFT_ORDER_BITS),
        (len(kernels), spec.LIFT_LEVELS_BITS),
        (size, spec.LIFT_SIZE_BITS),
        (int(parameters[0]), spec.LIFT_PARAMETER_BITS),
        (shift, spec.LIFT_SHIFT_BITS),
        (log, spec.LIFT_SUM_BITS),
        *((kernel, spec.LIFT_KERNEL_BITS) for kernel in reversed(kernels)),
        (int(v[0]), bits - shift),
    ]
    total = sum(width for _, width in head) + int(unary.sum()) + int(k.sum())
    if (total + 7) // 8 >= (len(v) * bits + 7) // 8:
        return None
    values, widths = np.array(head).T
    return _pack(np.concatenate([values, np.ones_like(unary), z]), np.concatenate([widths, unary, k]))


def _wasted_bits(x: Int) -> int:
    used = int(np.bitwise_or.reduce(x))
    shift = 0
    while shift < (1 << spec.LIFT_SHIFT_BITS) - 1 and used and not used >> shift & 1:
        shift += 1
    return shift


def running_sum(v: Int, log: int) -> Int:
    """Return the sums of 2**log samples that end at each; the first sample stands for all before it."""
    for stage in range(log):
        lag = 1 << stage
        v = v + np.concatenate([np.full(min(lag, len(v)), v[0]), v[:-lag]])
    return v


def _choose_sum(v: Int, width: int) -> int:
    """Return the sum field: one that saves half a bit a sample already before lifting, the smaller one of equals."""
    best, choice = -1, 0
    for log in range(min(SUMS, spec.Limit.MAX_BITS - width + 1)):
        x = running_sum(v[:PROBE], log)
        cost = min(_estimate(_base(x, order)) for order in range(min(len(x), 1 << spec.LIFT_ORDER_BITS)))
        cost += len(x) // 2 if log else 0
        if best < 0 or cost < best:
            best, choice = cost, log
    return choice


def _base(c: Int, order: int) -> Int:
    """Return the differences of the thinnest sequence, all but the first sample."""
    e = c.copy()
    for k in range(order):
        e[k + 1 :] -= e[k:-1].copy()
    return e[1:]


def _odd(c: Int, kernel: int) -> Int:
    """Return the odd samples of `c` minus their prediction from the even ones."""
    even, odd = c[::2], c[1::2]
    if not kernel:
        return odd - even[: len(odd)]
    e = np.pad(even, (TAPS - 1, TAPS), mode="edge")
    n = len(odd)
    total = sum(
        weight * (e[TAPS - 1 - j :][:n] + e[TAPS + j :][:n]) for j, weight in enumerate(spec.LIFT_KERNELS[kernel])
    )
    return odd - (total + (1 << spec.LIFT_SCALE - 1) >> spec.LIFT_SCALE)


def _size_of(magnitude: int, count: int) -> int:
    """Estimate the bits of `count` Rice codes of residuals whose magnitudes add up to `magnitude`."""
    k = (magnitude // count).bit_length()
    return count * (k + 1) + (magnitude << 1 >> k) if magnitude else 0


def _estimate(residuals: Int, every: int = 1) -> int:
    """Estimate the bits of every so manieth chunk of residuals."""
    pieces = (np.abs(residuals[i : i + CHUNK]) for i in range(0, len(residuals), CHUNK * every))
    return sum(_size_of(int(piece.sum()), len(piece)) for piece in pieces)


def _plan(x: Int) -> tuple[int, list[int]]:
    """Return the order of the thinnest sequence and the kernels of the levels, densest first."""
    best, plan, spent = -1, (0, 0), 0
    kernels: list[int] = []
    while True:
        c = x[:: 1 << len(kernels)]
        for order in range(min(len(c), 1 << spec.LIFT_ORDER_BITS)):
            cost = spent + _estimate(_base(c, order))
            if best < 0 or cost < best:
                best, plan = cost, (order, len(kernels))
        if len(c) < CHUNK or len(kernels) == (1 << spec.LIFT_LEVELS_BITS) - 1:
            return plan[0], kernels[: plan[1]]
        costs = [_estimate(_odd(c, kernel), EVERY) for kernel in range(len(spec.LIFT_KERNELS))]
        kernels.append(costs.index(min(costs)))
        spent += _estimate(_odd(c, kernels[-1])) + spec.LIFT_KERNEL_BITS


def _cut(groups: list[Int], length: int) -> list[Int]:
    return [group[i : i + length] for group in groups for i in range(0, len(group), length)]


def _choose_size(groups: list[Int]) -> int:
    """Return the sub-block size field with the smallest estimated cost, the smaller one of equals."""
    best, choice = -1, 0
    for size in range(1 << spec.LIFT_SIZE_BITS):
        cost, last = 0, -1
        for block in _cut(groups, spec.LIFT_UNIT << size):
            half = int(np.minimum(block, CLIP).sum()) >> 1
            p = (half // len(block)).bit_length() + 1
            cost += _size_of(half, len(block))
            if last >= 0:
                cost += 2 * abs(p - last) + (p >= last)
            last = p
        if best < 0 or cost < best:
            best, choice = cost, size
    return choice


def _parameter(block: Int) -> int:
    """Return the best of three parameters around the estimate, the smallest of equals; 0 for zeros."""
    total = int(np.minimum(block, CLIP).sum())
    if not total:
        return 0
    k = max(1, (total // len(block)).bit_length() - 1)
    costs = [int(np.minimum(block >> j, CLIP).sum()) + j * len(block) for j in (k - 1, k, k + 1)]
    return k + costs.index(min(costs))


def _pack(values: Int, widths: Int) -> bytes:
    """Return numbers as bits, most significant first, filled with zeros; bits of a number beyond 32 are zeros."""
    ends = np.cumsum(widths)
    bits = np.zeros(int(ends[-1]), np.uint8)
    for j in range(int(min(widths.max(), 32))):
        held = widths > j
        bits[ends[held] - 1 - j] = values[held] >> j & 1
    return np.packbits(bits).tobytes()
