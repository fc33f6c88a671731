"""The `BLOCKS` string of a data frame, cut into readouts and blocks (SPEC section 5); no block is decompressed here."""

from __future__ import annotations

from typing import TypeAlias

from vitalwire.errors import BlockError
from vitalwire.messages import Descriptor, Frame, Readout
from vitalwire_protocol import spec

_MAX_VARINT = 0xFFFFFFFF
_MAX_VARINT_SIZE = 5
_MAX_TICKS = (1 << 63) - 1
_MAX_SAMPLES = int(spec.Limit.MAX_BLOCK_SAMPLES)
_CODING_BITS = spec.CODING_BITS
_CODING_MASK = (1 << _CODING_BITS) - 1

Cut: TypeAlias = tuple[int, int, int, list[tuple[int, bytes]]]  # the fields of a `Readout`


def readouts(frame: Frame, descriptor: Descriptor) -> tuple[Readout, ...]:
    """Return what each stream with samples delivered, in order of stream; empty for a frame without `BLOCKS`.

    Raises `BlockError` where the string does not fit the descriptor's streams.
    """
    found = cut(frame, descriptor)
    return tuple(Readout(stream, count, ticks, tuple(blocks)) for stream, count, ticks, blocks in found)


def cut(frame: Frame, descriptor: Descriptor) -> list[Cut]:
    """Return the same in plain tuples, for whoever reads many frames."""
    data = frame.blocks
    if data is None:
        return []
    try:
        return _cut(data, frame.ticks, descriptor)
    except IndexError:
        raise BlockError("the blocks end too early", reason="truncated") from None


def _cut(data: bytes, ticks: int, descriptor: Descriptor) -> list[Cut]:
    found: list[Cut] = []
    pos = 0
    size = len(data)
    for stream, channels in enumerate(descriptor.streams):
        count, pos = varint(data, pos)
        if count == 0:
            continue
        if count > _MAX_SAMPLES:
            raise BlockError(f"{count} samples in a block", reason="block-count")
        if found:
            delta, pos = varint(data, pos)
            ticks += delta >> 1 ^ -(delta & 1)
            if not 0 <= ticks <= _MAX_TICKS:
                raise BlockError("a readout's ticks out of bounds", reason="range")
        blocks: list[tuple[int, bytes]] = []
        for _ in channels:
            head = data[pos]
            if head < 0x80 or not 0 < data[pos + 1] < 0x80:
                head, pos = varint(data, pos)
            else:  # two bytes, as most have
                head += data[pos + 1] - 1 << 7
                pos += 2
            stop = pos + (head >> _CODING_BITS)
            if stop > size:
                raise IndexError
            blocks.append((head & _CODING_MASK, data[pos:stop]))
            pos = stop
        found.append((stream, count, ticks, blocks))
    if pos != size:
        raise BlockError(f"{size - pos} bytes follow the last stream", reason="trailing")
    return found


def varint(data: bytes, pos: int) -> tuple[int, int]:
    """Return the unsigned LEB128 number at `pos` and the offset behind it.

    Raises `BlockError` beyond 5 bytes or 2^32-1 or with a superfluous last byte, `IndexError` where `data` ends.
    """
    value = data[pos]
    pos += 1
    if value < 0x80:
        return value, pos
    byte = data[pos]
    if 0 < byte < 0x80:
        return value + (byte - 1 << 7), pos + 1
    value &= 0x7F
    for shift in range(7, 7 * _MAX_VARINT_SIZE, 7):
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 or value > _MAX_VARINT:
                break
            return value, pos
    raise BlockError("a varint that is too long, too large or not in its shortest form", reason="varint")
