"""Data frames of the usual form, read by two patterns in a fraction of the time.

`scan` takes a frame only where every rule of form (SPEC sections 1 to 3 and 5) is in the patterns; for any other frame,
good or bad, it returns None and `parse_any` decides. So what `scan` takes, that takes as well, with the same fields.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from vitalwire import cbor, crypto
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Key, Kind, Limit

# seq, boot, prev, descriptor, utc_us and utc_accuracy as in a `Frame`, and what makes the rest cheap to read: ticks,
# where the blocks' bytes begin (0: no blocks) and end, where the encoded array of scalars begins (0: none).
Scanned: TypeAlias = tuple[int, int, bytes, bytes, int | None, int | None, int, int, int, int]

# Shortest forms of integers (RFC 8949 4.2.1), as far as the fields' bounds allow them.
_SMALL = rb"[\x00-\x17]|\x18[\x18-\xff]|\x19[\x01-\xff]."
_POSITIVE = rb"(?:[\x01-\x17]|\x18[\x18-\xff]|\x19[\x01-\xff].|\x1a(?!\x00\x00|\xff{4}).{4})"  # 1 to 2^32 - 2
_TIME = rb"(?:" + _SMALL + rb"|\x1a(?!\x00\x00).{4}|\x1b(?!\x00{4})[\x00-\x3f].{7})"  # below 2^62
_ACCURACY = rb"([\x00-\x17]|\x18[\x18-\x%02x])" % Limit.MAX_ACCURACY
_NEGATIVE = rb"[\x20-\x37]|\x38[\x18-\xff]|\x39[\x01-\xff]."
_BY_24_BITS = rb"(?:" + _SMALL + rb"|" + _NEGATIVE + rb"|[\x1a\x3a]\x00[\x01-\xff]..)"
_BY_23_BITS = rb"(?:" + _SMALL + rb"|" + _NEGATIVE + rb"|[\x1a\x3a]\x00[\x01-\x7f]..)"
_SIZE = rb"[\x40-\x57]|\x58[\x18-\xff]|\x59[\x01-\xff]."
_START = b"|".join(re.escape(start) for start in sorted(crypto.FRAME_STARTS))


def _item(key: Key, pattern: bytes) -> bytes:
    return re.escape(cbor.encode(int(key))) + pattern


_SCALAR = rb"\x83(?:[\x00-\x17]|\x18[\x18-\x1f])" + _BY_24_BITS + _BY_23_BITS
_SCALARS = b"|".join(re.escape(cbor.head(4, count)) + _SCALAR * count for count in range(1, 5))
_HEAD = re.compile(
    rb"(?:" + _START + rb")(" + _SIZE + rb")([\xa6-\xaa])"
    + _item(Key.KIND, re.escape(cbor.encode(int(Kind.DATA))))
    + _item(Key.BOOT, rb"(" + _POSITIVE + rb")")
    + _item(Key.SEQ, rb"(" + _POSITIVE + rb")")
    + _item(Key.PREV, re.escape(cbor.head(2, spec.PREV_SIZE)) + rb"(.{%d})" % spec.PREV_SIZE)
    + _item(Key.DESCRIPTOR, re.escape(cbor.head(2, spec.DIGEST_SIZE)) + rb"(.{%d})" % spec.DIGEST_SIZE)
    + _item(Key.TICKS, rb"(" + _TIME + rb")")
    + rb"(?:" + _item(Key.UTC, rb"(" + _TIME + rb")") + _item(Key.UTC_ACCURACY, _ACCURACY)
    + rb")?(?:" + _item(Key.BLOCKS, rb"(" + _SIZE + rb")") + rb")?",
    re.DOTALL,
)  # fmt: skip
_TAIL = re.compile(
    rb"(?:" + _item(Key.SCALARS, rb"(" + _SCALARS + rb")") + rb")?" + re.escape(crypto.FRAME_TAIL), re.DOTALL
)
_ARRAY = 0x80
_MAP = 0xA0
_BYTES = 0x40
_TAIL_SIZE = len(crypto.FRAME_TAIL)
_MAX_FRAME = int(Limit.MAX_FRAME)
_AFTER_24_BITS = b"\x1a\x01"  # the encoding of 2^24 and of no smaller number is at least this


def scan(raw: bytes) -> Scanned | None:
    """Return the fields of a data frame of the usual form, or None where `parse_any` must look."""
    found = _HEAD.match(raw)
    if found is None:
        return None
    size, count, boot, seq, prev, descriptor, ticks, utc, accuracy, blocks = found.groups()
    entries = 6
    begin, end = 0, found.end()
    if blocks is not None:
        entries += 1
        begin = end
        end += int.from_bytes(blocks[1:]) if len(blocks) > 1 else blocks[0] - _BYTES
    tail = _TAIL.match(raw, end)
    if tail is None:
        return None
    blocks_end, scalars = end, 0
    if tail[1] is not None:
        entries += 1
        scalars = tail.start(1)
        if ticks < _AFTER_24_BITS:  # a reading might lie before the boot
            return None
    end = tail.end()
    payload = int.from_bytes(size[1:]) if len(size) > 1 else size[0] - _BYTES
    if found.end(1) + payload != end - _TAIL_SIZE or end + spec.SIGNATURE_SIZE != len(raw) or len(raw) > _MAX_FRAME:
        return None
    utc_us = utc_accuracy = None
    if utc is not None:
        entries += 2
        utc_us, utc_accuracy = int.from_bytes(utc[1:] or utc), int.from_bytes(accuracy[1:] or accuracy)
    if count[0] != _MAP + entries:
        return None
    # The argument of a head stands behind its first byte or, alone, in it.
    return (
        int.from_bytes(seq[1:] or seq), int.from_bytes(boot[1:] or boot), prev, descriptor, utc_us, utc_accuracy,
        int.from_bytes(ticks[1:] or ticks), begin, blocks_end, scalars,
    )  # fmt: skip


def scan_scalars(raw: bytes, at: int) -> list[tuple[int, int, int]]:
    """Return the entries of the array of scalars that `scan` found at `at`: channel, ticks, counts."""
    numbers: list[int] = []
    count = raw[at] - _ARRAY
    at += 1
    for _ in range(count):
        at += 1
        for _ in range(3):
            first = raw[at]
            at += 1
            value = first & 31
            if value > 23:
                end = at + (1 << value - 24)
                value = int.from_bytes(raw[at:end])
                at = end
            numbers.append(~value if first & 32 else value)
    return list(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))
