"""Packets on a byte stream: COBS (Cheshire and Baker 1999) around header, body and CRC-32 (SPEC.md section 9).

Bytes in, packets out and the other way round; no I/O, and nothing here knows what a frame or a reply says.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from vitalwire.errors import PacketError
from vitalwire_protocol import spec

_HEADER = struct.Struct("<" + "".join(field.subcon.fmtstr[1:] for field in spec.PacketHeader.subcons))
_TRAILER = struct.Struct(spec.PacketTrailer.subcons[0].subcon.fmtstr)
_LOG = struct.Struct(spec.LogHeader.subcons[0].subcon.fmtstr)
_DELIMITER = bytes([spec.PACKET_DELIMITER])
_RUN = 254  # bytes one COBS code byte can stand in front of

MAX_BODY = {
    spec.PacketType.FRAME: int(spec.Limit.MAX_FRAME),
    spec.PacketType.COMMAND: int(spec.Limit.MAX_COMMAND),
    spec.PacketType.REPLY: int(spec.Limit.MAX_COMMAND),
    spec.PacketType.LOG: _LOG.size + spec.Limit.MAX_LOG,
}
_MAX_RAW = _HEADER.size + max(MAX_BODY.values()) + _TRAILER.size
_MAX_STUFFED = _MAX_RAW + -(-_MAX_RAW // _RUN)


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet: what its body is (a `spec.PacketType`, or a number not known here), its id (0 to 255), its body."""

    type: spec.PacketType | int
    id: int
    body: bytes


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line a device wrote for people; `text` is printable, whatever the device sent."""

    level: spec.LogLevel | int
    text: str


@dataclass(slots=True)
class PacketCounters:
    """What a decoder saw since it was made."""

    good: int = 0
    bad: int = 0  # runs of bytes between delimiters that were no packet
    unknown: int = 0  # good ones of a type not known here


def stuff(data: bytes) -> bytes:
    """Return the COBS encoding of `data`, without delimiters; 1 byte longer and 1 more for each 254."""
    out = bytearray()
    blocks = data.split(b"\0")
    for number, block in enumerate(blocks):
        while len(block) >= _RUN:
            out.append(_RUN + 1)
            out += block[:_RUN]
            block = block[_RUN:]
            if not block and number == len(blocks) - 1:
                return bytes(out)
        out.append(len(block) + 1)
        out += block
    return bytes(out)


def unstuff(data: bytes) -> bytes:
    """Return what `data` is the COBS encoding of; raises `PacketError` (`cobs`) if it is none."""
    if 0 in data:
        raise PacketError("a zero byte inside a packet", reason="cobs")
    out = bytearray()
    pos = 0
    while pos < len(data):
        code = data[pos]
        end = pos + code
        if end > len(data):
            raise PacketError("a code byte points past the end of the packet", reason="cobs")
        out += data[pos + 1 : end]
        pos = end
        if code <= _RUN and pos < len(data):
            out.append(0)
    return bytes(out)


def encode_packet(type: int, id: int, body: bytes) -> bytes:
    """Return the bytes of one packet on the stream, a delimiter in front and behind.

    Raises `PacketError` (`oversized`) if the body is longer than its type allows, and `ValueError` for an id or type
    outside 0 to 255.
    """
    if len(body) > _max_body(type):
        raise PacketError(f"a body of {len(body)} bytes is too long", reason="oversized")
    if not (0 <= type <= 255 and 0 <= id <= 255):
        raise ValueError("type and id are bytes")
    raw = _HEADER.pack(type, id) + body
    return _DELIMITER + stuff(raw + _TRAILER.pack(zlib.crc32(raw))) + _DELIMITER


def decode_packet(data: bytes) -> Packet:
    """Return the packet that `data`, the bytes between two delimiters, is.

    Raises `PacketError`; its reason is `cobs`, `truncated`, `crc`, or `oversized`: longer than its type allows.
    """
    if len(data) > _MAX_STUFFED:
        raise PacketError("longer than any packet", reason="oversized")
    raw = unstuff(data)
    end = len(raw) - _TRAILER.size
    if end < _HEADER.size:
        raise PacketError(f"{len(raw)} bytes are no packet", reason="truncated")
    if _TRAILER.unpack_from(raw, end)[0] != zlib.crc32(raw[:end]):
        raise PacketError("the CRC does not fit", reason="crc")
    type_, id_ = _HEADER.unpack_from(raw)
    body = raw[_HEADER.size : end]
    if len(body) > _max_body(type_):
        raise PacketError(f"a body of {len(body)} bytes is too long", reason="oversized")
    return Packet(spec.PacketType(type_) if type_ in MAX_BODY else type_, id_, body)


def parse_log(body: bytes) -> LogLine:
    """Return the line in the body of a log packet; raises `PacketError` (`truncated`) if it is empty.

    What is not printable, control characters that would steer a terminal included, becomes U+FFFD.
    """
    if len(body) < _LOG.size:
        raise PacketError("a log packet without a level", reason="truncated")
    (level,) = _LOG.unpack_from(body)
    text = body[_LOG.size :].decode(errors="replace")
    return LogLine(
        level=spec.LogLevel(level) if level in spec.LogLevel._value2member_map_ else level,
        text="".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text),
    )


class PacketDecoder:
    """Finds the packets in a stream of any bytes; holds at most one packet, and counts what it drops."""

    def __init__(self) -> None:
        self.counters = PacketCounters()
        self._begun = bytearray()
        self._skipping = False  # what came since the last delimiter is already too long

    def feed(self, data: bytes) -> list[Packet]:
        """Take the next bytes of the stream, any number; return the packets that end in them. Never raises."""
        packets: list[Packet] = []
        *ended, rest = bytes(data).split(_DELIMITER)
        for part in ended:
            self._append(part)
            packet = self._finish()
            if packet is not None:
                packets.append(packet)
        self._append(rest)
        return packets

    def _append(self, part: bytes) -> None:
        if self._skipping:
            return
        if len(self._begun) + len(part) > _MAX_STUFFED:
            self._begun.clear()
            self._skipping = True
        else:
            self._begun += part

    def _finish(self) -> Packet | None:
        data, skipped = bytes(self._begun), self._skipping
        self._begun.clear()
        self._skipping = False
        if not data and not skipped:
            return None
        try:
            if skipped:
                raise PacketError("longer than any packet", reason="oversized")
            packet = decode_packet(data)
        except PacketError:
            self.counters.bad += 1
            return None
        self.counters.good += 1
        if not isinstance(packet.type, spec.PacketType):
            self.counters.unknown += 1
        return packet


def _max_body(type_: int) -> int:
    known = MAX_BODY.get(type_)  # type: ignore[call-overload]
    return max(MAX_BODY.values()) if known is None else int(known)
