"""Association with a network that comes and goes, and the date of a chip that has none, under MicroPython."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.datagrams import serving
from tests.dnsmasq import Dnsmasq
from tests.sinks.servers import free_port

Run = Callable[..., "subprocess.CompletedProcess[str]"]
UTC = 1_790_000_000

# argv: the file with the air, the port of a time server
SCRIPT = """
import json, sys, time
from hal.virtual_network import WLAN
from links.wifi import Wifi
class Station(WLAN):
    tries = dead = 0
    def active(self, on):
        if self.dead:
            self.dead -= 1
            raise (RuntimeError, MemoryError, OSError)[self.dead % 3]("0x0101")
        WLAN.active(self, on)
    def connect(self, name, password):
        self.tries += 1
        WLAN.connect(self, name, password)
class Hal:
    kept = {"ssid": b"ward", "psk": b"pass word"}
    now = 1_790_000_000
    def recall(self, name):
        return self.kept.get(name)
    def random(self, n):
        return bytes(range(n))
    def station(self):
        return station
    def date(self, seconds=None):
        if seconds is not None:
            self.now = seconds
        return self.now
def air(text):
    with open(sys.argv[1], "w") as f:
        f.write(text)
S = 1_000_000
hal = Hal()
station = Station(sys.argv[1], lambda: 0)
def begin(dead=0, ntp="127.0.0.1"):
    global wifi
    station.dead = dead
    wifi = Wifi(hal, lambda: station, ntp, int(sys.argv[2]))
begin()
def until(now, limit=3000):
    # asks once a second until there is a network; returns when that was
    while now < limit:
        online = wifi.online(now * S)
        if online is True:
            break
        now += not online
    return now
def say(*facts):
    print(json.dumps(facts))
"""


def run(folder: Path, micropython: Run, script: str, port: int = 9) -> list[Any]:
    """Run a script behind SCRIPT."""
    told = json.loads(micropython(SCRIPT + script, str(folder / "air"), str(port)).stdout)
    assert isinstance(told, list)
    return told


def test_a_radio_that_does_not_start_is_tried_again(tmp_path: Path, micropython: Run) -> None:
    """Neither the start of the link nor a later try fails because of it, and the network is joined once it does."""
    script = "begin(3)\nair('ward\\npass word')\na = until(0)\nsay(a, station.tries, station.dead)"
    assert run(tmp_path, micropython, script) == [46, 1, 0]


def test_the_radio_starts_and_stops_announced(tmp_path: Path, micropython: Run) -> None:
    """A call that starts or stops the radio comes after one that says so and does nothing; any other says nothing."""
    script = """
air('ward\\npass word')
asks = (lambda: wifi.online(0), wifi.stop)
said = []
for ask in (1, 1, 1, 0, 0, 0, 1, 1):
    told = asks[ask]()
    said.append((told, station._active))
say(*said)
"""
    long = ["long", 0]
    stopped, started = [[long, True], [None, False], [None, False]], [[long, False], [False, True], [True, True]]
    assert run(tmp_path, micropython, script) == [*stopped, *started, *stopped[:2]]


def test_it_associates_again_whenever_the_network_was_lost(tmp_path: Path, micropython: Run) -> None:
    """Nobody is online without the network; it is tried later and later, and joined whenever it is there."""
    script = (
        "a = until(0, 1000)\nb = station.tries\nair('ward\\npass word')\nc = until(1000)\n"
        "air('')\nd = wifi.online((c + 1) * S)\nair('ward\\npass word')\ne = until(c + 2)\nsay(a, b, c, d, e - c)"
    )
    assert run(tmp_path, micropython, script) == [1000, 7, 1000, False, 2]


def test_a_wrong_password_is_no_network(tmp_path: Path, micropython: Run) -> None:
    """With another password, or none provisioned, the board stays offline and goes on."""
    script = "air('ward\\nother')\na = until(0, 100)\nhal.kept.clear()\nb = until(100, 200)\nsay(a, b)"
    assert run(tmp_path, micropython, script) == [100, 200]


def _answer(asked: bytes, first: int = 0x24, stratum: int = 2, nonce: bytes | None = None, utc: int = UTC) -> bytes:
    echo = asked[40:48] if nonce is None else nonce
    moment = ((utc + 2_208_988_800) & 0xFFFFFFFF).to_bytes(4) + bytes(4)
    return bytes([first, stratum]) + bytes(22) + echo + moment + moment


DATE = """
air('ward\\npass word')
hal.now = 946_684_800 + 3
online = False
for now in range(40):
    online = online or wifi.online(now * S // 4)
    time.sleep_ms(5)
say(online, hal.now)
"""


def test_a_chip_without_a_date_asks_for_it(tmp_path: Path, micropython: Run) -> None:
    """A chip that was without power is online only once it has the date, also in the era that begins in 2036."""
    for utc in (UTC, 2_100_000_000):
        with serving(lambda asked, utc=utc: [_answer(asked, utc=utc)]) as port:  # type: ignore[misc]
            assert run(tmp_path, micropython, DATE, port) == [True, utc]


DOUBT = """
air('ward\\npass word')
hal.now = 2_200_000_000
until(0)
wifi.doubt()
off = 0
for now in range(200):
    off += wifi.online(now * S // 4) is not True
    time.sleep_ms(5)
say(off, hal.now)
"""


def test_a_date_that_is_doubted_is_asked_for_again(tmp_path: Path, micropython: Run) -> None:
    """A chip with a wrong date goes by it until it is told another, and then asks no more."""
    asked: list[bytes] = []

    def late(question: bytes) -> list[bytes]:
        asked.append(question)
        return [_answer(question)] if len(asked) > 1 else []

    with serving(late) as port:
        assert run(tmp_path, micropython, DOUBT, port) == [0, UTC]
        assert len(asked) == 2


def test_an_old_answer_is_none(tmp_path: Path, micropython: Run) -> None:
    """An answer that nobody read while the link was up for an hour does not set the date back: it is asked for anew."""
    asked: list[bytes] = []

    def once(question: bytes) -> list[bytes]:
        asked.append(question)
        return [_answer(question)] if len(asked) == 1 else []

    with serving(once) as port:
        script = DOUBT.replace("for now in range(200):", "for now in (1, 14_400, 14_401, 14_402):").replace(
            "(5)", "(300)"
        )
        assert run(tmp_path, micropython, script, port) == [0, 2_200_000_000]
        assert len(asked) == 2


def test_what_is_no_answer_gives_no_date(tmp_path: Path, micropython: Run) -> None:
    """Answers that are short, from no server, unsynchronised or to another question leave the chip as it is."""
    with serving(
        lambda asked: [
            b"",
            _answer(asked)[:47],
            _answer(asked, first=0x23),
            _answer(asked, first=0xE4),
            _answer(asked, stratum=0),
            _answer(asked, stratum=16),
            _answer(asked, nonce=b"12345678"),
        ]
    ) as port:
        assert run(tmp_path, micropython, DATE, port) == [False, 946_684_803]


def test_a_question_that_is_lost_is_asked_again(tmp_path: Path, micropython: Run) -> None:
    """A chip whose first question got no answer, or its answer was lost, asks again, and then has its date."""
    asked: list[bytes] = []

    def late(question: bytes) -> list[bytes]:
        asked.append(question)
        return [_answer(question)] if len(asked) > 2 else []

    with serving(late) as port:
        script = DATE.replace("range(40)", "range(80)")
        assert run(tmp_path, micropython, script, port) == [True, UTC]
        assert len(asked) == 3


def test_a_date_that_no_chip_can_hold_is_none(tmp_path: Path, micropython: Run) -> None:
    """A server that says 2068 or later, which chips that count from 2000 fail at, is not believed."""
    for utc, held in ((3_094_168_447, True), (3_094_168_448, False), (1_735_689_599 + (1 << 32), False)):
        with serving(lambda asked, utc=utc: [_answer(asked, utc=utc)]) as port:  # type: ignore[misc]
            assert run(tmp_path, micropython, DATE, port) == [held, utc if held else 946_684_803]


def test_a_time_server_has_a_name(tmp_path: Path, micropython: Run) -> None:
    """Its address is asked for in the background; until there is one, and its answer, the chip has no date."""
    with serving(lambda asked: [_answer(asked)]) as port:
        script = (
            "from links.names import Lookup\nbegin(ntp='time.test')\n"
            "WLAN.ifconfig = lambda self: ('', '', '', '127.0.0.1')\nLookup.port = {}\n" + DATE
        )
        assert run(tmp_path, micropython, script.format(free_port()), port) == [False, 946_684_803]
        with Dnsmasq(tmp_path / "dns", free_port(), ["host-record=time.test,127.0.0.1"]) as names:
            assert run(tmp_path, micropython, script.format(names.port), port) == [True, UTC]
        with Dnsmasq(tmp_path / "none", free_port(), ["local=/test/", "log-queries", "log-facility=-"]) as names:
            assert run(tmp_path, micropython, script.format(names.port), port) == [False, 946_684_803]
            assert 1 <= names.log.count("query[A] time.test") <= 3  # in ten seconds
