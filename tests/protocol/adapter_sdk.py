"""The SDK's side of the vectors, for run_vectors.py under CPython.

It reads what a host reads: frames to the last sample, packets, replies, captures; and writes CBOR, frames, packets and
commands. Journal records, which no host reads, are put to the layouts of `spec`.
"""

from __future__ import annotations

import tempfile
import zlib
from dataclasses import fields as dataclass_fields
from fractions import Fraction
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire import cbor, crypto, encryption
from vitalwire.capture.reader import Damage, Record, read
from vitalwire.codec import decode_block
from vitalwire.control import command as commands
from vitalwire.errors import VitalwireError
from vitalwire.frame import opened, parse, readouts
from vitalwire.frame.blocks import varint
from vitalwire.messages import Channel, Decimal10, Descriptor, Frame
from vitalwire.packet import decode_packet, encode_packet
from vitalwire_protocol import spec
from vitalwire_protocol.spec import ChannelKey, Key


def reason(error: Exception) -> str | None:
    """Return why bytes were refused; None for an error that is none of ours."""
    return error.reason if isinstance(error, VitalwireError) else None


# ---------------------------------------------------------------- numbers


def read_varint(data: bytes, key: Any) -> int:
    """Read the whole as one varint."""
    try:
        value, end = varint(data, 0)
    except IndexError:
        raise VitalwireError("cut off", reason="truncated") from None
    assert end == len(data)
    return value


def read_zigzag(data: bytes, key: Any) -> int:
    """Read the number as the ticks between two readouts."""
    block = b"\1" + b"\x08\0"  # one sample, one byte of RAW
    first, second = readouts(frame_of(block + b"\1" + data + block[1:], 1 << 40), descriptor_of([[8], [8]]))
    return second.ticks - first.ticks


# ---------------------------------------------------------------- frames


def frame_of(blocks: bytes, ticks: int) -> Frame:
    """Return a data frame around some blocks."""
    return Frame(b"", bytes(32), spec.Kind.DATA, 1, 1, bytes(16), bytes(8), ticks, blocks=blocks)


def descriptor_of(streams: list[list[int]]) -> Descriptor:
    """Return a descriptor of streams with channels of so many bits."""
    shape = [(number, bits) for number, stream in enumerate(streams) for bits in stream]
    one = Decimal10(1, 0)
    channels = tuple(
        Channel(place, f"c{place}", None, "1", "", stream, Fraction(1), bits, one, Decimal10(0, 0))
        for place, (stream, bits) in enumerate(shape)
    )
    return Descriptor(bytes(8), 1, "", bytes(65), bytes(32), "", "", 1, channels)


def read_frame(data: bytes, key: Any) -> Any:
    """Return the map of a verified frame; what `parse` made of it is turned back and must say the same."""
    crypto.sign1_payload(data)  # for who announces signatures, nothing else is a frame
    frame = parse(data)
    x, y = key["public_key"]["x"], key["public_key"]["y"]
    crypto.verify_sign1(data, crypto.load_public_key(b"\4" + x + y))
    keys = cbor.decode(crypto.sign1_payload(data))
    assert turned_back(frame, keys) == keys, turned_back(frame, keys)
    return keys


def turned_back(frame: Frame, keys: Any) -> dict[int, Any]:
    """Return a frame's map from the values of its `Frame`; absent keys as in `keys`."""
    ticks = frame.ticks
    found: dict[int, Any] = {
        Key.KIND: frame.kind,
        Key.BOOT: frame.boot,
        Key.SEQ: frame.seq,
        Key.PREV: frame.prev,
        Key.DESCRIPTOR: frame.descriptor,
        Key.TICKS: ticks,
        Key.UTC: frame.utc_us,
        Key.UTC_ACCURACY: frame.utc_accuracy,
        Key.BLOCKS: frame.blocks,
        **frame.unknown,
    }
    found = {int(name): value for name, value in found.items() if value is not None}
    if frame.kind == spec.Kind.DATA:
        found[Key.MARKS] = [[run.channel, run.mark, run.start, run.length] for run in frame.marks]
        found[Key.SCALARS] = [[each.channel, each.ticks - ticks, each.counts] for each in frame.scalars]
        found = {name: value for name, value in found.items() if value != [] or name in keys}
    elif frame.kind == spec.Kind.EVENT:
        found[Key.EVENTS] = [[event.code, event.ticks - ticks, event.details] for event in frame.events]
    elif frame.kind == spec.Kind.STATUS:
        found[Key.COUNTERS] = frame.counters
    elif frame.body is not None:
        found |= described(frame.body, keys)
    return found


def described(body: Descriptor, keys: Any) -> dict[int, Any]:
    """Return a descriptor's own keys; unknown keys of channels, which a `Channel` does not hold, from `keys`."""
    known = {int(name) for name in ChannelKey}
    channels = [
        {
            **channel_keys(channel, ChannelKey.OFFSET in entry),
            **{name: value for name, value in entry.items() if name not in known},
        }
        for channel, entry in zip(body.channels, keys[Key.CHANNELS], strict=True)
    ]
    names = {Key.VERSION: "version", Key.DEVICE: "device", Key.BOARD: "board", Key.FIRMWARE: "firmware"}
    found = {int(key): getattr(body, name) for key, name in names.items()}
    point = cbor.decode(crypto.cose_key(body.public_key))
    if Key.CALIBRATIONS in keys:
        found[Key.CALIBRATIONS] = {
            each.mdc: [[number.mantissa, number.exponent] for number in each.coefficients] for each in body.calibrations
        }
    if Key.DURABLE in keys:
        found[Key.DURABLE] = body.durable
    return {**found, Key.PUBLIC_KEY: point, Key.POLICY: body.policy, Key.CHANNELS: channels}


def channel_keys(channel: Channel, offset: bool) -> dict[int, Any]:
    """Return the map of a channel."""
    values = {field.name: getattr(channel, field.name) for field in dataclass_fields(channel)}
    rate, scale, zero = values.pop("rate"), values.pop("scale"), values.pop("offset")
    found = {int(ChannelKey[name.upper()]): value for name, value in values.items() if value is not None}
    found[ChannelKey.SCALE] = [scale.mantissa, scale.exponent]
    if zero.mantissa or offset:
        found[ChannelKey.OFFSET] = [zero.mantissa, zero.exponent]
    if rate is not None:
        found[ChannelKey.RATE] = [rate.numerator, rate.denominator]
    return found


DERIVE = {
    spec.INFO_COMMAND: crypto.command_key,
    spec.INFO_FRAME: crypto.frame_key,
    spec.INFO_PRIVATE: crypto.encryption_key,
}


def read_mac_frame(data: bytes, key: Any) -> Any:
    """Return the map of a frame whose MAC verifies."""
    frame = parse(data)
    crypto.verify_mac0(data, crypto.frame_key(key["secret"], key["thumbprint"]))
    keys = cbor.decode(crypto.frame_payload(data))
    assert not frame.signed
    assert turned_back(frame, keys) == keys, turned_back(frame, keys)
    return keys


def write_mac_frame(keys: Any, key: Any) -> bytes:
    """Return the frame with its MAC."""
    return crypto.mac0(crypto.frame_key(key["secret"], key["thumbprint"]), cbor.encode(keys), spec.AAD_FRAME)


def read_private_frame(data: bytes, key: Any) -> Any:
    """Return both maps of a verified frame; what `opened` made of it must say the same as both together."""
    closed = parse(data)
    crypto.verify_sign1(data, crypto.load_public_key(b"\4" + key["public_key"]["x"] + key["public_key"]["y"]))
    assert closed.opaque is not None
    secret = crypto.encryption_key(key["secret"], key["thumbprint"])
    frame = opened(closed, secret)
    assert (frame.opaque, frame.raw, frame.digest) == (None, closed.raw, closed.digest)
    outside: Any = cbor.decode(crypto.sign1_payload(data))
    del outside[Key.PRIVATE]
    inside: Any = cbor.decode(encryption.decrypt(secret, closed.boot, closed.seq, closed.opaque))
    events = outside.get(Key.EVENTS, []) + inside.get(Key.EVENTS, [])
    both = {**outside, **inside, **({int(Key.EVENTS): events} if events else {})}
    assert turned_back(frame, both) == both, turned_back(frame, both)
    return {"outside": outside, "inside": inside}


def write_private_frame(expect: Any, key: Any) -> bytes:
    """Return the signed frame with what is encrypted in it."""
    outside = expect["outside"]
    secret = crypto.encryption_key(key["secret"], key["thumbprint"])
    private = encryption.encrypt(secret, outside[Key.BOOT], outside[Key.SEQ], cbor.encode(expect["inside"]))
    return write_frame({**outside, Key.PRIVATE: private}, key)


def write_frame(keys: Any, key: Any) -> bytes:
    """Return the signed frame."""
    private = ec.derive_private_key(int.from_bytes(key["private_key"], "big"), ec.SECP256R1())
    return crypto.sign1(private, cbor.encode(keys), spec.Alg(key["algorithm"]))


def read_blocks(data: bytes, key: Any) -> Any:
    """Return ticks and samples, stream by stream."""
    out: list[Any] = [None] * len(key["streams"])
    for readout in readouts(frame_of(data, key["ticks"]), descriptor_of(key["streams"])):
        widths = key["streams"][readout.stream]
        samples = [
            decode_block(coding, body, readout.count, bits).tolist()
            for (coding, body), bits in zip(readout.blocks, widths, strict=True)
        ]
        out[readout.stream] = {"ticks": readout.ticks, "samples": samples}
    return out


# ---------------------------------------------------------------- packets, commands, captures


def read_packet(data: bytes, key: Any) -> Any:
    """Return type, id and body."""
    packet = decode_packet(data)
    return {"type": int(packet.type), "id": packet.id, "body": packet.body}


def write_command(expect: Any, key: Any) -> bytes | None:
    """Return a command's bytes, where it holds nothing that a controller never says."""
    keys = dict(expect["message"])
    number = spec.Command(keys.pop(1))
    if any(name > 6 or name < 1 for name in keys):
        return None
    if not expect["closed"]:
        return commands.open_command(number)
    identity = commands.Identity(key["thumbprint"], keys[3], keys[4], key["counter"], 0, "", "", "")
    mac_key = crypto.command_key(key["secret"], key["thumbprint"])
    return commands.closed_command(mac_key, identity, keys[5], number, keys.get(6))


def read_reply(data: bytes, key: Any) -> Any:
    """Return a reply's map and whether its MAC was right."""
    reply = commands.parse_reply(data, crypto.command_key(key["secret"], key["thumbprint"]))
    keys = reply.fields
    assert (reply.command, reply.result, reply.ticks) == (keys[1], keys[7], keys.get(8))
    assert not reply.closed or (reply.nonce, reply.counter) == (keys[4], keys[5])
    if not reply.closed and spec.CommandKey.THUMBPRINT in keys:
        assert commands.parse_identity(reply).thumbprint == keys[9]
    return {"message": dict(keys), "closed": reply.closed}


def read_capture(data: bytes, key: Any) -> Any:
    """Return frames, torn bytes and damage of a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "capture")
        path.write_bytes(data)
        parts = list(read(path))
    damage = [part for part in parts if isinstance(part, Damage)]
    return {
        "frames": [[part.received_us, part.raw] for part in parts if isinstance(part, Record)],
        "torn": sum(part.length for part in damage if part.torn),
        "damaged": [[part.offset, part.length] for part in damage if not part.torn],
    }


def write_sector(expect: Any, key: Any) -> bytes:
    """Return a sector header by the layout of `spec`."""
    raw: bytes = spec.SectorHeader.build({**expect, "crc": 0})
    return raw[:-4] + zlib.crc32(raw[:-4]).to_bytes(4, "little")


def write_record(expect: Any, key: Any) -> bytes:
    """Return a journal record by the layout of `spec`."""
    raw: bytes = spec.RecordHeader.build({**expect, "crc": 0})[:-4]
    return raw + zlib.crc32(raw + expect["body"]).to_bytes(4, "little") + bytes(expect["body"])


READ = {
    "cbor": lambda data, key: cbor.decode(data),
    "varint": read_varint,
    "zigzag": read_zigzag,
    "crc32": lambda data, key: zlib.crc32(data),
    "thumbprint": lambda data, key: crypto.thumbprint(crypto.point_of(cbor.decode(data))),
    "derived": lambda data, key: DERIVE[key["info"]](data, key["thumbprint"]),
    "frame": read_frame,
    "mac-frame": read_mac_frame,
    "private-frame": read_private_frame,
    "blocks": read_blocks,
    "packet": read_packet,
    "reply": read_reply,
    "capture": read_capture,
}
WRITE = {
    "cbor": lambda item, key: cbor.encode(item),
    "frame": write_frame,
    "mac-frame": write_mac_frame,
    "private-frame": write_private_frame,
    "packet": lambda expect, key: encode_packet(expect["type"], expect["id"], expect["body"])[1:-1],
    "command": write_command,
    "sector": write_sector,
    "record": write_record,
}
FREE = ()
BLIND: set[tuple[str, str]] = set()
