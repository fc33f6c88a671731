"""What a controller asks a device, in which order and how often: every answer lost or late, every reboot survived."""

from __future__ import annotations

import pytest
from tests.linkdevice import SECRET, THUMBPRINT, Device
from tests.sdk.control.talk import KEY, Talk, command_of

from vitalwire import cbor, crypto
from vitalwire.control import Answered, Confirmed, Identified, Refused, TimeMeasured, TimeTold, Unanswered
from vitalwire.control.controller import MAX_ASKED
from vitalwire.errors import UsageError
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Command, CommandKey, Result


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
