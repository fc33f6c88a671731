"""Where the items of a capture begin and end, strictly and fast; judges no signature and trusts nothing it peeks at.

A capture is a CBOR sequence (RFC 8742) of frames and notes (SPEC.md section 12). A frame has one form only, so its end
follows from its head; whatever has another form is damage, and the next frame is found by its head.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vitalwire import cbor
from vitalwire.errors import CborError
from vitalwire_protocol.spec import MAC_SIZE, SIGNATURE_SIZE, Alg, Header, Key, Limit, NoteKey, Tag

# 18([ h'a10126', {}, payload, signature ]) or 17([ h'a10105', {}, payload, MAC ]): what stands in front of the payload.
FRAME_HEADS = tuple(
    cbor.head(6, tag) + cbor.head(4, 4) + cbor.encode(cbor.encode({int(Header.ALG): int(alg)})) + cbor.encode({})
    for tag, alg in ((Tag.SIGN1, Alg.ES256), (Tag.SIGN1, Alg.ESP256), (Tag.MAC0, Alg.HMAC_256_256))
)
FRAME_HEAD = re.compile(b"|".join(map(re.escape, FRAME_HEADS)))
FRAME_HEAD_SIZE = len(FRAME_HEADS[0])
# By a frame's first byte: what stands between payload and signature or MAC, and the size of that.
TAILS = {
    cbor.head(6, tag)[0]: (cbor.head(2, size), size)
    for tag, size in ((Tag.SIGN1, SIGNATURE_SIZE), (Tag.MAC0, MAC_SIZE))
}
# First byte of a payload's byte string: the size of its head and the least length that needs one of that size.
BYTES_HEAD = {cbor.head(2, least)[0]: (1 + size, least) for size, least in ((1, 24), (2, 256))}
MAX_TIME = 1 << 62  # microseconds: fits a signed 64-bit integer with room for sums


class IncompleteError(Exception):
    """The item goes on past the bytes at hand; internal to this package."""


class FormError(Exception):
    """The bytes are not an item of a capture; internal to this package."""


def payload_span(data: bytes, at: int) -> tuple[int, int]:
    """Return where the payload of the frame at `at` begins and ends; raises IncompleteError or FormError."""
    if not data.startswith(FRAME_HEADS, at):
        if len(data) - at < FRAME_HEAD_SIZE and any(head.startswith(data[at:]) for head in FRAME_HEADS):
            raise IncompleteError
        raise FormError("not a frame")
    at += FRAME_HEAD_SIZE
    first = data[at : at + 1]
    if not first:
        raise IncompleteError
    if first[0] not in BYTES_HEAD:
        raise FormError("a frame whose payload is no byte string of a possible length")
    size, least = BYTES_HEAD[first[0]]
    if at + size > len(data):
        raise IncompleteError
    length = int.from_bytes(data[at + 1 : at + size], "big")
    if length < least:
        raise FormError("a length that is not the shortest")
    return at + size, at + size + length


def frame_end(data: bytes, at: int) -> int:
    """Return the offset after the frame at `at`; raises IncompleteError or FormError."""
    _, stop = payload_span(data, at)
    head, size = TAILS[data[at]]
    end = stop + len(head) + size
    if end - at > Limit.MAX_FRAME:
        raise FormError("a frame beyond the limit")
    if not head.startswith(data[stop : stop + len(head)]):
        raise FormError("a frame without a signature or MAC where one must stand")
    if end > len(data):
        raise IncompleteError
    return end


def note(data: bytes, at: int) -> tuple[int | None, int]:
    """Return the time of arrival that the note at `at` tells (None if it tells none) and the offset after it.

    Unknown keys are skipped, but no frame with them: damage can make a note of several items. Raises IncompleteError or
    FormError.
    """
    item: cbor.Item
    try:
        item, end = cbor.decode_prefix(data[at : at + Limit.MAX_FRAME])
    except CborError as error:
        if error.reason == "truncated" and len(data) - at < Limit.MAX_FRAME:
            raise IncompleteError from None
        raise FormError(str(error)) from None
    if not isinstance(item, dict):
        raise FormError("neither a frame nor a note")
    if FRAME_HEAD.search(data, at, at + end):
        raise FormError("a note around a frame")
    received = item.get(NoteKey.RECEIVED)
    return received if type(received) is int and 0 <= received < MAX_TIME else None, at + end


class Head(NamedTuple):
    """What a frame says of itself, unverified: for finding, never for believing."""

    kind: int
    boot: int
    seq: int
    descriptor: bytes | None
    ticks: int
    utc_us: int | None


def peek(frame: bytes) -> Head | None:
    """Return the head of a frame that `frame_end` accepts, or None if its map is not of the right form."""
    begin, stop = payload_span(frame, 0)
    try:
        item = cbor.decode(frame[begin:stop])
    except CborError:
        return None
    if not isinstance(item, dict):
        return None
    kind, boot, seq, ticks = (item.get(key) for key in (Key.KIND, Key.BOOT, Key.SEQ, Key.TICKS))
    if not (type(kind) is int and type(boot) is int and type(seq) is int and type(ticks) is int):
        return None
    descriptor, utc = item.get(Key.DESCRIPTOR), item.get(Key.UTC)
    return Head(
        kind,
        boot,
        seq,
        descriptor if isinstance(descriptor, bytes) else None,
        ticks,
        utc if type(utc) is int and abs(utc) < MAX_TIME else None,
    )
