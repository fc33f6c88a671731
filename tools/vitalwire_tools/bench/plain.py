"""A reader as one writes it from SPEC.md with the usual libraries: `cwt`, `cbor2` and a loop over samples.

It is the peer of the host's benchmark, and nothing else may use it: it shares no code with the SDK and checks little.
"""

from __future__ import annotations

import cbor2
import cwt

from vitalwire_protocol import spec


class Reader:
    """Verifies and decodes one frame at a time."""

    def __init__(self, point: bytes) -> None:
        """Take the device's public key, uncompressed."""
        self._key = cwt.COSEKey.new(
            {
                cwt.COSEKeyParams.KTY: 2,
                cwt.COSEKeyParams.ALG: spec.Alg.ES256,
                cwt.COSEKeyParams.CRV: 1,
                cwt.COSEKeyParams.X: point[1:33],
                cwt.COSEKeyParams.Y: point[33:],
            }
        )
        self._cose = cwt.COSE.new()

    def read(self, raw: bytes, streams: list[list[int]]) -> list[list[int]]:
        """Return the samples of each channel; `streams` are the bits of the channels of each stream."""
        payload = cbor2.loads(self._cose.decode(raw, self._key, external_aad=spec.AAD_FRAME))
        blocks = payload.get(int(spec.Key.BLOCKS))
        return [] if blocks is None else _samples(blocks, streams)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _samples(data: bytes, streams: list[list[int]]) -> list[list[int]]:
    found: list[list[int]] = []
    at, first = 0, True
    for channels in streams:
        count, at = _varint(data, at)
        if not count:
            continue
        if not first:
            _, at = _varint(data, at)
        first = False
        for bits in channels:
            head, at = _varint(data, at)
            end = at + (head >> spec.CODING_BITS)
            coding = head & (1 << spec.CODING_BITS) - 1
            found.append((_raw if coding == spec.Coding.RAW else _lift)(data[at:end], count, bits))
            at = end
    return found


class _Bits:
    def __init__(self, data: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def take(self, width: int) -> int:
        self.at += width
        return int(self.text[self.at - width : self.at], 2) if width else 0

    def signed(self, width: int) -> int:
        value = self.take(width)
        return value - (1 << width) if width and value >> width - 1 else value

    def unary(self) -> int:
        start, self.at = self.at, self.text.index("1", self.at) + 1
        return self.at - 1 - start


def _raw(data: bytes, count: int, bits: int) -> list[int]:
    source = _Bits(data)
    return [source.signed(bits) for _ in range(count)]


def _unzigzag(z: int) -> int:
    return -(z + 1) // 2 if z & 1 else z // 2


def _lift(data: bytes, count: int, bits: int) -> list[int]:
    source = _Bits(data)
    order, levels, size = source.take(2), source.take(3), source.take(3)
    parameter, shift, log = source.take(5), source.take(3), source.take(2)
    kernels = [source.take(3) for _ in range(levels)]
    first = source.signed(bits - shift)
    lengths = [-(-count // (1 << levels)) - 1] + [-(-count // (1 << level)) // 2 for level in reversed(range(levels))]
    unit = spec.LIFT_UNIT << size
    cuts = [min(unit, length - begin) for length in lengths for begin in range(0, length, unit)]
    parameters: list[int] = []
    for number in range(len(cuts)):
        parameter += _unzigzag(source.unary()) if number else 0
        parameters.append(parameter)
    quotients = [[source.unary() for _ in range(n)] if p else [0] * n for n, p in zip(cuts, parameters, strict=True)]
    residuals: list[int] = []
    for each, p in zip(quotients, parameters, strict=True):
        residuals += [_unzigzag((q << p - 1) + source.take(p - 1)) if p else 0 for q in each]
    thin = _base(first << log, residuals[: lengths[0]], order)
    at = lengths[0]
    for kernel, length in zip(kernels, lengths[1:], strict=True):
        thin = _refine(thin, residuals[at : at + length], spec.LIFT_KERNELS[kernel], hold=kernel == 0)
        at += length
    values = [first]
    for i in range(1, count):
        values.append(values[max(0, i - (1 << log))] + thin[i] - thin[i - 1])
    return [value << shift for value in values]


def _base(start: int, residuals: list[int], order: int) -> list[int]:
    out, last = [start], [start, 0, 0, 0]
    for place, residual in enumerate(residuals, 1):
        value = residual
        for k in reversed(range(min(place, order))):
            value += last[k]
            last[k] = value
        if place < order:
            last[place] = residual
        if order == 0:
            value = residual
        out.append(value)
    return out


def _refine(even: list[int], residuals: list[int], weights: tuple[int, ...], *, hold: bool) -> list[int]:
    out: list[int] = []
    top = len(even) - 1
    for i, value in enumerate(even):
        out.append(value)
        if i < len(residuals):
            if hold:
                predicted = value
            else:
                total = sum(w * (even[max(0, i - j)] + even[min(top, i + 1 + j)]) for j, w in enumerate(weights))
                predicted = total + 32 >> spec.LIFT_SCALE
            out.append(predicted + residuals[i])
    return out
