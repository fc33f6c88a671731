# The device's side of the vectors, for run_vectors.py under MicroPython.
#
# It reads what a device reads: CBOR, commands, packets, its journal; and frames as far as COSE (never the map). It
# writes what a device writes: frames, replies, packets, blocks in a form of its own choice. Captures it does not know.
import hashlib
from array import array
from binascii import crc32

import cbor
import codec
import control
import cose
import p256
import p256_verify
import packet
import recover
import wire
from clock import Clock
from mac import hkdf
from private import Private

RESULTS = (
    "ok", "bad-form", "bad-mac", "wrong-device", "wrong-boot", "wrong-nonce", "stale-counter", "unknown-command",
    "bad-argument", "not-provisioned", "not-allowed",
)  # fmt: skip


def reason(error):
    """Return why bytes were refused, "" by the image, whose errors have no words; None for another error."""
    return (error.args or ("",))[0] if isinstance(error, ValueError) else None


def written(put, *values):
    """Return the bytes that a put function writes."""
    buf = memoryview(bytearray(wire.MAX_FRAME + 200))
    return bytes(buf[: put(buf, 0, *values)])


def read_frame(data, key):
    """Return the map of a verified frame."""
    message = memoryview(data)
    item = cbor.decode(cose.open_sign1(message))
    digest = cose.sign1_digest(message, len(message) - cose.TAIL, wire.AAD_FRAME)
    public = [int.from_bytes(key["public_key"][name], "big") for name in ("x", "y")]
    if not p256.run(p256_verify.verify(public, digest, data[-wire.SIGNATURE_SIZE :])):
        raise ValueError("signature")
    return item


def write_frame(keys, key):
    """Return the signed frame; a device writes ES256 only."""
    if key["algorithm"] != wire.ALG_ES256:
        return None
    buf = memoryview(bytearray(cose.PAYLOAD + wire.MAX_FRAME))
    end = cose.sign1_start(buf, cbor.put(buf, cose.PAYLOAD, keys))
    digest = cose.sign1_digest(buf, end, wire.AAD_FRAME)
    return bytes(buf[: cose.sign1_end(buf, end, p256.run(p256.Signer(key["private_key"]).sign(digest)))])


def read_mac_frame(data, key):
    """Return the map of a frame with a MAC, which a device never reads in its life."""
    mac_key = hkdf(key["secret"], key["thumbprint"], wire.INFO_FRAME)
    return cbor.decode(cose.open_mac0(memoryview(data), mac_key, wire.AAD_FRAME, wire.MAX_FRAME))


def write_mac_frame(keys, key):
    """Return the frame with its MAC."""
    buf = memoryview(bytearray(cose.PAYLOAD + wire.MAX_FRAME))
    mac_key = hkdf(key["secret"], key["thumbprint"], wire.INFO_FRAME)
    return bytes(buf[: cose.mac0(buf, cbor.put(buf, cose.PAYLOAD, keys), mac_key, wire.AAD_FRAME)])


def write_private_frame(expect, key):
    """Return the signed frame with what is encrypted in it."""
    keys = expect["outside"]
    private = Private(hkdf(key["secret"], key["thumbprint"], wire.INFO_PRIVATE, wire.CCM_KEY_SIZE))
    buf = memoryview(bytearray(cose.PAYLOAD + wire.MAX_FRAME))
    pos = cbor.put_head(buf, cose.PAYLOAD, cbor.MAP, len(keys) + 1)
    for name in sorted(keys):
        pos = cbor.put(buf, cbor.put_int(buf, pos, name), keys[name])
    head = private.begin(buf, pos)
    pos = private.end(buf, head, cbor.put(buf, head + 3, expect["inside"]))
    p256.run(private.conceal(buf, keys[wire.KEY_BOOT], keys[wire.KEY_SEQ]))
    end = cose.sign1_start(buf, pos)
    digest = cose.sign1_digest(buf, end, wire.AAD_FRAME)
    return bytes(buf[: cose.sign1_end(buf, end, p256.run(p256.Signer(key["private_key"]).sign(digest)))])


def read_packet(data, key):
    """Return type, id and body."""
    small = len(data) > 1 and data[0] > 1 and data[1] in (wire.PACKETTYPE_COMMAND, wire.PACKETTYPE_REPLY)
    receiver = packet.Receiver(wire.MAX_COMMAND if small else wire.MAX_FRAME)
    receiver.take(data + b"\0", 0, len(data) + 1)
    if receiver.body is None:
        raise ValueError(receiver.fault)
    return {"type": receiver.type, "id": receiver.id, "body": bytes(receiver.body)}


def write_packet(expect, key):
    """Return the packet, delimiters taken off."""
    body = expect["body"]
    start = packet.gap(len(body))
    buf = bytearray(packet.room(len(body)))
    buf[start : start + len(body)] = body
    end = packet.encode(buf, start, len(body), expect["type"], expect["id"])
    return bytes(buf[1 : end - 1])


def write_blocks(expect, key):
    """Return BLOCKS as the device makes them of these samples."""
    out = bytearray(50_000)
    pos = 0
    ticks = -1
    for readout, widths in zip(expect, key["streams"]):  # noqa: B905
        if readout is None:
            pos = wire.put_varint(out, pos, 0)
            continue
        count = len(readout["samples"][0])
        pos = wire.put_varint(out, pos, count)
        if ticks >= 0:
            pos = wire.put_zigzag(out, pos, readout["ticks"] - ticks)
        ticks = readout["ticks"]
        for samples, bits in zip(readout["samples"], widths):  # noqa: B905
            pos = codec.Encoder(count).encode(array("i", samples), 0, count, bits, out, pos)
    return bytes(out[:pos])


class World:
    """What a controller's commands reach: journal and link of a device."""

    newest = wire.MAX_SEQ
    repl = True

    def restart(self):
        pass

    def acknowledge(self, first, last):
        pass

    acknowledged = acknowledge


def known(ids, off):
    """Whether all channels are among the device's eight."""
    return all(isinstance(each, int) and 0 <= each < 8 for each in ids)


def read_command(data, key):
    """Return what the device makes of a command: its map, or the name of the result as the error."""
    world = World()
    actions = {wire.COMMAND_STOP: known, wire.COMMAND_REBOOT: lambda _: True}
    clock = Clock(lambda: 1 << 40)
    secret = key.get("secret")
    texts = ("0.1.0", "virtual", "vital-0001")
    handler = control.Control(key["thumbprint"], texts, secret, key["boot"], key["nonce"], clock, world, actions)
    handler.counter = key["counter"]
    handler.link = world
    reply = memoryview(bytearray(wire.MAX_COMMAND))
    answer = reply[: p256.run(handler.handle(data, reply))]
    closed = len(answer) > 0 and answer[0] == 0xC0 | wire.TAG_MAC0
    mac_key = hkdf(secret, key["thumbprint"], wire.INFO_COMMAND) if secret else None
    result = cbor.decode(cose.open_mac0(answer, mac_key, wire.AAD_REPLY) if closed else answer)[wire.COMMANDKEY_RESULT]
    if result:
        if handler.refused != 1:
            raise RuntimeError("a refused command is not counted")
        raise ValueError(RESULTS[result])
    asked = cose.open_mac0(memoryview(data), mac_key, wire.AAD_COMMAND) if closed else data
    return {"message": cbor.decode(asked), "closed": closed}


def write_reply(expect, key):
    """Return a reply's bytes."""
    if not expect["closed"]:
        return written(cbor.put, expect["message"])
    buf = memoryview(bytearray(wire.MAX_COMMAND))
    end = cbor.put(buf, cose.PAYLOAD, expect["message"])
    return bytes(buf[: cose.mac0(buf, end, hkdf(key["secret"], key["thumbprint"], wire.INFO_COMMAND), wire.AAD_REPLY)])


def read_sector(data, key):
    """Return a sector header's fields."""
    number, boot, acked = recover.parse_sector(data)
    return {"magic": wire.JOURNAL_MAGIC, "number": number, "boot": boot, "acked": acked}


def read_record(data, key):
    """Return a record's fields."""
    type, flags, seq, body = recover.parse_record(data)
    return {"type": type, "flags": flags, "length": len(body), "seq": seq, "body": bytes(body)}


READ = {
    "cbor": lambda data, key: cbor.decode(data),
    "crc32": lambda data, key: crc32(data),
    "thumbprint": lambda data, key: hashlib.sha256(written(cbor.put, cbor.decode(data))).digest(),
    "derived": lambda data, key: hkdf(data, key["thumbprint"], key["info"], key["length"]),
    "frame": read_frame,
    "mac-frame": read_mac_frame,
    "packet": read_packet,
    "command": read_command,
    "sector": read_sector,
    "record": read_record,
}
WRITE = {
    "cbor": lambda item, key: written(cbor.put, item),
    "varint": lambda number, key: written(wire.put_varint, number),
    "zigzag": lambda number, key: written(wire.put_zigzag, number),
    "frame": write_frame,
    "mac-frame": write_mac_frame,
    "private-frame": write_private_frame,
    "packet": write_packet,
    "reply": write_reply,
    "blocks": write_blocks,
}
FREE = ("blocks",)
_MAP_REASONS = ("missing-key", "type", "range", "version", "public-key", "channels", "marks", "items")
BLIND = {("frame", each) for each in _MAP_REASONS}
BLIND.add(("packet", "oversized"))  # a log line of 201 bytes: a device reads none
