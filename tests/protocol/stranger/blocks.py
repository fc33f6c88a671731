"""SPEC.md sections 5 and 6: the samples in a string of BLOCKS; slow and plain."""

from __future__ import annotations

from math import comb
from typing import Any

from .cbor import Refused, need

TOP = 2**63 - 1


class Bytes:
    """Bytes read from the front."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        need(self.at + size <= len(self.data), "truncated")
        self.at += size
        return self.data[self.at - size : self.at]

    def varint(self) -> int:
        """Return the next varint."""
        value = 0
        for place in range(5):
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                need(value < 2**32 and (byte or not place), "a varint of another form")
                return value
        raise Refused("a long varint")

    def zigzag(self) -> int:
        """Return the next signed varint."""
        return signed(self.varint())


def signed(number: int) -> int:
    """Undo zigzag."""
    return number // 2 if number % 2 == 0 else -(number // 2) - 1


def read_blocks(data: bytes, ticks: int, streams: list[list[int]]) -> list[Any]:
    """Return, for each stream, None or (ticks, the samples of each channel)."""
    left = Bytes(data)
    out: list[Any] = []
    for widths in streams:
        count = left.varint()
        need(count <= 8192, "a long block")
        if count and any(out):
            ticks += left.zigzag()
            need(0 <= ticks <= TOP, "ticks")
        blocks = []
        for bits in widths if count else ():
            head = left.varint()
            coding = {0: read_raw, 1: read_lift}.get(head & 7)
            need(coding is not None, "an unknown coding")
            body = Bits(left.take(head >> 3))
            blocks.append(coding(body, count, bits))  # type: ignore[misc]
            body.end()
        out.append((ticks, blocks) if count else None)
    need(left.at == len(data), "bytes left over")
    return out


class Bits:
    """Bits read from the front, most significant first."""

    def __init__(self, data: bytes) -> None:
        self.bits, self.at = "".join(f"{byte:08b}" for byte in data), 0

    def number(self, width: int) -> int:
        """Return a number of `width` bits."""
        need(self.at + width <= len(self.bits), "bits missing")
        self.at += width
        return int(self.bits[self.at - width : self.at] or "0", 2)

    def sample(self, width: int) -> int:
        """Return a signed number of `width` bits, two's complement."""
        number = self.number(width)
        return number - (1 << width) if number >> width - 1 else number

    def unary(self) -> int:
        """Return how many zeros stand in front of the next one."""
        one = self.bits.find("1", self.at)
        need(one >= 0, "a unary number that does not end")
        zeros, self.at = one - self.at, one + 1
        return zeros

    def end(self) -> None:
        """Refuse what is left, but for zeros that fill the last byte."""
        rest = self.bits[self.at :]
        need(len(rest) < 8 and "1" not in rest, "bits left over")


def read_raw(body: Bits, count: int, bits: int) -> list[int]:
    """Coding RAW."""
    return [body.sample(bits) for _ in range(count)]


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


def read_lift(body: Bits, count: int, bits: int) -> list[int]:
    """Coding LIFT."""
    order, levels, size, parameter, shift, sums = (body.number(width) for width in (2, 3, 3, 5, 3, 2))
    kernels = [body.number(3) for _ in range(levels)]
    need(count > 1 and shift < bits and bits - shift + sums <= 24, "a count of 1, or too few or too many bits")
    first = body.sample(bits - shift)
    lengths = [-(-count // (1 << level)) for level in range(levels + 1)]
    need(all(length > 1 for length in lengths[:-1]) and (order < lengths[-1] or not order), "levels or order")
    groups = [lengths[-1] - 1, *(length // 2 for length in reversed(lengths[:-1]))]
    cuts = [min(8 << size, group - at) for group in groups for at in range(0, group, 8 << size)]
    parameters = [parameter]
    while len(parameters) < len(cuts):
        parameters.append(parameters[-1] + signed(body.unary()))
    need(all(0 <= each <= 28 for each in parameters), "a parameter")
    each_parameter = [each for each, cut in zip(parameters, cuts, strict=True) for _ in range(cut)]
    quotients = [body.unary() if each else 0 for each in each_parameter]
    numbers = [(q << p - 1) + body.number(p - 1) if p else 0 for q, p in zip(quotients, each_parameter, strict=True)]
    need(all(number < 2**28 for number in numbers), "a residual")
    residuals = iter([signed(number) for number in numbers])

    sequence = [first << sums]
    for place in range(1, lengths[-1]):
        k = min(place, order)  # the difference of order k is the sum of (-1)^j C(k, j) x(i - j)
        sequence.append(next(residuals) - sum((-1) ** j * comb(k, j) * sequence[place - j] for j in range(1, k + 1)))
    for kernel in kernels:
        odd_count = lengths.pop(-2) // 2
        odd = [predict(sequence, place, KERNELS[kernel]) + next(residuals) for place in range(odd_count)]
        merged = [0] * (len(sequence) + odd_count)
        merged[::2], merged[1::2] = sequence, odd
        sequence = merged
    values = [first]
    for place in range(1, count):
        values.append(sequence[place] - sequence[place - 1] + values[max(place - (1 << sums), 0)])
    half = 1 << bits - shift - 1
    need(all(-half <= value < half for value in values), "a sample")
    return [value << shift for value in values]


def predict(even: list[int], place: int, weights: tuple[int, ...] | None) -> int:
    """Return the prediction of the odd sample after `even[place]`."""
    if weights is None:
        return even[place]
    last = len(even) - 1
    total = sum(w * (even[max(place - k, 0)] + even[min(place + 1 + k, last)]) for k, w in enumerate(weights))
    return (total + 32) // 64
