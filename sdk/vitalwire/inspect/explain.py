"""One frame explained field by field, down to the bytes: where each stands, its bytes, its CBOR path, what it means.

Explains what is there, believed or not: a frame that is malformed is explained as far as it can be read. Names come
from `spec`; the rules of form and trust stay where they are, in `frame` and `crypto`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vitalwire.codec import decode_block, side_bits
from vitalwire.crypto import HALF_ORDER
from vitalwire.errors import BlockError, CborError, InputError
from vitalwire.frame.blocks import varint
from vitalwire.messages import Channel, Descriptor
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Key

from .lift import lift_head
from .meanings import BYTES, IN_PLACE, INSIDE, KEYS, PLACES, VALUES, named, seconds

Path = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Bytes [offset, offset + len(data)) of a frame; `path` is of keys and places in it, `depth` how far inside."""

    offset: int
    data: bytes
    path: str
    meaning: str
    depth: int = 0

    def as_dict(self) -> dict[str, object]:
        """Return the row for JSON."""
        return {
            "offset": self.offset,
            "length": len(self.data),
            "hex": self.data.hex(),
            "path": self.path,
            "meaning": self.meaning,
        }


def explain(raw: bytes, descriptor: Descriptor | None = None) -> list[Row]:
    """Return the rows of a frame in the order of its bytes, each byte in exactly one; `descriptor` is what it names.

    Without a descriptor the blocks of a data frame stay unread. What cannot be read is the last row.
    """
    rows: list[Row] = []
    at = 0  # every byte before is in a row
    try:
        for row in _Explainer(raw, descriptor).message():
            if row.offset > len(raw):
                raise IndexError
            if row.offset < at:
                raise CborError("the lengths of two items contradict each other")
            if row.offset > at:
                rows.append(Row(at, raw[at : row.offset], "", "belongs to nothing: the lengths around it do not fit"))
            rows.append(row)
            at = row.offset + len(row.data)
    except (InputError, IndexError, ValueError) as error:
        rows.append(Row(at, raw[at:], "", f"not readable from here on: {str(error) or 'it ends too early'}"))
        return rows
    if at < len(raw):
        rows.append(Row(at, raw[at:], "", "bytes behind the message: there must be none"))
    return rows


_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
MAX_DEPTH = spec.Limit.MAX_DEPTH + 4  # with the message's own levels
LONGEST_HEAD = {24: 1, 25: 2, 26: 4, 27: 8}


class _Explainer:
    def __init__(self, raw: bytes, descriptor: Descriptor | None) -> None:
        self.raw = raw
        self.descriptor = descriptor

    # ------------------------------------------------------------ the message

    def message(self) -> Iterator[Row]:
        """Yield the rows of a COSE_Sign1 or COSE_Mac0 (RFC 9052 4.2 and 6.2)."""
        raw = self.raw
        major, tag, at = self._head(0)
        if major != _TAG:
            raise CborError("no COSE message: a tag stands in front")
        name = named(spec.Tag)(tag)
        yield Row(0, raw[:at], "", f"tag {tag}: COSE {name}")
        major, count, after = self._head(at)
        maced = tag == spec.Tag.MAC0
        last = "MAC" if maced else "signature"
        yield Row(at, raw[at:after], "", f"array of {count}: protected, unprotected, payload, {last}")
        at = after
        _, size, body = self._head(at)
        yield Row(at, raw[at:body], "/0", f"protected header, {size} bytes")
        yield from self._item(body, (0,), "header", 1)
        _, count, after = self._head(body + size)
        yield Row(body + size, raw[body + size : after], "/1", f"unprotected header, {count} entries: must be none")
        at = after
        _, size, body = self._head(at)
        yield Row(at, raw[at:body], "/2", f"payload, {size} bytes, {'under a MAC' if maced else 'signed'}")
        yield from self._item(body, (2,), "frame", 1)
        at = body + size
        _, size, body = self._head(at)
        yield Row(at, raw[at:body], "/3", f"{last}, {size} bytes")
        if maced:
            yield Row(body, raw[body : body + size], "/3", "HMAC-SHA256: whoever has the secret can make it", 1)
            return
        yield Row(body, raw[body : body + 32], "/3", "r", 1)
        s = raw[body + 32 : body + size]
        low = "low, as it must be" if int.from_bytes(s) <= HALF_ORDER else "high: this is not the one form of it"
        yield Row(body + 32, s, "/3", f"s, {low}", 1)

    # ------------------------------------------------------------ items

    def _item(self, at: int, path: Path, where: str, depth: int) -> Iterator[Row]:
        """Yield the rows of a map whose keys are those of `where`."""
        _check(depth, at)
        _, count, pos = self._head(at)
        yield Row(at, self.raw[at:pos], _joined(path), f"map of {count}", depth)
        for _ in range(count):
            key, value_at = self._integer(pos)
            name = named(KEYS[where])(key)
            yield from self._value(pos, value_at, (*path, key), (where, key), name, depth + 1)
            pos = self._skip(value_at)

    def _value(self, start: int, at: int, path: Path, where: tuple[str, int], name: str, depth: int) -> Iterator[Row]:
        """Yield the rows of one value of a map; the first begins at `start`, with its key."""
        raw = self.raw
        major, argument, body = self._head(at)
        if major in (_UINT, _NEGATIVE, _SIMPLE):
            value = self._plain(at)
            tell = VALUES.get(where)
            yield Row(start, raw[start:body], _joined(path), f"{name} = {tell(value) if tell else value}", depth)
        elif major == _TEXT:
            text = raw[body : body + argument].decode(errors="replace")
            yield Row(start, raw[start : body + argument], _joined(path), f"{name} = {text!r}", depth)
        elif major == _BYTES and where == ("frame", Key.BLOCKS):
            yield Row(start, raw[start:body], _joined(path), f"{name}, {argument} bytes", depth)
            yield from self._blocks(body, argument, path, depth + 1)
        elif major == _BYTES:
            said = f"{name}, {argument} bytes {BYTES.get(where, '')}".rstrip()
            yield Row(start, raw[start : body + argument], _joined(path), said, depth)
        elif major == _MAP:
            yield Row(start, raw[start:at], _joined(path), name, depth)
            yield from self._item(at, path, INSIDE.get(where, "frame"), depth + 1)
        else:
            yield Row(start, raw[start:body], _joined(path), f"{name}, {argument} entries", depth)
            yield from self._array(body, argument, path, where, depth + 1)

    def _array(self, pos: int, count: int, path: Path, where: tuple[str, int], depth: int) -> Iterator[Row]:
        """Yield the rows of an array's entries: numbers with names of their own, or arrays or maps of those."""
        _check(depth, pos)
        names = PLACES.get(where, ())
        for place in range(count):
            major, size, body = self._head(pos)
            inner = (*path, place)
            if major == _ARRAY:
                yield Row(pos, self.raw[pos:body], _joined(inner), f"entry {place}, {size} numbers", depth)
                yield from self._array(body, size, inner, where, depth + 1)
            elif major == _MAP:
                yield from self._item(pos, inner, INSIDE.get(where, "frame"), depth)
            elif major == _BYTES:
                said = f"{names[place] if place < len(names) else place}, {size} bytes"
                yield Row(pos, self.raw[pos : body + size], _joined(inner), said, depth)
            else:
                yield self._place(pos, inner, where, names[place] if place < len(names) else str(place), depth)
            pos = self._skip(pos)

    def _place(self, pos: int, path: Path, where: tuple[str, int], name: str, depth: int) -> Row:
        value = self._plain(pos)
        tell = IN_PLACE.get((*where, name))
        said = tell(value) if tell else str(value)
        if name == "channel" and self.descriptor is not None and isinstance(value, int):
            channels = self.descriptor.channels
            said += f" ({channels[value].name})" if 0 <= value < len(channels) else " (there is none)"
        return Row(pos, self.raw[pos : self._skip(pos)], _joined(path), f"{name} = {said}", depth)

    # ------------------------------------------------------------ blocks

    def _blocks(self, at: int, size: int, path: Path, depth: int) -> Iterator[Row]:
        end = at + size
        if self.descriptor is None:
            yield Row(at, self.raw[at:end], _joined(path), "blocks, not readable without their descriptor", depth)
            return
        first = True
        for stream, channels in enumerate(self.descriptor.streams):
            count, pos = varint(self.raw, at)
            names = ", ".join(channel.name for channel in channels)
            inner = (*path, f"stream {stream}")
            yield Row(at, self.raw[at:pos], _joined(inner), f"{count} samples of each of {names}", depth)
            at = pos
            if not count:
                continue
            if not first:
                delta, pos = varint(self.raw, at)
                said = f"its newest sample {seconds(delta >> 1 ^ -(delta & 1))} after that of the readout before"
                yield Row(at, self.raw[at:pos], _joined(inner), said, depth + 1)
                at = pos
            first = False
            for channel in channels:
                yield from self._block(at, count, channel, (*inner, channel.name), depth + 1)
                head, pos = varint(self.raw, at)
                at = pos + (head >> spec.CODING_BITS)
        if at != end:
            yield Row(at, self.raw[at:end], _joined(path), "bytes behind the last stream: there must be none", depth)

    def _block(self, at: int, count: int, channel: Channel, path: Path, depth: int) -> Iterator[Row]:
        head, body = varint(self.raw, at)
        length, coding = head >> spec.CODING_BITS, head & (1 << spec.CODING_BITS) - 1
        name = named(spec.Coding)(coding)
        yield Row(at, self.raw[at:body], _joined(path), f"block of {channel.name}: {name}, {length} bytes", depth)
        data = self.raw[body : body + length]
        try:
            samples = decode_block(coding, data, count, channel.bits)
            said = (
                f"{count} samples from {samples[0]} to {samples[-1]}, lowest {samples.min()}, highest {samples.max()}: "
                f"{8 * length / count:.2f} bits each, {side_bits(coding, data, count, channel.bits)} bits beside"
            )
        except BlockError as error:
            said = f"does not decode: {error}"
        if coding == spec.Coding.LIFT:
            said += f"; {lift_head(data, channel.bits)}"
        yield Row(body, data, _joined(path), said, depth + 1)

    # ------------------------------------------------------------ heads

    def _head(self, at: int) -> tuple[int, int, int]:
        """Return major type, argument and the offset behind the head at `at` (RFC 8949 section 3)."""
        first = self.raw[at]
        size = LONGEST_HEAD.get(first & 31, 0)
        if first & 31 > 27:
            raise CborError(f"an indefinite or reserved length at byte {at}")
        if at + 1 + size > len(self.raw):
            raise IndexError
        argument = int.from_bytes(self.raw[at + 1 : at + 1 + size]) if size else first & 31
        return first >> 5, argument, at + 1 + size

    def _integer(self, at: int) -> tuple[int, int]:
        major, argument, after = self._head(at)
        if major not in (_UINT, _NEGATIVE):
            raise CborError(f"a map key that is no integer at byte {at}")
        return (argument if major == _UINT else -1 - argument), after

    def _plain(self, at: int) -> object:
        major, argument, after = self._head(at)
        if major == _SIMPLE:
            return {20: False, 21: True}.get(argument, f"simple value {argument}")
        if major == _NEGATIVE:
            return -1 - argument
        return argument if major == _UINT else self.raw[after : self._skip(at)].hex()

    def _skip(self, at: int, depth: int = 0) -> int:
        """Return the offset behind the item at `at`."""
        _check(depth, at)
        major, argument, at = self._head(at)
        if major in (_BYTES, _TEXT):
            at += argument
        for _ in range(argument * (2 if major == _MAP else 1) if major in (_ARRAY, _MAP) else 0):
            at = self._skip(at, depth + 1)
        if at > len(self.raw):
            raise IndexError
        return at


def _check(depth: int, at: int) -> None:
    if depth > MAX_DEPTH:
        raise CborError(f"nested too deep at byte {at}")


def _joined(path: Path) -> str:
    return "/" + "/".join(map(str, path))
