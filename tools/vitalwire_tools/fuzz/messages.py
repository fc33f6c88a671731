"""Single messages put to their decoders: CBOR, COSE, frames, blocks, packets, replies.

A MAC or signature stops a fuzzer that does not have the key, so of some inputs the first byte says whether the rest is
the message itself or a payload to be wrapped and signed rightly. Each function raises only for a bug.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np

from vitalwire import cbor, crypto
from vitalwire.codec import decode_block, decode_blocks, encode_block
from vitalwire.control import parse_identity, parse_reply
from vitalwire.encryption import encrypt
from vitalwire.errors import BlockError, CborError, InputError, PacketError, SignatureError, TrustError
from vitalwire.frame import opened, parse, readouts
from vitalwire.frame.form import parse_any
from vitalwire.frame.scan import scan
from vitalwire.messages import Channel, Decimal10, Descriptor, Frame
from vitalwire.packet import PacketDecoder, decode_packet, encode_packet, parse_log
from vitalwire.signals import decode
from vitalwire_protocol import spec

from . import corpus
from .known import SECRET, command_key, description, device, maced, payloads, sealed_story, sealing, signed, story


def try_cbor(data: bytes) -> None:
    """Read one item; what was read is written as the same bytes."""
    try:
        item = cbor.decode(data)
    except CborError:
        return
    assert cbor.encode(item) == data, "deterministic CBOR has one form"


def _wrapped(data: bytes) -> bytes:
    """Return an input as it is, or signed (1) or MACed (2)."""
    return {1: signed, 2: maced}.get(data[0], bytes)(data[1:]) if data else b""


def try_cose(data: bytes) -> None:
    """Open and verify a message, and read a key."""
    message = _wrapped(data)
    with suppress(InputError, TrustError):
        crypto.frame_payload(message)
        crypto.verify_sign1(message, device().private_key.public_key())
        assert data[:1] == b"\1" or message in story(), "a signature nobody made"
    with suppress(InputError, TrustError):
        crypto.frame_payload(message)
        crypto.verify_mac0(message, crypto.frame_key(SECRET, sealing().thumbprint))
        assert data[:1] == b"\2" or message in sealed_story(), "a MAC nobody made"
    with suppress(InputError, TrustError):
        crypto.open_mac0(SECRET, message, spec.AAD_REPLY)
    with suppress(InputError):
        crypto.load_public_key(crypto.point_of(cbor.decode(data[1:])))


# ---------------------------------------------------------------- frames and blocks


def try_frame(data: bytes) -> None:
    """Parse a frame quickly and strictly, open what is private, and decode its samples."""
    raw = _wrapped(data)
    scanned = scan(raw)
    try:
        frame = parse(raw)
    except InputError:
        assert scanned is None, "the quick reader takes what the strict one refuses"
        return
    if scanned is not None:
        seq, boot, prev, need, utc_us, accuracy, *_ = scanned
        assert (seq, boot, prev, need) == (frame.seq, frame.boot, frame.prev, frame.descriptor)
        assert (utc_us, accuracy) == (frame.utc_us, frame.utc_accuracy)
    assert parse_any(raw) == frame
    if frame.opaque is not None and frame.opaque not in _hidden():
        frame = _open(frame)
    for described in (description(), frame.body):
        if described is not None:
            with suppress(InputError):
                for signal in decode(frame, described).values():
                    assert len(signal.valid) == len(signal.values) == len(signal)


def _open(frame: Frame) -> Frame:
    """Return a frame as if its ciphertext were the plaintext: a fuzzer cannot encrypt."""
    assert frame.opaque is not None
    key = crypto.encryption_key(SECRET, device().thumbprint)
    with suppress(SignatureError):
        opened(frame, key)
        raise AssertionError("ciphertext that nobody made decrypts")
    _, _, ciphertext = encrypt(key, frame.boot, frame.seq, frame.opaque)
    assert isinstance(ciphertext, bytes)
    with suppress(InputError):
        return opened(replace(frame, opaque=ciphertext), key)
    return frame


@cache
def _hidden() -> frozenset[bytes]:
    """Return the ciphertexts of the vectors, which other keys made."""
    return frozenset(parse(raw).opaque or b"" for raw, _ in corpus.vectors("private-frame") if _parses(raw))


def _parses(raw: bytes) -> bool:
    with suppress(InputError):
        return parse(raw) is not None
    return False


_SHAPES = ((18,), (19, 19), (16, 16, 16), (1,), (32,))


@cache
def _described(shape: int) -> Descriptor:
    """Return a descriptor of two streams, the second of these widths."""
    widths = [(0, 12), *((1, bits) for bits in _SHAPES[shape])]
    one, zero = Decimal10(1, 0), Decimal10(0, 0)
    channels = tuple(
        Channel(place, f"c{place}", None, "1", "", stream, Fraction(1), bits, one, zero)
        for place, (stream, bits) in enumerate(widths)
    )
    return Descriptor(bytes(8), 1, "", bytes(65), bytes(32), "", "", 1, channels)


def try_blocks(data: bytes) -> None:
    """Cut and decode the blocks of a frame."""
    if not data:
        return
    described = _described(data[0] % len(_SHAPES))
    frame = Frame(b"", bytes(32), spec.Kind.DATA, 1, 1, bytes(16), bytes(8), 1 << 40, blocks=data[1:])
    with suppress(InputError):
        readouts(frame, described)
    with suppress(InputError):
        decode(frame, described)


def try_block(data: bytes) -> None:
    """Read blocks of 5 bytes of head (coding, bits, count, length) each, together and one by one."""
    codings, bodies, counts, bits = [], [], [], []
    while len(data) > 5 and len(bodies) < 8:
        length = int.from_bytes(data[3:5], "big") % 1024
        codings.append(data[0] % 4)
        bits.append(data[1] % 34)
        counts.append((data[2] * 17) % 2100)
        bodies.append(data[5 : 5 + length])
        data = data[5 + length :]
    if not bodies:
        return
    together = decode_blocks(codings, bodies, counts, bits)
    for found, *alone in zip(together, codings, bodies, counts, bits, strict=True):
        try:
            samples = decode_block(*alone)
        except BlockError:
            samples = None
        assert (samples is None) == isinstance(found, BlockError), found
        if samples is None:
            continue
        assert np.array_equal(samples, found)
        assert samples.dtype == np.int32
        assert len(samples) == alone[2]
        limit = 1 << (alone[3] - 1)
        assert int(samples.min()) >= -limit
        assert int(samples.max()) < limit


def block_seeds() -> list[bytes]:
    """Return inputs to begin with."""
    rng = np.random.default_rng(1)
    found = []
    for count, width in ((1, 1), (17, 8), (34, 12), (255, 18), (510, 18)):
        samples = np.cumsum(rng.integers(-2, 3, count)).clip(-(1 << width - 1), (1 << width - 1) - 1)
        coding, body = encode_block(samples, width)
        found.append(bytes([coding, width, count // 17]) + len(body).to_bytes(2, "big") + body)
    return found


# ---------------------------------------------------------------- packets and replies


def try_packet(data: bytes) -> None:
    """Find packets in a stream, whole and in pieces."""
    whole, pieces = PacketDecoder(), PacketDecoder()
    packets = whole.feed(data)
    step = 1 + (data[0] if data else 0) % 7
    assert packets == [p for at in range(0, len(data), step) for p in pieces.feed(data[at : at + step])]
    assert whole.counters == pieces.counters
    for packet in packets:
        assert decode_packet(encode_packet(packet.type, packet.id, packet.body)[1:-1]) == packet
    for part in data.split(b"\0"):
        with suppress(PacketError):
            decode_packet(part)
    with suppress(PacketError):
        assert parse_log(data).text.isprintable()


def try_reply(data: bytes) -> None:
    """Read a reply and the identity in it."""
    body = data[1:]
    if data[:1] == b"\1" and len(body) < spec.Limit.MAX_COMMAND:
        body = crypto.mac0(command_key(), body, spec.AAD_REPLY)
    for key in (None, command_key()):
        with suppress(InputError, TrustError):
            parse_identity(parse_reply(body, key))


def reply_seeds() -> list[bytes]:
    """Return inputs to begin with."""
    found = []
    for body, key in corpus.vectors("reply"):
        found.append(b"\0" + body)
        with suppress(InputError, TrustError, KeyError, TypeError):
            secret, thumbprint = (bytes.fromhex(key[name]["hex"]) for name in ("secret", "thumbprint"))
            found.append(b"\1" + crypto.open_mac0(crypto.command_key(secret, thumbprint), body, spec.AAD_REPLY))
    return found


def prefixed(what: str) -> list[bytes]:
    """Return vectors as they are (0 in front), and their payloads (1)."""
    raws = corpus.raw(what, "mac-" + what, "private-" + what) or [*story(), *sealed_story()]
    return [b"\0" + raw for raw in raws] + [
        bytes([1 + n % 2]) + payload for n, payload in enumerate(payloads([*raws, *sealed_story()]))
    ]


def blocks_seeds() -> list[bytes]:
    """Return the vectors, of the first shape."""
    return [b"\0" + raw for raw in corpus.raw("blocks")]


def packet_seeds() -> list[bytes]:
    """Return the vectors as they stand in a stream."""
    return [raw + b"\0" for raw in corpus.raw("packet")]
