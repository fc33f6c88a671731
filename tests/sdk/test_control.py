"""The controller against the device's real code: what it asks, what it believes, what it survives."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.linkdevice import SECRET, THUMBPRINT, Device

from vitalwire import cbor, crypto
from vitalwire.control import (
    Acknowledged,
    AcknowledgeRefused,
    Answered,
    Confirmed,
    ControlEvent,
    Controller,
    Hint,
    Identified,
    Refused,
    TimeMeasured,
    TimeTold,
    Unanswered,
)
from vitalwire.control.controller import MAX_ASKED
from vitalwire.errors import UsageError
from vitalwire.packet import Packet, encode_packet
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Command, CommandKey, PacketType, Result

UTC = 1_790_000_000_000_000
KEY = crypto.command_key(SECRET, THUMBPRINT)
Keep = Callable[[Packet], bool]


class Talk:
    """A controller and a device joined by a perfect line, unless a test takes packets out of it."""

    def __init__(self, device: Device, **options: Any) -> None:
        self.device = device
        self.secrets: dict[bytes, bytes] = {THUMBPRINT: SECRET}
        self.controller = Controller(lambda thumbprint: self.secrets.get(thumbprint), **options)
        self.now = 1000.0  # the controller's monotonic clock
        self.sent: list[Packet] = []
        self.frames: list[Packet] = []
        self.events: list[ControlEvent] = []

    @property
    def utc(self) -> int:
        return UTC + round(self.now * 1e6)

    def run(self, seconds: float = 2.0, commands: Keep = lambda p: True, replies: Keep = lambda p: True) -> None:
        """Let time pass in steps of 10 ms; packets that `commands` or `replies` is false for are lost."""
        for _ in range(round(seconds * 100)):
            sent = self.controller.poll(self.now)
            self.sent += sent
            data = b"".join(encode_packet(p.type, p.id, p.body) for p in sent if commands(p))
            self.now += 0.01
            for packet in self.device.packets(data, after=10_000):
                if packet.type == PacketType.FRAME:
                    self.frames.append(packet)
                elif replies(packet):
                    self.controller.feed(packet, self.now, self.utc)
            self.events += self.controller.events()

    def answer(self, make: Callable[[Packet], bytes], seconds: float = 2.0) -> None:
        """Let time pass with somebody else at the other end, who answers each command with `make` of it."""
        for _ in range(round(seconds * 100)):
            sent = self.controller.poll(self.now)
            self.sent += sent
            self.now += 0.01
            for packet in sent:
                self.controller.feed(Packet(PacketType.REPLY, packet.id, make(packet)), self.now, self.utc)
            self.events += self.controller.events()

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]


def command_of(packet: Packet) -> int:
    """Return which command a packet is, closed or open."""
    closed = packet.body[:1] == b"\xd1"
    fields = cbor.decode(crypto.open_mac0(KEY, packet.body, spec.AAD_COMMAND) if closed else packet.body)
    assert isinstance(fields, dict)
    return int(fields[CommandKey.COMMAND])  # type: ignore[arg-type]


@pytest.fixture
def device() -> Iterator[Device]:
    """A provisioned device with ten frames."""
    device = Device()
    device.do("[board.frame() for _ in range(10)]")
    yield device
    device.close()


@pytest.fixture
def talk(device: Device) -> Talk:
    """A controller that has just begun to talk with that device."""
    return Talk(device)


# ---------------------------------------------------------------- the good case


def test_it_learns_who_is_there_and_proves_it(talk: Talk) -> None:
    """First the device is identified, then confirmed, and its descriptor is asked for once."""
    talk.run()
    (identified,) = talk.of(Identified)
    assert (identified.identity.thumbprint, identified.identity.name, identified.rebooted) == (
        THUMBPRINT,
        "bench",
        False,
    )
    assert talk.of(Confirmed) == [Confirmed(identified.identity)]
    assert [command_of(p) for p in talk.sent].count(Command.DESCRIBE) == 1
    assert talk.controller.confirmed


def test_only_what_is_durable_is_acknowledged(talk: Talk) -> None:
    """Frames are acknowledged if, and only if, the caller said that they are durable."""
    talk.run()
    assert talk.device.do("board.journal.unacked()") == 10
    for seq in (1, 2, 3, 7):
        talk.controller.acknowledge(THUMBPRINT, seq, seq)
    talk.run(1)
    assert talk.of(Acknowledged) == [Acknowledged(((1, 3), (7, 7)))]
    left = [talk.device.do(f"board.journal.next_unacked({seq - 1})") == seq for seq in range(1, 11)]
    assert [seq for seq, still in enumerate(left, 1) if still] == [4, 5, 6, 8, 9, 10]


def test_what_is_durable_of_another_device_is_not_acknowledged_here(talk: Talk) -> None:
    """The same numbers of another thumbprint are never sent to this device."""
    talk.controller.acknowledge(bytes(32), 1, 10)
    talk.run()
    assert talk.device.do("board.journal.unacked()") == 10


def test_many_acknowledgements_go_in_few_commands(talk: Talk) -> None:
    """Scattered frames go at most sixteen ranges a command, rising, and each once."""
    talk.device.do("[board.frame() for _ in range(90)]")
    talk.run()
    for seq in range(1, 100, 2):
        talk.controller.acknowledge(THUMBPRINT, seq, seq)
    talk.run(3)
    batches = [event.ranges for event in talk.of(Acknowledged)]
    assert [len(batch) for batch in batches] == [16, 16, 16, 2]
    assert [pair for batch in batches for pair in batch] == [(seq, seq) for seq in range(1, 100, 2)]


def test_a_frame_that_comes_again_is_acknowledged_again(talk: Talk) -> None:
    """An acknowledgement asked for twice is sent twice: the first may have been lost with the device's memory."""
    talk.run()
    for _ in range(2):
        talk.controller.acknowledge(THUMBPRINT, 1, 10)
        talk.run(0.5)
    assert talk.of(Acknowledged) == [Acknowledged(((1, 10),))] * 2


def test_an_acknowledgement_the_device_refuses_is_not_repeated(talk: Talk) -> None:
    """Acknowledging a frame that was never made is refused under the MAC, reported and dropped."""
    talk.run()
    talk.controller.acknowledge(THUMBPRINT, 1, 11)
    talk.run()
    assert talk.of(AcknowledgeRefused) == [AcknowledgeRefused(((1, 11),), Result.BAD_ARGUMENT)]
    assert talk.device.do("board.journal.unacked()") == 10
    assert [command_of(p) for p in talk.sent].count(Command.ACKNOWLEDGE) == 1


def test_requests_are_answered_in_order(talk: Talk) -> None:
    """Each request gets one event with its ticket: answered, or refused with the device's reason."""
    ask = talk.controller.request
    tickets = [
        ask(Command.STOP, (3,), now=talk.now),
        ask(Command.START, (31,), now=talk.now),
        ask(Command.LOG_LEVEL, 4, now=talk.now),
    ]
    talk.run()
    assert talk.of(Answered) == [Answered(tickets[0], Command.STOP), Answered(tickets[2], Command.LOG_LEVEL)]
    assert talk.of(Refused) == [Refused(tickets[1], Command.START, Result.BAD_ARGUMENT)]
    assert talk.device.do("(board.asked, board.link.level)") == ([("stop", [3])], 4)


def test_requests_are_bounded(talk: Talk) -> None:
    """Open commands, and more requests than may wait, are refused to the caller."""
    with pytest.raises(UsageError):
        talk.controller.request(Command.IDENTIFY, now=talk.now)
    for _ in range(MAX_ASKED):
        talk.controller.request(Command.PING, now=talk.now)
    with pytest.raises(UsageError):
        talk.controller.request(Command.PING, now=talk.now)


def test_the_device_stays_linked(talk: Talk) -> None:
    """With nothing to say, the device still hears often enough to go on sending."""
    talk.run()
    for _ in range(15):
        talk.run(1)
        assert talk.device.do("board.link.linked(board.now)") is True


def test_without_a_secret_frames_still_flow(device: Device) -> None:
    """A reader without the secret keeps the device linked, acknowledges nothing, and is told so for each request."""
    talk = Talk(device)
    talk.secrets.clear()
    ticket = talk.controller.request(Command.REBOOT, now=talk.now)
    talk.controller.acknowledge(THUMBPRINT, 1, 5)
    for _ in range(15):
        talk.run(1)
        assert talk.device.do("board.link.linked(board.now)") is True
    assert talk.of(Refused) == [Refused(ticket, Command.REBOOT, Result.NOT_PROVISIONED)]
    assert not talk.controller.confirmed
    assert talk.frames
    assert {command_of(p) for p in talk.sent} == {Command.IDENTIFY, Command.DESCRIBE}
    assert device.do("board.journal.unacked()") == 10


# ---------------------------------------------------------------- losses and reboots


def test_a_lost_answer_is_asked_for_again_with_a_new_counter(talk: Talk) -> None:
    """When replies are lost a command is repeated, never with a counter used before, and answered once."""
    talk.run()
    ticket = talk.controller.request(Command.STOP, (3,), now=talk.now)
    before = len(talk.sent)
    talk.run(4.5, replies=lambda p: False)
    talk.run(8)
    assert talk.of(Answered) == [Answered(ticket, Command.STOP)]
    assert talk.device.do("set(a[0] for a in board.asked) == {'stop'} and len(board.asked) > 1") is True
    counters = [
        cbor.decode(crypto.open_mac0(KEY, p.body, spec.AAD_COMMAND))[CommandKey.COUNTER]  # type: ignore[index,call-overload]
        for p in talk.sent
        if p.body[:1] == b"\xd1"
    ]
    assert counters == sorted(set(counters))
    assert len(talk.sent) - before < 20


def test_a_lost_command_is_sent_again(talk: Talk) -> None:
    """When every second command is lost all is still done, in a time that losses explain."""
    keep = iter([True, False] * 1000)
    ticket = talk.controller.request(Command.STOP, (3,), now=talk.now)
    talk.controller.acknowledge(THUMBPRINT, 1, 10)
    talk.run(25, commands=lambda p: next(keep))
    assert talk.of(Answered) == [Answered(ticket, Command.STOP)]
    assert talk.device.do("board.journal.unacked()") == 0


def test_a_request_nobody_answers_ends(talk: Talk) -> None:
    """After its patience a request is given up, also one that is under way, and only that."""
    talk.run()
    ticket = talk.controller.request(Command.STOP, (3,), now=talk.now)
    talk.run(29, replies=lambda p: False)
    assert talk.of(Unanswered) == []
    talk.run(2, replies=lambda p: False)
    assert talk.of(Unanswered) == [Unanswered(ticket, Command.STOP)]
    talk.run(6)
    assert talk.of(Answered) == []


def test_a_reboot_is_survived(talk: Talk) -> None:
    """After a device's reboot it is identified anew, confirmed under its new nonce, and everything goes on."""
    talk.run()
    talk.device.do("board.boot(b'\\2' * 8)")
    ticket = talk.controller.request(Command.STOP, (3,), now=talk.now)
    talk.controller.acknowledge(THUMBPRINT, 1, 10)
    talk.run(12)
    assert [(e.identity.boot, e.rebooted) for e in talk.of(Identified)] == [(1, False), (2, True)]
    assert [e.identity.boot for e in talk.of(Confirmed)] == [1, 2]
    assert talk.of(Answered) == [Answered(ticket, Command.STOP)]
    assert talk.device.do("board.journal.unacked()") <= 1  # a burned number
    assert [command_of(p) for p in talk.sent].count(Command.DESCRIBE) == 2
    assert {e.boot for e in talk.of(TimeTold)} == {1, 2}


def test_a_reboot_is_not_asked_for_twice(talk: Talk) -> None:
    """When the answer to REBOOT is lost but the device comes back in another boot, the request is done."""
    talk.run()
    ticket = talk.controller.request(Command.REBOOT, now=talk.now)
    talk.run(0.1, replies=lambda p: False)
    assert talk.device.do("board.asked") == [("reboot", None)]
    talk.device.do("board.boot(b'\\2' * 8)")
    talk.run(10)
    assert talk.of(Answered) == [Answered(ticket, Command.REBOOT)]
    assert talk.device.do("board.asked") == [("reboot", None)]


def test_another_device_on_the_line_gets_none_of_the_requests(talk: Talk) -> None:
    """When another device answers, requests for the first one end unanswered, and its frames are left alone."""
    talk.run()
    other = Device()
    other.do(f"board.thumbprint = {bytes(32)!r}")
    other.do("board.boot(b'\\3' * 8)")
    talk.secrets[bytes(32)] = SECRET
    ticket = talk.controller.request(Command.STOP, (3,), now=talk.now)
    talk.controller.acknowledge(THUMBPRINT, 1, 10)
    talk.device, first = other, talk.device
    talk.controller.reconnected()
    talk.run()
    assert talk.of(Unanswered) == [Unanswered(ticket, Command.STOP)]
    assert (other.do("board.asked"), other.do("board.control.refused")) == ([], 0)
    assert talk.controller.confirmed
    talk.device = first
    talk.controller.reconnected()
    talk.run()
    assert first.do("board.journal.unacked()") == 0
    other.close()


def test_another_controller_with_higher_counters_is_survived(talk: Talk) -> None:
    """When somebody else's commands made ours stale, the device is asked for its counter and ours are done."""
    talk.run()
    talk.device.do("board.control.counter = board.control.counter + 10 ** 9")
    ticket = talk.controller.request(Command.STOP, (3,), now=talk.now)
    talk.run()
    assert talk.of(Answered) == [Answered(ticket, Command.STOP)]


# ---------------------------------------------------------------- lies


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


# ---------------------------------------------------------------- time


def test_the_device_is_told_its_time(talk: Talk) -> None:
    """After a few round trips the device knows UTC, within the error it was told."""
    talk.run()
    (told,) = talk.of(TimeTold)
    utc, accuracy = talk.device.do("board.clock.utc(board.clock.now())")
    assert abs(utc - talk.utc) <= 1 << accuracy
    assert 1 << accuracy <= 4 * told.fix.error_us
    assert told.fix.error_us >= 50_000


def test_measured_times_are_within_their_error(talk: Talk) -> None:
    """However unevenly the two ways delay, each measurement's error covers the truth."""
    rng = random.Random(5)
    talk = Talk(talk.device, own_error_us=0)
    for _ in range(3000):
        sent = talk.controller.poll(talk.now)
        there, back = (rng.choice([0.0, 0.002, 0.3]) for _ in range(2))
        talk.now += there
        data = b"".join(encode_packet(p.type, p.id, p.body) for p in sent)
        packets = talk.device.packets(data, after=round(there * 1e6))
        talk.now += back
        talk.device.packets(after=round(back * 1e6))
        for packet in packets:
            talk.controller.feed(packet, talk.now, talk.utc)
    talk.events = talk.controller.events()
    fixes = talk.of(TimeMeasured)
    assert len(fixes) > 20
    start = talk.utc - talk.device.now
    assert all(abs(e.fix.utc_us - e.fix.ticks - start) <= e.fix.error_us for e in fixes)
    utc, accuracy = talk.device.do("board.clock.utc(board.clock.now())")
    assert abs(utc - talk.utc) <= 1 << accuracy < 1 << 14


def test_a_device_whose_ticks_are_no_microseconds_is_not_told(talk: Talk) -> None:
    """A board whose clock runs at another speed, as in a replay, is measured but never told a time it cannot keep."""
    talk.device.do("real = board.clock.now")
    talk.device.do("board.clock.now = lambda: 20 * real()")
    talk.run(10)
    assert len(talk.of(TimeMeasured)) >= 3
    assert talk.of(TimeTold) == []


def test_telling_the_time_can_be_left_out(device: Device) -> None:
    """With set_time=False the device is never told the time."""
    talk = Talk(device, set_time=False)
    talk.run(5)
    assert Command.SET_TIME not in [command_of(p) for p in talk.sent]


def test_a_stepped_host_clock_is_corrected(talk: Talk) -> None:
    """When this computer's UTC is corrected, the device is told again."""
    talk.run(5)
    before = len(talk.of(TimeTold))
    offset = 2_000_000
    type(talk).utc = property(lambda self: UTC + offset + round(self.now * 1e6))  # type: ignore[method-assign,assignment]
    try:
        talk.run(10)
        assert len(talk.of(TimeTold)) > before
        utc, accuracy = talk.device.do("board.clock.utc(board.clock.now())")
        assert abs(utc - talk.utc) <= 1 << accuracy
    finally:
        type(talk).utc = property(lambda self: UTC + round(self.now * 1e6))  # type: ignore[method-assign,assignment]


def test_controllers_of_one_device_do_not_outdate_each_other(device: Device) -> None:
    """Two controllers, each on a link of its own, are both obeyed: no command of one makes one of the other stale."""
    talks = Talk(device), Talk(device)
    for _ in range(60):
        for link, talk in enumerate(talks):
            device.do(f"board.on({link})")
            talk.now = device.now / 1e6
            talk.run(0.1)
    assert [len(talk.of(Confirmed)) for talk in talks] == [1, 1]
    assert all(len(talk.of(TimeMeasured)) > 3 for talk in talks)
    assert device.do("board.control.refused") == 0
