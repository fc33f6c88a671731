"""The `BLOCKS` string of a data frame, cut into readouts and blocks (SPEC section 5); no block is decompressed here."""

from __future__ import annotations

from vitalwire.errors import BlockError
from vitalwire.messages import Descriptor, Frame, Readout
from vitalwire_protocol import spec

_MAX_VARINT = 0xFFFFFFFF
_MAX_VARINT_SIZE = 5
_MAX_TICKS = (1 << 63) - 1
_CODING_MASK = (1 << spec.CODING_BITS) - 1


def readouts(frame: Frame, descriptor: Descriptor) -> tuple[Readout, ...]:
    """Return what each stream with samples delivered, in order of stream; empty for a frame without `BLOCKS`.

    Raises `BlockError` where the string does not fit the descriptor's streams.
    """
    data = frame.blocks
    if data is None:
        return ()
    try:
        return _cut(data, frame.ticks, descriptor)
    except IndexError:
        raise BlockError("the blocks end too early", reason="truncated") from None


def _cut(data: bytes, ticks: int, descriptor: Descriptor) -> tuple[Readout, ...]:
    found: list[Readout] = []
    pos = 0
    for stream, channels in enumerate(descriptor.streams):
        count, pos = varint(data, pos)
        if count == 0:
            continue
        if count > spec.Limit.MAX_BLOCK_SAMPLES:
            raise BlockError(f"{count} samples in a block", reason="block-count")
        if found:
            delta, pos = varint(data, pos)
            ticks += delta >> 1 ^ -(delta & 1)
            if not 0 <= ticks <= _MAX_TICKS:
                raise BlockError("a readout's ticks out of bounds", reason="range")
        blocks: list[tuple[int, bytes]] = []
        for _ in channels:
            head = data[pos]
            second = data[pos + 1] if head > 0x7F else 0
            if 0 < second < 0x80:  # two bytes, as nearly always
                head += second - 1 << 7
                pos += 2
            else:
                head, pos = varint(data, pos)
            stop = pos + (head >> spec.CODING_BITS)
            if stop > len(data):
                raise IndexError
            blocks.append((head & _CODING_MASK, data[pos:stop]))
            pos = stop
        found.append(Readout(stream, count, ticks, tuple(blocks)))
    if pos != len(data):
        raise BlockError(f"{len(data) - pos} bytes follow the last stream", reason="trailing")
    return tuple(found)


def varint(data: bytes, pos: int) -> tuple[int, int]:
    """Return the unsigned LEB128 number at `pos` and the offset behind it.

    Raises `BlockError` beyond 5 bytes or 2^32-1 or with a superfluous last byte, `IndexError` where `data` ends.
    """
    byte = data[pos]
    pos += 1
    if byte < 0x80:
        return byte, pos
    value = byte & 0x7F
    for shift in range(7, 7 * _MAX_VARINT_SIZE, 7):
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 or value > _MAX_VARINT:
                break
            return value, pos
    raise BlockError("a varint that is too long, too large or not in its shortest form", reason="varint")
