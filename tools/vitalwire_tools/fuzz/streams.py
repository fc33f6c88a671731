"""Streams of messages put to what judges them: session, verdict, conversation. Each function raises only for a bug."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from vitalwire import cbor, crypto
from vitalwire.client.conversation import Conversation
from vitalwire.control import Controller
from vitalwire.errors import InputError
from vitalwire.packet import PacketDecoder, encode_packet
from vitalwire.session import Disproved, Outcome, Quarantined, Session, Verified
from vitalwire.signals import decode
from vitalwire.verdict import verify
from vitalwire_protocol import spec

from . import corpus
from .known import (
    NOW,
    command_key,
    device,
    maced,
    payloads,
    registry,
    sealed_story,
    sealing,
    signed,
    story,
)
from .messages import reply_seeds


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
    """Return frames: as they are (mode 0), signed (1) or MACed (2) payloads, or known ones, perhaps changed (else)."""
    found = []
    for mode, part in items(data):
        if mode == 0:
            found.append(part)
        elif mode == 1:
            found.append(signed(part[: spec.Limit.MAX_FRAME - 128]))
        elif mode == 2:
            found.append(maced(part[: spec.Limit.MAX_FRAME - 128]))
        else:
            whole = (*story(), *sealed_story())
            known = whole[mode % len(whole)]
            at = int.from_bytes(part[:2], "big")
            if at < 8 * len(known):
                changed = bytearray(known)
                changed[at >> 3] ^= 1 << (at & 7)
                known = bytes(changed)
            found.append(known)
    return found[:24]


def story_seeds() -> list[bytes]:
    """Return inputs to begin with."""
    whole = [(number + 10, b"\xff\xff") for number in range(10)]
    signed = [(1, payload) for payload in payloads(story())]
    orders = [whole, whole[::-1], [whole[0], *whole[4:], *whole[1:4]], signed, [*whole[:3], *signed[2:], *whole]]
    sealed = [(0, raw) for raw in sealed_story()]
    maced = [(2, payload) for payload in payloads(sealed_story())]
    orders += [sealed, sealed[::-1], [*sealed[:3], sealed[-1], *sealed[3:]], [*sealed[:2], *maced[2:], *sealed[2:]]]
    return [joined(order) for order in orders] + [joined([(0, raw)]) for raw in corpus.raw("frame", "mac-frame")]


def try_session(data: bytes) -> None:
    """Give a session frames; no number is delivered twice with other bytes, but in the place of a disproved frame."""
    session = Session(registry(), sealed_only=len(data) % 3 == 0)
    accepted: dict[tuple[bytes, int], bytes] = {}
    for number, raw in enumerate(_messages(data)):
        out = session.receive(raw, NOW + number)
        if number % 3 == 2:
            out += session.poll(NOW + 10_000_000)
        _believe(session, out, accepted)
    _believe(session, session.flush(), accepted)
    for each in device(), sealing():
        for first, last in session.acknowledgements(each.thumbprint):
            assert 0 < first <= last


def _believe(session: Session, outcomes: Sequence[Outcome], accepted: dict[tuple[bytes, int], bytes]) -> None:
    kept = [outcome for outcome in outcomes if isinstance(outcome, Verified | Quarantined)]
    session.durable(kept)
    for outcome in outcomes:
        if isinstance(outcome, Disproved):
            del accepted[outcome.device, outcome.seq]
        if isinstance(outcome, Verified):
            place = outcome.device, outcome.frame.seq
            assert accepted.setdefault(place, outcome.frame.raw) == outcome.frame.raw, "two of one number"
            with suppress(InputError):
                decode(outcome.frame, outcome.descriptor)


def try_verdict(data: bytes) -> None:
    """Judge a record by chain and by signatures."""
    frames = _messages(data)
    assert verify(frames, registry()) == verify(frames, registry(), by_chain=False), "the chain says something else"


def try_conversation(data: bytes) -> None:
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
            closed = crypto.mac0(command_key(), part[: spec.Limit.MAX_COMMAND - 64], spec.AAD_REPLY)
            sent = encode_packet(spec.PacketType.REPLY, asked, closed)
        elif mode == 2:
            sent = encode_packet(spec.PacketType.FRAME, 0, part[: spec.Limit.MAX_FRAME])
        else:
            sent = encode_packet(mode % 6, asked, part[: spec.Limit.MAX_LOG])
        talk.feed(sent, now, NOW + int(now * 1e6), NOW)
        while talk.frames:
            talk.durable([talk.frames.popleft()])
    talk.finish(now)


def conversation_seeds() -> list[bytes]:
    """Return inputs to begin with."""
    replies = [(1, seed[1:]) for seed in reply_seeds() if seed[0] == 1]
    frames = [(2, raw) for raw in story()]
    packets = [(0, b"\0" + raw + b"\0") for raw in corpus.raw("packet")]
    return [joined(part) for part in (replies, frames, packets, [*frames[:2], *replies[:3], *packets[:4], *frames])]
