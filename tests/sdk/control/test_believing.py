"""What a controller believes of what a peer says: nothing without the device's MAC."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.linkdevice import SECRET, THUMBPRINT, Device
from tests.sdk.control.talk import KEY, UTC, Talk

from vitalwire import cbor, crypto
from vitalwire.control import Acknowledged, Answered, Controller, Hint, Identified, Refused, TimeMeasured
from vitalwire.packet import Packet
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Command, CommandKey, PacketType, Result


def closed_reply(key: bytes = KEY, aad: bytes = spec.AAD_REPLY, **fields: Any) -> bytes:
    """Return a closed reply with these fields."""
    return crypto.mac0(key, cbor.encode({CommandKey[name]: value for name, value in fields.items()}), aad)


def test_nothing_is_believed_without_the_mac(talk: Talk) -> None:
    """Bare and forged successes make no request answered and no frame acknowledged, however often they come."""
    talk.run()
    told = len(talk.of(TimeMeasured))
    talk.controller.request(Command.STOP, (3,), now=talk.now)
    talk.controller.acknowledge(THUMBPRINT, 1, 10)

    def lie(packet: Packet) -> bytes:
        if packet.body[:1] != b"\xd1":
            return talk.device.command(packet.body, packet.id)
        asked = cbor.decode(crypto.open_mac0(KEY, packet.body, spec.AAD_COMMAND))
        assert isinstance(asked, dict)
        fields = {"COMMAND": asked[1], "NONCE": asked[4], "COUNTER": asked[5], "RESULT": 0, "TICKS": 5}
        choice = packet.id % 5
        if choice == 0:
            return cbor.encode({CommandKey[name]: value for name, value in fields.items()})
        if choice == 1:
            return closed_reply(bytes(32), **fields)
        if choice == 2:
            return closed_reply(aad=spec.AAD_COMMAND, **fields)
        if choice == 3:
            return closed_reply(**fields | {"COUNTER": asked[5] - 1})  # type: ignore[operator]
        return closed_reply(**fields | {"NONCE": bytes(8)})

    talk.answer(lie, 25)
    assert talk.of(Answered) == []
    assert talk.of(Acknowledged) == []
    assert len(talk.of(TimeMeasured)) == told
    assert talk.controller.counters.forged > 0
    assert talk.controller.counters.ignored > 0
    talk.run(10)
    assert len(talk.of(Answered)) == 1
    assert talk.device.do("board.journal.unacked()") == 0


def test_replayed_replies_are_ignored(talk: Talk) -> None:
    """Genuine replies of earlier commands, replayed under any id, answer nothing."""
    heard: list[Packet] = []
    talk.run(3, replies=lambda p: heard.append(p) is None)
    talk.events.clear()
    talk.controller.request(Command.PING, now=talk.now)
    replays = iter(heard * 100)
    talk.answer(lambda packet: next(replays).body, 5)
    assert talk.of(Answered) == []
    assert talk.of(TimeMeasured) == []


def test_a_hint_only_makes_it_ask_again_and_not_too_often(talk: Talk) -> None:
    """Refusals without MAC refuse no request, are reported as hints, and lead to few packets."""
    talk.run()
    ticket = talk.controller.request(Command.STOP, (3,), now=talk.now)
    before = len(talk.sent)
    talk.answer(lambda packet: cbor.encode({1: 0, 7: int(Result.BAD_MAC)}), 20)
    assert talk.of(Refused) == []
    assert Hint(Command.STOP, Result.BAD_MAC) in talk.of(Hint)
    assert len(talk.sent) - before < 20
    talk.run(5)
    assert talk.of(Answered) == [Answered(ticket, Command.STOP)]


def test_a_wrong_secret_is_never_confirmed(device: Device) -> None:
    """With another secret the device is never confirmed, nothing is done, and few packets are sent."""
    talk = Talk(device)
    talk.secrets[THUMBPRINT] = bytes(32)
    talk.controller.acknowledge(THUMBPRINT, 1, 10)
    talk.run(30)
    assert not talk.controller.confirmed
    assert Hint(Command.PING, Result.BAD_MAC) in talk.of(Hint)
    assert device.do("(board.journal.unacked(), board.control.counter)") == (10, 0)
    assert len(talk.sent) < 40


def test_an_identity_with_a_far_counter_is_not_believed(talk: Talk) -> None:
    """Nobody can make the controller use up the last counter and so lock the device until it reboots."""

    def lie(packet: Packet) -> bytes:
        fields = {"COMMAND": 1, "BOOT": 1, "NONCE": b"\1" * 8, "COUNTER": 2**64 - 2, "RESULT": 0, "TICKS": 5}
        names = {"THUMBPRINT": THUMBPRINT, "FIRMWARE": "", "BOARD": "", "NAME": ""}
        return cbor.encode({CommandKey[name]: value for name, value in {**fields, **names}.items()})

    talk.answer(lie, 5)
    assert talk.of(Identified) == []
    assert talk.controller.counters.malformed > 0
    talk.run(6)
    assert talk.controller.confirmed
    assert talk.device.do("board.control.counter") < 2**52


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=80), st.integers(0, 2**32)), max_size=40), st.integers(0, 2**32))
def test_any_replies_neither_raise_nor_convince(replies: list[bytes | int], seed: int) -> None:
    """Whatever bytes answer each command, nothing raises and nothing is believed."""
    controller = Controller(lambda thumbprint: SECRET)
    rng, now = random.Random(seed), 0.0
    controller.acknowledge(THUMBPRINT, 1, 10)
    good = closed_reply(COMMAND=4, NONCE=bytes(8), COUNTER=1, RESULT=0, TICKS=1)
    for reply in replies:
        for packet in controller.poll(now):
            body = bytearray(reply if isinstance(reply, bytes) else rng.choice([good, cbor.encode({1: 1, 7: 0})]))
            for _ in range(rng.randint(0, 3)):
                at = rng.randint(0, len(body))
                body[at : at + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
            controller.feed(Packet(PacketType.REPLY, packet.id, bytes(body)), now, UTC)
        now += rng.random()
    assert {type(event) for event in controller.events()} <= {Hint}
    assert not controller.confirmed
