"""Vectors of section 10: commands and replies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .blocks import TICKS
from .frames import UTC
from .independent import ALICE, BOB, ES256, Table, Vector, accept, encode, mac0, refuse, refuse_all

NONCE = bytes.fromhex("0123456789abcdef")
STATE = {"secret": ALICE.secret, "thumbprint": ALICE.thumbprint, "boot": 7, "nonce": NONCE, "counter": 41}
TRUST = {"secret": ALICE.secret, "thumbprint": ALICE.thumbprint}
COMMAND_AAD, REPLY_AAD = b"vitalwire/1 command", b"vitalwire/1 reply"


def closed(number: int, argument: Any = None, counter: int = 42, more: dict[int, Any] | None = None) -> dict[int, Any]:
    """Return a closed command's map."""
    keys: dict[int, Any] = {1: number, 2: ALICE.thumbprint[:8], 3: 7, 4: NONCE, 5: counter}
    keys.update({6: argument} if argument is not None else {})
    keys.update(more or {})
    return dict(sorted(keys.items(), key=lambda pair: encode(pair[0])))


OPEN: dict[str, dict[int, Any]] = {
    "identify": {1: 1},
    "describe": {1: 2},
    "identify with an unknown key": {1: 1, 50: [1]},
    "identify of 32 bytes": {1: 1, 50: bytes(25)},
}
COMMANDS: dict[str, dict[int, Any]] = {
    "acknowledge one": closed(3, [[1, 1]]),
    "acknowledge 16 ranges": closed(3, [[10 * each + 1, 10 * each + 9] for each in range(16)]),
    "acknowledge everything": closed(3, [[1, 2**32 - 2]]),
    "ping": closed(4),
    "ping with a far counter": closed(4, counter=2**64 - 1),
    "ping with unknown keys": closed(4, more={99: "skipped", -1: [1]}),
    "set time": closed(5, [TICKS, UTC, 10]),
    "set time as badly as can be": closed(5, [0, UTC, 63]),
    "start channels": closed(6, [0, 5]),
    "stop all channels": closed(7, list(range(8))),
    "log level": closed(8, 1),
    "reboot": closed(9),
    "repl": closed(10),
}
HINTS: dict[str, dict[int, Any]] = {
    "hint: refused, unreadable": {1: 0, 7: 1},
    "hint: bad MAC": {1: 3, 7: 2},
    "hint: described": {1: 2, 7: 0},
    "hint: identified": {
        1: 1,
        3: 7,
        4: NONCE,
        5: 41,
        7: 0,
        8: TICKS,
        9: ALICE.thumbprint,
        10: "0.1.0",
        11: "virtual",
        12: "vital-0001",
    },
    "hint: unknown keys": {1: 2, 7: 10, 99: 1},
}
REPLIES: dict[str, dict[int, Any]] = {
    "reply to ping": {1: 4, 4: NONCE, 5: 42, 7: 0, 8: TICKS},
    "reply: late ticks": {1: 5, 4: NONCE, 5: 2**64 - 1, 7: 0, 8: 2**63 - 1},
    "reply: bad argument": {1: 6, 4: NONCE, 5: 42, 7: 8},
    "reply: unknown keys": {1: 3, 4: NONCE, 5: 42, 7: 0, 1000: ["kept"], -1: {}},
}


def accepted() -> Iterator[Vector]:
    """Section 10."""
    for name, keys in OPEN.items():
        yield accept(f"open {name}", "command", encode(keys), {"message": keys, "closed": False}, STATE)
    for name, keys in COMMANDS.items():
        yield accept(
            f"closed {name}", "command", mac0(encode(keys), COMMAND_AAD), {"message": keys, "closed": True}, STATE
        )
    for name, keys in HINTS.items():
        yield accept(name, "reply", encode(keys), {"message": keys, "closed": False}, TRUST)
    for name, keys in REPLIES.items():
        yield accept(name, "reply", mac0(encode(keys), REPLY_AAD), {"message": keys, "closed": True}, TRUST)


# ---------------------------------------------------------------- refused

GONE = object()
PING, PONG = COMMANDS["ping"], REPLIES["reply to ping"]
CLOSED, ANSWER = mac0(encode(PING), COMMAND_AAD), mac0(encode(PONG), REPLY_AAD)


def changed(keys: dict[int, Any], change: dict[int, Any]) -> bytes:
    """Return an encoded map with keys changed or gone."""
    return encode({number: value for number, value in {**keys, **change}.items() if value is not GONE})


def ask(change: dict[int, Any], *more: Any, aad: bytes = COMMAND_AAD, **options: Any) -> bytes:
    """Return a closed ping with keys changed."""
    return mac0(changed(PING, change), aad, *more, **options)


def answer(change: dict[int, Any], *more: Any, aad: bytes = REPLY_AAD, **options: Any) -> bytes:
    """Return the reply to a ping with keys changed."""
    return mac0(changed(PONG, change), aad, *more, **options)


def padded(make: Callable[[dict[int, Any]], bytes]) -> bytes:
    """Return a message of 513 bytes."""
    return make({99: bytes(300 + 513 - len(make({99: bytes(300)})))})


ASKED: Table = {
    "bad-form": {
        "nothing": b"",
        "cut": CLOSED[:-1],
        "a byte more": CLOSED + b"\0",
        "the tag of a signature": b"\xd2" + CLOSED[1:],
        "33 bytes in the open": encode({1: 1, 50: bytes(26)}),
        "no tag": CLOSED[1:],
        "513 bytes": padded(ask),
        "another algorithm": ask({}, protected=encode({1: 4})),
        "an unprotected header": ask({}, unprotected={4: b"1"}),
        "crit": ask({}, protected=encode({1: 5, 2: [1]})),
        "an array in the open": encode([1]),
        "a text in the open": encode("identify"),
        "true as a key": b"\xa1\xf5\x01",
        "keys out of order": bytes.fromhex("a203000101"),
        "a float inside": mac0(encode({**PING, 99: 1.5}), COMMAND_AAD),
        "no command": ask({1: GONE}),
        "no nonce": ask({4: GONE}),
        "no counter": ask({5: GONE}),
        "true as counter": ask({5: True}),
        "a device of 16 bytes": ask({2: bytes(16)}),
        "a text as boot": ask({3: "7"}),
        "no command in the open": encode({7: 1}),
        "true as command in the open": encode({1: True}),
        "an array in a MAC": mac0(encode([4]), COMMAND_AAD),
    },
    "bad-mac": {
        "a bit of the payload": CLOSED[:12] + bytes([CLOSED[12] ^ 1]) + CLOSED[13:],
        "the last bit": CLOSED[:-1] + bytes([CLOSED[-1] ^ 1]),
        "another secret": ask({}, BOB),
        "a reply's external_aad": ask({}, aad=REPLY_AAD),
        "no external_aad": ask({}, aad=b""),
        "a frame's external_aad": ask({}, aad=b"vitalwire/1 frame"),
        "a reply sent back": ANSWER,
        "zeros": CLOSED[:-32] + bytes(32),
    },
    "wrong-device": {"another device": ask({2: BOB.thumbprint[:8]})},
    "wrong-boot": {"an earlier boot": ask({3: 6}), "a later boot": ask({3: 8})},
    "wrong-nonce": {"zeros": ask({4: bytes(8)}), "one bit": ask({4: bytes.fromhex("0123456789abcdee")})},
    "stale-counter": {"the last one again": ask({5: 41}), "an old one": ask({5: 1})},
    "unknown-command": {"99": ask({1: 99}), "255": ask({1: 255})},
    "bad-argument": {
        "acknowledge without ranges": ask({1: 3}),
        "acknowledge a number": ask({1: 3, 6: 5}),
        "acknowledge 17 ranges": ask({1: 3, 6: [[10 * each + 1, 10 * each + 2] for each in range(17)]}),
        "ranges that touch": ask({1: 3, 6: [[1, 2], [3, 4]]}),
        "ranges that overlap": ask({1: 3, 6: [[1, 5], [4, 9]]}),
        "ranges that fall": ask({1: 3, 6: [[10, 11], [1, 2]]}),
        "a range from its end": ask({1: 3, 6: [[9, 5]]}),
        "a range from 0": ask({1: 3, 6: [[0, 5]]}),
        "a range of true": ask({1: 3, 6: [[True, 5]]}),
        "a range to 2^32-1": ask({1: 3, 6: [[1, 2**32 - 1]]}),
        "a range of three": ask({1: 3, 6: [[1, 2, 3]]}),
        "a time of two": ask({1: 5, 6: [1, 2]}),
        "an accuracy of 64": ask({1: 5, 6: [1, 2, 64]}),
        "a time before 1970": ask({1: 5, 6: [1, -1, 3]}),
        "start without channels": ask({1: 6}),
        "start channel 32": ask({1: 6, 6: [32]}),
        "stop a text": ask({1: 7, 6: "0"}),
        "an accuracy below 0": ask({1: 5, 6: [1, TICKS, -1]}),
        "a time of arrays": ask({1: 5, 6: [[1], [2], [3]]}),
        "ranges of arrays": ask({1: 3, 6: [[[1], [2]]]}),
        "start an array": ask({1: 6, 6: [[0]]}),
        "a log level as array": ask({1: 8, 6: [1]}),
        "log level 5": ask({1: 8, 6: 5}),
        "log level 0": ask({1: 8, 6: 0}),
        "log level true": ask({1: 8, 6: True}),
    },
    "not-allowed": {
        "ping in the open": encode({1: 4}),
        "acknowledge in the open": encode({1: 3, 6: [[1, 5]]}),
        "reboot in the open": encode({1: 9}),
    },
}
ANSWERED: Table = {
    "truncated": {"cut": ANSWER[:-1], "nothing": b""},
    "trailing": {"a byte more": ANSWER + b"\0"},
    "tag": {"that of a signature": b"\xd2" + ANSWER[1:]},
    "oversized": {"513 bytes": padded(answer)},
    "unprotected": {"a key id": answer({}, unprotected={4: b"1"})},
    "algorithm": {"HMAC 256/64": answer({}, protected=encode({1: 4})), "ES256": answer({}, protected=ES256)},
    "crit": {"alg itself": answer({}, protected=encode({1: 5, 2: [1]}))},
    "mac": {
        "a bit of the payload": ANSWER[:12] + bytes([ANSWER[12] ^ 1]) + ANSWER[13:],
        "another device": answer({}, BOB),
        "a command's external_aad": answer({}, aad=COMMAND_AAD),
        "no external_aad": answer({}, aad=b""),
        "16 bytes": answer({}, size=16),
        "the command sent back": CLOSED,
    },
    "missing-key": {
        "no result": answer({7: GONE}),
        "no nonce": answer({4: GONE}),
        "no counter": answer({5: GONE}),
        "no command": answer({1: GONE}),
        "a hint without result": encode({1: 2}),
    },
    "type": {
        "true as result": answer({7: True}),
        "ticks as text": answer({8: "1"}),
        "a map that is an array": mac0(encode([1]), REPLY_AAD),
        "a hint with true": encode({1: True, 7: 0}),
    },
    "range": {
        "a nonce of 7 bytes": answer({4: bytes(7)}),
        "counter 0": answer({5: 0}),
        "ticks 2^63": answer({8: 2**63}),
        "a thumbprint of 31 bytes in a hint": encode({1: 1, 7: 0, 9: bytes(31)}),
        "result -1": answer({7: -1}),
    },
}


def refused() -> Iterator[Vector]:
    """Section 10."""
    yield from refuse_all("command", ASKED, STATE)
    bare = {name: value for name, value in STATE.items() if name != "secret"}
    yield refuse("to a device without a secret", "command", CLOSED, "not-provisioned", bare)
    yield from refuse_all("reply", ANSWERED, TRUST)
