"""Commands on the device: what is wrong, stale, replayed or forged is refused with its reason and changes nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from tests.linkdevice import SECRET, THUMBPRINT, Device

from vitalwire import cbor, crypto
from vitalwire.control import Identity, Reply, closed_command, open_command, parse_identity, parse_reply
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Command, CommandKey, Result

KEY = crypto.command_key(SECRET, THUMBPRINT)
UTC = 1_790_000_000_000_000
NONCE = b"\1" * 8


@pytest.fixture
def device() -> Iterator[Device]:
    """A provisioned device with five frames nobody acknowledged, in its first boot."""
    device = Device()
    device.do("[board.frame() for _ in range(5)]")
    yield device
    device.close()


def identity(device: Device) -> Identity:
    """Return who the device says it is."""
    return parse_identity(parse_reply(device.command(open_command(Command.IDENTIFY))))


def ask(device: Device, command: Command, argument: Any = None, counter: int = 1) -> Reply:
    """Return the reply to a closed command as a controller would make it."""
    me = Identity(THUMBPRINT, 1, NONCE, 0, 0, "", "", "")
    return parse_reply(device.command(closed_command(KEY, me, counter, command, argument)), KEY)


def state(device: Device) -> Any:
    """Return everything that a command could change."""
    return device.do(
        "(board.control.counter, board.journal.acked, board.journal.unacked(), board.clock.utc(0), board.asked,"
        " board.link.level, board.link.repl_requested, board.link.window.resent, board.steps)"
    )


def fields(**changes: Any) -> dict[int, Any]:
    """Return the map of a good closed ping, changed by key name; `None` takes a key out."""
    good: dict[str, Any] = {
        "COMMAND": Command.PING,
        "DEVICE": THUMBPRINT[:8],
        "BOOT": 1,
        "NONCE": NONCE,
        "COUNTER": 7,
    }
    return {CommandKey[name]: value for name, value in (good | changes).items() if value is not None}


def closed(aad: bytes = spec.AAD_COMMAND, key: bytes = KEY, **changes: Any) -> bytes:
    """Return a closed command with such a map."""
    return crypto.mac0(key, cbor.encode(fields(**changes)), aad)


def test_identify_tells_what_a_controller_needs(device: Device) -> None:
    """The answer to IDENTIFY holds thumbprint, boot, nonce, last counter, ticks and names, without a MAC."""
    device.now = 5_000_000
    assert identity(device) == Identity(THUMBPRINT, 1, NONCE, 0, 5_000_000, "1.0", "virtual", "bench")
    ask(device, Command.PING, counter=9)
    assert identity(device).counter == 9


def test_a_closed_command_is_carried_out_and_its_reply_has_a_mac(device: Device) -> None:
    """PING is answered under the key, with its counter, this boot's nonce and the device's ticks."""
    device.now = 3_000_000
    reply = ask(device, Command.PING, counter=3)
    assert (reply.closed, reply.result, reply.counter, reply.nonce) == (True, Result.OK, 3, NONCE)
    assert reply.ticks == 3_000_000


def test_the_key_differs_by_device() -> None:
    """The same secret on a device with another thumbprint makes another key."""
    device = Device()
    device.do(f"board.thumbprint = {bytes(32)!r}")
    device.do("board.boot(b'\\1' * 8)")
    reply = parse_reply(device.command(closed(DEVICE=bytes(8), BOOT=2)))
    assert reply.result == Result.BAD_MAC
    device.close()


def test_an_acknowledgement_frees_exactly_its_frames(device: Device) -> None:
    """ACKNOWLEDGE takes the named frames off the journal's list and no other, out of order too."""
    assert ask(device, Command.ACKNOWLEDGE, ((2, 3), (5, 5))).result == Result.OK
    left = [device.do(f"board.journal.next_unacked({after})") for after in (0, 1, 4)]
    assert left == [1, 4, 0]


def test_actions_reach_the_app(device: Device) -> None:
    """START, STOP, LOG_LEVEL, REBOOT and REPL do what they say, once each."""
    assert ask(device, Command.START, (0, 7), 1).result == Result.OK
    assert ask(device, Command.STOP, (3,), 2).result == Result.OK
    assert ask(device, Command.LOG_LEVEL, 4, 3).result == Result.OK
    assert ask(device, Command.REBOOT, None, 4).result == Result.OK
    assert device.do("board.asked") == [("start", [0, 7]), ("stop", [3]), ("reboot", None)]
    assert device.do("(board.link.level, board.link.repl_requested, board.link.idle())") == (4, False, True)
    assert ask(device, Command.REPL, None, 5).result == Result.OK
    assert device.do("(board.link.repl_requested, board.link.idle())") == (True, True)


def test_the_repl_can_be_closed_for_good() -> None:
    """With repl=False neither the command nor REPL bytes lead to the REPL."""
    device = Device(repl=False)
    assert ask(device, Command.REPL).result == Result.NOT_ALLOWED
    device.bytes(b"\r\x03\r\x01\x03\x03", after=60_000_000)
    assert device.do("board.link.repl_requested") is False
    device.close()


def test_setting_the_time_sets_it(device: Device) -> None:
    """SET_TIME fixes UTC at a tick, is answered with ticks, and is told to the app as a step."""
    device.now = 2_000_000
    reply = ask(device, Command.SET_TIME, (1_000_000, UTC, 10))
    assert (reply.result, reply.ticks) == (Result.OK, 2_000_000)
    assert device.do("board.clock.utc(1000000)") == (UTC, 10)
    assert device.do("board.steps") == [(UTC, 10)]


REFUSED: list[tuple[Result, bytes]] = [
    (Result.BAD_FORM, b""),
    (Result.BAD_FORM, b"\x00"),
    (Result.BAD_FORM, b"\xa1\x01\x18\x01"),
    (Result.BAD_FORM, b"\xbf\x01\x01\xff"),
    (Result.BAD_FORM, cbor.encode({1: 1, 50: bytes(40)})),
    (Result.BAD_FORM, closed()[:-1]),
    (Result.BAD_FORM, closed() + b"\0"),
    (Result.BAD_FORM, closed()[:3] + b"\xa1\1\4" + closed()[6:]),
    (Result.BAD_FORM, closed(COUNTER=None)),
    (Result.BAD_FORM, closed(COUNTER=True)),
    (Result.BAD_FORM, closed(COUNTER=-1)),
    (Result.BAD_FORM, closed(NONCE=None)),
    (Result.BAD_FORM, closed(NONCE=b"\1" * 7)),
    (Result.BAD_FORM, closed(DEVICE=THUMBPRINT)),
    (Result.BAD_FORM, closed(BOOT="1")),
    (Result.BAD_FORM, crypto.mac0(KEY, b"\x81\x04", spec.AAD_COMMAND)),
    (Result.BAD_FORM, crypto.mac0(KEY, b"\xff", spec.AAD_COMMAND)),
    (Result.BAD_MAC, closed(key=bytes(32))),
    (Result.BAD_MAC, closed(aad=spec.AAD_REPLY)),
    (Result.BAD_MAC, closed(aad=spec.AAD_FRAME)),
    (Result.BAD_MAC, closed()[:-1] + bytes([closed()[-1] ^ 1])),
    (Result.BAD_MAC, closed(COMMAND=Command.ACKNOWLEDGE, ARGUMENT=[[1, 5]], key=bytes(32))),
    (Result.WRONG_DEVICE, closed(DEVICE=bytes(8))),
    (Result.WRONG_BOOT, closed(BOOT=2)),
    (Result.WRONG_NONCE, closed(NONCE=bytes(8))),
    (Result.NOT_ALLOWED, cbor.encode({1: int(Command.ACKNOWLEDGE), 6: [[1, 5]]})),
    (Result.NOT_ALLOWED, cbor.encode({1: int(Command.REPL)})),
    (Result.UNKNOWN_COMMAND, cbor.encode({1: 77})),
]


@pytest.mark.parametrize(("result", "body"), REFUSED, ids=[f"{r.name}-{n}" for n, (r, _) in enumerate(REFUSED)])
def test_what_is_wrong_is_refused_and_changes_nothing(device: Device, result: Result, body: bytes) -> None:
    """Each wrong command gets its result, is counted, and leaves the device as it was."""
    before = state(device)
    reply = parse_reply(device.command(body), KEY)
    assert reply.result == result
    assert reply.closed == (result in PROVEN)
    assert state(device) == before
    assert device.do("board.control.take_refusals()") == (int(result), 1)
    assert device.do("board.control.take_refusals()") is None


PROVEN = (Result.WRONG_DEVICE, Result.WRONG_BOOT, Result.WRONG_NONCE)
BAD_ARGUMENTS: list[tuple[Command, Any]] = [
    *((Command.ACKNOWLEDGE, a) for a in (None, 5, [], [[]], [[1]], [[1, 2, 3]], [[0, 1]], [[2, 1]], [[True, 2]])),
    *((Command.ACKNOWLEDGE, a) for a in ([[1, 2], [3, 4]], [[1, 3], [2, 4]], [[4, 5], [1, 2]], [1, 2], [[[1], 2]])),
    (Command.ACKNOWLEDGE, [[1, 6]]),  # frame 6 was never made
    (Command.ACKNOWLEDGE, [[1, 1], [5, 2**32]]),
    (Command.ACKNOWLEDGE, [[3 * n + 1, 3 * n + 1] for n in range(17)]),
    *((Command.SET_TIME, a) for a in (None, [], [0, UTC], [0, UTC, 64], [-1, UTC, 3], [0, UTC, True], [0, "x", 3])),
    (Command.SET_TIME, [0, 1_500_000_000_000_000, 3]),  # 2017
    (Command.SET_TIME, [10**12, UTC, 3]),  # a tick that has not been
    (Command.SET_TIME, [2**63, UTC, 3]),
    *((command, a) for command in (Command.START, Command.STOP) for a in (None, [], 1, [-1], [32], [True], ["0"], [8])),
    *((Command.LOG_LEVEL, a) for a in (None, 0, 5, True, "1", [1])),
]


def test_bad_arguments_are_refused_and_change_nothing(device: Device) -> None:
    """A genuine command with a bad argument does nothing but use up its counter."""
    device.packets()
    for counter, (command, argument) in enumerate(BAD_ARGUMENTS, 1):
        before = state(device)
        reply = ask(device, command, argument, counter)
        assert (reply.closed, reply.result) == (True, Result.BAD_ARGUMENT), (command, argument)
        assert state(device) == (counter, *before[1:]), (command, argument)
    assert ask(device, Command(10), None, 1).result == Result.STALE_COUNTER


def test_a_replayed_acknowledgement_is_refused(device: Device) -> None:
    """The same bytes a second time are stale, and after a reboot of another boot: nothing is erased by them."""
    me = Identity(THUMBPRINT, 1, NONCE, 0, 0, "", "", "")
    body = closed_command(KEY, me, 5, Command.ACKNOWLEDGE, ((1, 1),))
    assert parse_reply(device.command(body), KEY).result == Result.OK
    assert parse_reply(device.command(body), KEY).result == Result.STALE_COUNTER
    device.do("board.boot(b'\\2' * 8)")
    before = state(device)
    assert parse_reply(device.command(body), KEY).result == Result.WRONG_BOOT
    assert state(device) == before


def test_an_unknown_closed_command_is_refused_under_the_mac(device: Device) -> None:
    """A genuine command with a number not known here is answered UNKNOWN_COMMAND, closed."""
    reply = parse_reply(device.command(closed(COMMAND=99)), KEY)
    assert (reply.closed, reply.command, reply.result) == (True, 99, Result.UNKNOWN_COMMAND)


def test_unknown_keys_are_skipped(device: Device) -> None:
    """Keys that are not known here do not stop a command, closed or open."""
    body = crypto.mac0(KEY, cbor.encode({**fields(), 99: [1, "x"]}), spec.AAD_COMMAND)
    assert parse_reply(device.command(body), KEY).result == Result.OK
    assert parse_reply(device.command(cbor.encode({1: 2, 99: 1}))).result == Result.OK


def test_without_a_secret_nothing_closed_is_believed() -> None:
    """A device nobody provisioned answers NOT_PROVISIONED, also to a MAC under an empty or zero key."""
    device = Device(secret=None)
    for key in (KEY, b"", bytes(32)):
        assert parse_reply(device.command(closed(key=key))).result == Result.NOT_PROVISIONED
    assert identity(device).thumbprint == THUMBPRINT
    device.close()


def test_any_bytes_get_an_answer_and_change_nothing(device: Device) -> None:
    """Seeded noise and mutations of a genuine command never raise on the device and never change it."""
    rng = random.Random(4)
    genuine = closed(COMMAND=Command.ACKNOWLEDGE, ARGUMENT=[[1, 5]])
    before = state(device)
    for _ in range(400):
        body = bytearray(genuine)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(body))
            body[at : at + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
        if bytes(body) == genuine:
            continue
        reply = parse_reply(device.command(bytes(body)), KEY)
        assert reply.result in (Result.BAD_FORM, Result.BAD_MAC, Result.NOT_ALLOWED, Result.UNKNOWN_COMMAND)
        assert parse_reply(device.command(rng.randbytes(rng.randint(0, 40)))).result != Result.OK
    assert state(device) == before


def test_a_reply_is_short_enough(device: Device) -> None:
    """The longest reply, a closed IDENTIFY with three names of full length, fits a command packet."""
    device.do("board.control._texts = ('x' * 64, 'y' * 64, 'z' * 64)")
    reply = parse_reply(device.command(closed(COMMAND=Command.IDENTIFY, COUNTER=2**63)), KEY)
    assert parse_identity(parse_reply(device.command(open_command(Command.IDENTIFY)))).name == "z" * 64
    assert reply.fields[CommandKey.NAME] == "z" * 64
