"""An encoder of blocks in plain Python, written from SPEC.md sections 5 and 6 alone; slow, and told every choice.

Imports nothing of vitalwire. Choosing well is another matter: these blocks visit the corners of the format.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .independent import varint, zigzag

KERNELS = (
    None,
    (32, 0, 0, 0),
    (8, 8, 8, 8),
    (22, 6, 4, 0),
    (26, 8, -1, -1),
    (36, -4, 0, 0),
    (39, -9, 2, 0),
    (40, -13, 7, -2),
)


def fixed(number: int, width: int) -> str:
    """Return `width` bits of a number, two's complement, most significant first."""
    return f"{number & (1 << width) - 1:0{width}b}" if width else ""


def filled(bits: str) -> bytes:
    """Return bits as bytes, the last one filled with zeros."""
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


@dataclass
class Raw:
    """A block of coding RAW."""

    samples: list[int]
    coding: int = 0

    def body(self, bits: int) -> bytes:
        """Return the body."""
        return filled("".join(fixed(sample, bits) for sample in self.samples))


@dataclass
class Lift:
    """A block of coding LIFT: the samples and every choice; `parameters` as they fit where None. Nothing is checked."""

    samples: list[int]
    order: int = 0
    kernels: tuple[int, ...] = ()
    size: int = 0
    shift: int = 0
    parameters: tuple[int, ...] | None = None
    coding: int = 1
    sum: int = 0

    def groups(self) -> list[list[int]]:
        """Return the residuals: base, then level by level, thinnest first."""
        levels = len(self.kernels)
        short = [sample >> self.shift for sample in self.samples]
        sums = [sum(short[max(place - back, 0)] for back in range(1 << self.sum)) for place in range(len(short))]
        sequences = [sums[:: 1 << level] for level in range(levels + 1)]
        base = sequences[levels]
        groups = [[difference(base, place, min(place, self.order)) for place in range(1, len(base))]]
        for level, kernel in zip(range(levels - 1, -1, -1), self.kernels, strict=True):
            even, odd = sequences[level + 1], sequences[level][1::2]
            groups.append([value - predicted(even, place, kernel) for place, value in enumerate(odd)])
        return groups

    def body(self, bits: int) -> bytes:
        """Return the body."""
        cut = 8 << self.size
        blocks = [group[at : at + cut] for group in self.groups() for at in range(0, len(group), cut)]
        parameters = list(self.parameters or (fitting(block) for block in blocks))
        assert len(parameters) == len(blocks)
        head = fixed(self.order, 2) + fixed(len(self.kernels), 3) + fixed(self.size, 3) + fixed(parameters[0], 5)
        head += fixed(self.shift, 3) + fixed(self.sum, 2) + "".join(fixed(kernel, 3) for kernel in self.kernels)
        head += fixed(self.samples[0] >> self.shift, bits - self.shift)
        steps = [zigzag(after - before) for before, after in pairwise(parameters)]
        unary = [*steps, *(zigzag(r) >> p - 1 for p, block in zip(parameters, blocks, strict=True) if p for r in block)]
        remainders = "".join(
            fixed(zigzag(r), p - 1) for p, block in zip(parameters, blocks, strict=True) if p for r in block
        )
        return filled(head + "".join("0" * each + "1" for each in unary) + remainders)


def difference(values: list[int], place: int, order: int) -> int:
    """Return the difference of some order at a place."""
    return (
        values[place] if order == 0 else difference(values, place, order - 1) - difference(values, place - 1, order - 1)
    )


def predicted(even: list[int], place: int, kernel: int) -> int:
    """Return the prediction of the odd sample that follows `even[place]`."""
    weights = KERNELS[kernel]
    if weights is None:
        return even[place]
    last = len(even) - 1
    pairs = ((max(place - away, 0), min(place + 1 + away, last)) for away in range(4))
    return (
        sum(weight * (even[left] + even[right]) for weight, (left, right) in zip(weights, pairs, strict=True)) + 32
    ) // 64


def fitting(residuals: list[int]) -> int:
    """Return a parameter that is not far from the best: 0 for zeros, else 1 more than the bits of the mean."""
    mean = sum(map(zigzag, residuals)) // len(residuals)
    return max(1, mean.bit_length()) if any(residuals) else 0


def blocks(ticks: int, readouts: list[Any], streams: list[list[int]]) -> bytes:
    """Return BLOCKS: for each stream None or (ticks, a list of samples or a block for each channel)."""
    out = b""
    before = None
    for readout, widths in zip(readouts, streams, strict=True):
        if readout is None:
            out += varint(0)
            continue
        at, channels = readout
        assert before is not None or at == ticks
        channels = [Raw(each) if isinstance(each, list) else each for each in channels]
        (count,) = {len(each.samples) for each in channels}
        out += varint(count) + (b"" if before is None else varint(zigzag(at - before)))
        before = at
        for channel, bits in zip(channels, widths, strict=True):
            body = channel.body(bits)
            out += varint(len(body) << 3 | channel.coding) + body
    return out


def meant(readouts: list[Any]) -> list[Any]:
    """Return what readouts mean, as the vectors say it."""
    plain = [
        each and (each[0], [part if isinstance(part, list) else part.samples for part in each[1]]) for each in readouts
    ]
    return [each and {"ticks": each[0], "samples": each[1]} for each in plain]
