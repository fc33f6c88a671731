"""Names looked up without standing still, under MicroPython: a real name server's answers, wrong ones, and none."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.datagrams import serving
from tests.dnsmasq import Dnsmasq
from tests.sinks.servers import free_port

Run = Callable[..., "subprocess.CompletedProcess[str]"]

# argv: the port of a name server, a name
SCRIPT = """
import json, os, sys, time
from links.names import Lookup
class Station:
    server = "127.0.0.1"
    def ifconfig(self):
        return "127.0.0.9", "255.0.0.0", "127.0.0.1", self.server
class Hal:
    station = staticmethod(Station)
    def random(self, n):
        return os.urandom(n)
Lookup.port = int(sys.argv[1])
lookup = Lookup(Hal(), sys.argv[2])
now = 0
def found(patience=20):
    # what is found, or why nothing is, while seconds pass faster than they do
    global now
    try:
        for _ in range(100 * patience):
            address = lookup.find(now)
            if address:
                return address
            now += 10_000
            time.sleep_ms(1)
    except OSError as e:
        return e.args[-1]
def say(*facts):
    print(json.dumps(facts))
"""


def run(micropython: Run, script: str, port: int, name: str = "gateway.test") -> list[Any]:
    """Run a script behind SCRIPT."""
    told = json.loads(micropython(SCRIPT + script, str(port), name).stdout)
    assert isinstance(told, list)
    return told


def reply(asked: bytes, flags: bytes = b"\x81\x80", count: int = 1, records: bytes | None = None) -> bytes:
    """Return an answer: one address, 10.1.2.3, unless told otherwise."""
    if records is None:
        records = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\1\2\3"
    return asked[:2] + flags + b"\0\1" + count.to_bytes(2) + bytes(4) + asked[12:] + records


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("gateway.test", "10.1.2.3"),
        ("alias.test", "10.1.2.3"),
        ("none.test", "no such name"),
        ("six.test", "no such name"),  # has an IPv6 address only
        ("a" * 64 + ".test", "no such name"),
        ("two..dots", "no such name"),
    ],
)
def test_a_name_server_is_asked(tmp_path: Path, micropython: Run, name: str, told: str) -> None:
    """An address is found, by way of another name too; what is none, or has none, is said to be so."""
    lines = [
        "host-record=gateway.test,10.1.2.3", "cname=alias.test,gateway.test", "host-record=six.test,fd00::1",
        "local=/test/", "local=/dots/",
    ]  # fmt: skip
    with Dnsmasq(tmp_path / "dns", free_port(), lines) as server:
        assert run(micropython, "say(found())", server.port, name) == [told]


def test_nobody_is_waited_for(micropython: Run) -> None:
    """While no server answers, each call returns at once: it is asked five times, a second apart, and then given up."""
    asked: list[bytes] = []

    def silent(question: bytes) -> list[bytes]:
        asked.append(question)
        return []

    with serving(silent) as port:
        script = (
            "a = time.ticks_ms()\nlookup.find(0)\na = time.ticks_diff(time.ticks_ms(), a)\nsay(found(), now, a < 500)"
        )
        assert run(micropython, script, port) == ["no name server answers", 5_000_000, True]
    assert len(asked) == 5
    assert len(set(asked)) == 1


def test_a_question_that_is_lost_is_asked_again(micropython: Run) -> None:
    """The third of the same questions is answered, and that is what is found."""
    asked: list[bytes] = []

    def late(question: bytes) -> list[bytes]:
        asked.append(question)
        return [reply(question)] if len(asked) == 3 else []

    with serving(late) as port:
        assert run(micropython, "say(found())", port) == ["10.1.2.3"]


def test_a_name_has_its_last_address_while_nobody_answers(micropython: Run) -> None:
    """With a server that falls silent the address before stays good; a word that there is none ends that."""
    answers = [lambda asked: [reply(asked)], *[lambda asked: []] * 5, lambda asked: [reply(asked, b"\x81\x83", 0, b"")]]
    with serving(lambda asked: answers.pop(0)(asked)) as port:
        assert run(micropython, "say(found(), found(), found())", port) == ["10.1.2.3", "10.1.2.3", "no such name"]


def test_what_is_no_answer_is_passed_over(micropython: Run) -> None:
    """Cut short, to another question, under another number, a question itself, of a server that fails: not believed."""
    long = b"\xc0\x0c\0\x10\0\1\0\0\0\x3c\xff\xff"  # a text longer than the message

    def wrong(asked: bytes) -> list[bytes]:
        good = reply(asked)
        return [
            b"", good[:1], *[good[:n] for n in range(2, len(good), 5)], good[:-1], asked, b"\xff\xff" + good[2:],
            good.replace(b"\7gateway", b"\7gatewax"), reply(asked, b"\x81\x82", 0, b""), reply(asked, b"\x81\x85"),
            reply(asked, count=65535, records=b"\0" * 11 * 20), reply(asked, count=2, records=long),
            reply(asked, count=9, records=b"\x3f" * 300),
        ]  # fmt: skip

    with serving(wrong) as port:
        assert run(micropython, "say(found())", port) == ["no name server answers"]


def test_records_of_other_kinds_are_passed_over(micropython: Run) -> None:
    """The address is found behind an alias, a text and one of another class, under names written out or pointed to."""
    records = (
        b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\7\4host\xc0\x14"
        b"\4host\xc0\x14\0\x10\0\1\0\0\0\x3c\0\5\4text"
        b"\0\0\1\0\3\0\0\0\x3c\0\4\1\1\1\1"
        b"\4host\7gateway\4test\0\0\1\0\1\0\0\0\x3c\0\4\x0a\1\2\3"
    )
    with serving(lambda asked: [reply(asked, count=4, records=records)]) as port:
        assert run(micropython, "say(found())", port) == ["10.1.2.3"]


@pytest.mark.parametrize("name", ["10.9.8.7", "gateway.local"])
def test_what_needs_no_server_is_left_as_it_is(micropython: Run, name: str) -> None:
    """An address is one already, and a neighbour's name, or any in a network without a server, is left to the stack."""
    with serving(lambda asked: [reply(asked)]) as port:
        assert run(micropython, "say(found())", port, name) == [name]
        script = "Station.server = '0.0.0.0'\na = found()\nHal.station = lambda self: None\nsay(a, found())"
        assert run(micropython, script, port) == ["gateway.test", "gateway.test"]


def test_a_lookup_that_was_ended_begins_anew(micropython: Run) -> None:
    """An answer that comes to a question nobody waits for any more is none to the next one."""
    asked: list[bytes] = []

    def second(question: bytes) -> list[bytes]:
        asked.append(question)
        return [reply(question)] if len({each[:2] for each in asked}) == 2 else []

    with serving(second) as port:
        assert run(micropython, "lookup.find(0)\nlookup.end()\nlookup.end()\nsay(found())", port) == ["10.1.2.3"]
