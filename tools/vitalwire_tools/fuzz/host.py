"""The targets on the host, one function of bytes each; they raise only for a bug. Nothing here knows atheris.

A MAC or signature stops a fuzzer that does not have the key, so targets behind one have it: the first byte of their
input says whether the rest is the message itself or a payload to be wrapped and signed rightly.
"""

from __future__ import annotations

import ast
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire import cbor, crypto, transports
from vitalwire.capture import Record, read
from vitalwire.capture.index import Index, select
from vitalwire.capture.reader import HEADER
from vitalwire.client.conversation import Conversation
from vitalwire.codec import decode_block, decode_blocks
from vitalwire.control import Controller, parse_identity, parse_reply
from vitalwire.errors import BlockError, CborError, InputError, PacketError, TransportError, TrustError, UsageError
from vitalwire.frame import parse, readouts
from vitalwire.frame.form import parse_any
from vitalwire.frame.scan import scan
from vitalwire.messages import Channel, Decimal10, Descriptor, Frame
from vitalwire.packet import PacketDecoder, decode_packet, encode_packet, parse_log
from vitalwire.registry import Registry
from vitalwire.session import Quarantined, Session, Verified
from vitalwire.signals import decode
from vitalwire.testing import FakeDevice
from vitalwire.verdict import verify
from vitalwire_protocol import spec

from ..codegen import board
from ..virtual import faults
from . import corpus

NOW = 1_790_000_000_000_000
SECRET = bytes(range(32))
TEMPORARY = Path(tempfile.gettempdir())
_DIGEST = spec.DIGEST_SIZE


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder: what it reads, the function that tries an input, inputs to begin with, the longest one tried."""

    what: str
    attempt: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    longest: int = 4096


@cache
def device() -> FakeDevice:
    """Return the enrolled device whose key the fuzzer has; its key is no secret."""
    fake = FakeDevice(private_key=ec.derive_private_key(7, ec.SECP256R1()))
    fake.descriptor()
    return fake


@cache
def story() -> tuple[bytes, ...]:
    """Return some frames of the device in order."""
    fake = FakeDevice(private_key=device().private_key)
    first = [fake.descriptor(), fake.sampled(0.25), fake.events((spec.Event.BUTTON, {})), fake.status()]
    frames = [*first, fake.reboot(burn=2), *(fake.sampled(0.25) for _ in range(3))]
    return (*frames, fake.dropped(frames[6:8]), fake.descriptor("2.0"))


@cache
def registry() -> Registry:
    """Return a registry that knows the device."""
    known = Registry()
    known.enrol(device().thumbprint, "fuzzed", secret=SECRET, now_us=NOW)
    return known


@cache
def description() -> Descriptor:
    """Return what the device says of itself."""
    body = parse(device().descriptor()).body
    assert body is not None
    return body


def _signed(payload: bytes) -> bytes:
    return crypto.sign1(device().private_key, payload)


def _payloads(frames: Iterable[bytes]) -> list[bytes]:
    found = []
    for frame in frames:
        with suppress(InputError):
            found.append(crypto.sign1_payload(frame))
    return found


# ---------------------------------------------------------------- CBOR, COSE


def _cbor(data: bytes) -> None:
    try:
        item = cbor.decode(data)
    except CborError:
        return
    assert cbor.encode(item) == data, "deterministic CBOR has one form"


def _cose(data: bytes) -> None:
    message = _signed(data[1:]) if data[:1] == b"\1" else data[1:]
    with suppress(InputError, TrustError):
        crypto.sign1_payload(message)
        crypto.verify_sign1(message, device().private_key.public_key())
        assert data[:1] == b"\1" or message in story(), "a signature nobody made"
    with suppress(InputError, TrustError):
        crypto.open_mac0(SECRET, message, spec.AAD_REPLY)
    with suppress(InputError):
        crypto.load_public_key(crypto.point_of(cbor.decode(data[1:])))


# ---------------------------------------------------------------- frames and blocks


def _frame(data: bytes) -> None:
    raw = _signed(data[1:]) if data[:1] == b"\1" else data[1:]
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
    for described in (description(), frame.body):
        if described is not None:
            with suppress(InputError):
                for signal in decode(frame, described).values():
                    assert len(signal.valid) == len(signal.values) == len(signal)


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


def _blocks(data: bytes) -> None:
    if not data:
        return
    described = _described(data[0] % len(_SHAPES))
    frame = Frame(b"", bytes(32), spec.Kind.DATA, 1, 1, bytes(16), bytes(8), 1 << 40, blocks=data[1:])
    with suppress(InputError):
        readouts(frame, described)
    with suppress(InputError):
        decode(frame, described)


def _block(data: bytes) -> None:
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


def _block_seeds() -> list[bytes]:
    rng = np.random.default_rng(1)
    found = []
    for count, width in ((1, 1), (17, 8), (34, 12), (255, 18), (510, 18)):
        from vitalwire.codec import encode_block

        samples = np.cumsum(rng.integers(-2, 3, count)).clip(-(1 << width - 1), (1 << width - 1) - 1)
        coding, body = encode_block(samples, width)
        found.append(bytes([coding, width, count // 17]) + len(body).to_bytes(2, "big") + body)
    return found


# ---------------------------------------------------------------- packets and replies


def _packet(data: bytes) -> None:
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


def _key() -> bytes:
    return crypto.command_key(SECRET, device().thumbprint)


def _reply(data: bytes) -> None:
    body = data[1:]
    if data[:1] == b"\1" and len(body) < spec.Limit.MAX_COMMAND:
        body = crypto.mac0(_key(), body, spec.AAD_REPLY)
    for key in (None, _key()):
        with suppress(InputError, TrustError):
            parse_identity(parse_reply(body, key))


def _reply_seeds() -> list[bytes]:
    found = []
    for body, key in corpus.vectors("reply"):
        found.append(b"\0" + body)
        with suppress(InputError, TrustError, KeyError, TypeError):
            secret, thumbprint = (bytes.fromhex(key[name]["hex"]) for name in ("secret", "thumbprint"))
            found.append(b"\1" + crypto.open_mac0(crypto.command_key(secret, thumbprint), body, spec.AAD_REPLY))
    return found


# ---------------------------------------------------------------- streams of messages


def items(data: bytes) -> Iterable[tuple[int, bytes]]:
    """Cut an input into (mode, bytes): one byte of mode, two of length, then as many."""
    while len(data) > 3:
        length = int.from_bytes(data[1:3], "big")
        yield data[0], data[3 : 3 + length]
        data = data[3 + length :]


def joined(parts: Iterable[tuple[int, bytes]]) -> bytes:
    """Do the reverse of `items`."""
    return b"".join(bytes([mode]) + len(part).to_bytes(2, "big") + part for mode, part in parts)


def _messages(data: bytes) -> list[bytes]:
    """Return frames: as they are (mode 0), signed around a payload (1), or of the story, perhaps changed (else)."""
    found = []
    for mode, part in items(data):
        if mode == 0:
            found.append(part)
        elif mode == 1:
            found.append(_signed(part[: spec.Limit.MAX_FRAME - 128]))
        else:
            known = story()[mode % len(story())]
            at = int.from_bytes(part[:2], "big")
            if at < 8 * len(known):
                changed = bytearray(known)
                changed[at >> 3] ^= 1 << (at & 7)
                known = bytes(changed)
            found.append(known)
    return found[:24]


def _story_seeds() -> list[bytes]:
    whole = [(number + 10, b"\xff\xff") for number in range(10)]
    signed = [(1, payload) for payload in _payloads(story())]
    orders = [whole, whole[::-1], [whole[0], *whole[4:], *whole[1:4]], signed, [*whole[:3], *signed[2:], *whole]]
    return [joined(order) for order in orders] + [joined([(0, raw)]) for raw in corpus.raw("frame")]


def _session(data: bytes) -> None:
    session = Session(registry())
    accepted: dict[int, bytes] = {}
    for number, raw in enumerate(_messages(data)):
        out = session.receive(raw, NOW + number)
        if number % 3 == 2:
            out += session.poll(NOW + 10_000_000)
        _believe(session, out, accepted)
    _believe(session, session.flush(), accepted)
    for first, last in session.acknowledgements(device().thumbprint):
        assert 0 < first <= last


def _believe(session: Session, outcomes: Iterable[object], accepted: dict[int, bytes]) -> None:
    kept = [outcome for outcome in outcomes if isinstance(outcome, Verified | Quarantined)]
    session.durable(kept)
    for outcome in kept:
        if isinstance(outcome, Verified):
            assert accepted.setdefault(outcome.frame.seq, outcome.frame.raw) == outcome.frame.raw, "two of one number"
            with suppress(InputError):
                decode(outcome.frame, outcome.descriptor)


def _verdict(data: bytes) -> None:
    frames = _messages(data)
    assert verify(frames, registry()) == verify(frames, registry(), by_chain=False), "the chain says something else"


def _conversation(data: bytes) -> None:
    """Packets of a peer: any bytes (mode 0), a closed reply (1) to the last command, a frame (2), a type of choice."""
    told: list[object] = []
    session, controller = Session(registry()), Controller(registry().secret)
    talk = Conversation(session, controller, registry(), told.append, settle=0.0)
    talk.poll(0.0, NOW)
    identity = {
        spec.CommandKey.COMMAND: spec.Command.IDENTIFY, spec.CommandKey.BOOT: 1, spec.CommandKey.NONCE: bytes(8),
        spec.CommandKey.COUNTER: 0, spec.CommandKey.RESULT: 0, spec.CommandKey.TICKS: 5,
        spec.CommandKey.THUMBPRINT: device().thumbprint, spec.CommandKey.FIRMWARE: "1", spec.CommandKey.BOARD: "b",
        spec.CommandKey.NAME: "n",
    }  # fmt: skip
    talk.feed(encode_packet(spec.PacketType.REPLY, 1, cbor.encode(identity)), 0.0, NOW, NOW)
    now, asked = 0.0, 1
    for mode, part in items(data):
        now += 0.3
        for packet in PacketDecoder().feed(talk.poll(now, NOW)):
            asked = packet.id
        if mode == 0:
            sent = part
        elif mode == 1:
            closed = crypto.mac0(_key(), part[: spec.Limit.MAX_COMMAND - 64], spec.AAD_REPLY)
            sent = encode_packet(spec.PacketType.REPLY, asked, closed)
        elif mode == 2:
            sent = encode_packet(spec.PacketType.FRAME, 0, part[: spec.Limit.MAX_FRAME])
        else:
            sent = encode_packet(mode % 6, asked, part[: spec.Limit.MAX_LOG])
        talk.feed(sent, now, NOW + int(now * 1e6), NOW)
        while talk.frames:
            talk.durable([talk.frames.popleft()])
    talk.finish(now)


def _conversation_seeds() -> list[bytes]:
    replies = [(1, seed[1:]) for seed in _reply_seeds() if seed[0] == 1]
    frames = [(2, raw) for raw in story()]
    packets = [(0, b"\0" + raw + b"\0") for raw in corpus.raw("packet")]
    return [joined(part) for part in (replies, frames, packets, [*frames[:2], *replies[:3], *packets[:4], *frames])]


# ---------------------------------------------------------------- files and texts


def _capture(data: bytes) -> None:
    """Read a file whose own first note may be there for free, and with a foreign index beside it."""
    mode, sidecar = (data[0], data[1]) if len(data) > 1 else (0, 0)
    body = data[2:]
    beside, body = body[:sidecar], body[sidecar:]
    with tempfile.TemporaryDirectory(dir=TEMPORARY) as folder:
        path = Path(folder, "c")
        path.write_bytes(body if mode & 1 else HEADER + body)
        if sidecar:
            Path(folder, "c.index").write_bytes(beside + hashlib.sha256(beside).digest() if mode & 2 else beside)
        try:
            found = list(read(path))
        except InputError:
            with suppress(InputError):
                Index.open(path)
            return
        ends = [item.offset + (len(item.raw) if isinstance(item, Record) else item.length) for item in found]
        assert all(end <= item.offset for end, item in zip(ends, found[1:], strict=False)), "items overlap"
        everything = [item.raw for item in found if isinstance(item, Record)]
        chosen = [item.raw for item in select(path) if isinstance(item, Record)]
        assert sorted(chosen) == sorted(everything), "an index that hides frames"
        list(select(path, seq=(2, 4)))


def _capture_seeds() -> list[bytes]:
    whole = [b"\1\0" + raw for raw in corpus.raw("capture")]
    return [*whole, b"\0\0" + b"".join(story()), b"\2\x50" + b"vwindex\1" + bytes(72) + b"".join(story()[:3])]


def _url(data: bytes) -> None:
    with suppress(UsageError, TransportError):
        transports.from_url(data.decode(errors="replace"))


_URLS = (
    b"replay:/nowhere?speed=10&loss=0.1&reorder=0.2&duplicate=0.1&flip=1e-3&truncate=0&seed=7&pace=received",
    b"tcp://localhost:7000", b"tcp://[::1]:7?timeout=3", b"serial:///dev/ttyUSB0?baud=115200", b"replay:a%20b?speed=0",
)  # fmt: skip


def _board(data: bytes) -> None:
    try:
        found = board.parse(data.decode(errors="replace"))
    except board.BoardError:
        return
    for statement in ast.parse(board.render(found)).body:
        assert isinstance(statement, ast.Assign)
        ast.literal_eval(statement.value)


def _faults(data: bytes) -> None:
    try:
        script: Any = json.loads(data.decode(errors="replace"))
    except (ValueError, RecursionError):
        return
    if isinstance(script, list) and all(isinstance(entry, dict) for entry in script):
        with suppress(faults.FaultError):
            faults.parse(script)


_FAULTS = (
    b'[{"chip":"max30003","fault":"drift","ppm":100},{"chip":"board","fault":"stall","at_s":3,"for_s":0.5}]',
    b'[{"chip":"lsm6dso","fault":"jitter","us":10.5,"at_s":1e3},{"chip":"max30205","fault":"nak","for_s":1}]',
)


def _prefixed(what: str) -> list[bytes]:
    raws = corpus.raw(what) or list(story())
    return [b"\0" + raw for raw in raws] + [b"\1" + payload for payload in _payloads(raws)]


TARGETS: dict[str, Target] = {
    "cbor": Target("CBOR items", _cbor, lambda: corpus.raw("cbor")),
    "cose": Target("signed and MACed messages, keys", _cose, lambda: _prefixed("frame")),
    "frame": Target("frames, to their samples", _frame, lambda: _prefixed("frame")),
    "blocks": Target("the byte string of blocks", _blocks, lambda: [b"\0" + raw for raw in corpus.raw("blocks")]),
    "block": Target("blocks, together and alone", _block, _block_seeds),
    "packet": Target("packets and log lines", _packet, lambda: [raw + b"\0" for raw in corpus.raw("packet")]),
    "reply": Target("a device's replies and identity", _reply, _reply_seeds, 512),
    "session": Target("frames from anywhere, in any order", _session, _story_seeds, 16384),
    "verdict": Target("a record, by chain and by signatures", _verdict, _story_seeds, 16384),
    "conversation": Target("all that a peer can send", _conversation, _conversation_seeds, 16384),
    "capture": Target("capture files and their indices", _capture, _capture_seeds, 16384),
    "url": Target("addresses and their options", _url, lambda: _URLS, 256),
    "board": Target("board.toml", _board, lambda: [file.read_bytes() for file in board_files()]),
    "faults": Target("scripts of faults", _faults, lambda: _FAULTS, 1024),
}


def board_files() -> list[Path]:
    """Return the board files there are."""
    from ..folders import BOARDS

    return sorted(BOARDS.glob("*/board.toml"))
