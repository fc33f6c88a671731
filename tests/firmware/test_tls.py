"""The TLS stream under MicroPython against this computer's OpenSSL: who is believed, when it is tried again."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from tests.firmware.desk import Desk, Run
from tests.papers import Authority
from tests.sinks.servers import free_port

# Works until the stream is up and the echo of what it says has come, or it fails.
ONCE = """
buf = bytearray(16)
end = time.ticks_add(time.ticks_ms(), 10000)
echo = b""
asked = False
while not stream.why and len(echo) < 6 and time.ticks_diff(end, time.ticks_ms()) > 0:
    stream.step(time.ticks_us())
    if stream.up and not asked:
        asked = stream.write(b"hello", 5)
    n = stream.readinto(buf)
    if n:
        echo += buf[:n]
    time.sleep_ms(1)
print(json.dumps([stream.up, echo.decode(), stream.why]))
"""
# The same, after there was no memory for the first connection.
FULL = """
class Full:
    def wrap_socket(self, socket, **how):
        raise MemoryError
context, stream._context = stream._context, Full()
end = time.ticks_add(time.ticks_ms(), 10000)
whys = []
while not stream.up and time.ticks_diff(end, time.ticks_ms()) > 0:
    stream.step(time.ticks_us())
    if stream.why not in whys:
        whys.append(stream.why)
        stream._context = context if stream.why else stream._context
    time.sleep_ms(1)
print(json.dumps([stream.up, whys]))
"""
TIMES = """
tries = []
for now in range(0, 400_000_000, 50_000):
    if stream.step(now) == ("long", 0):
        tries.append(now)
print(json.dumps(tries))
"""


class Echo:
    """A server that demands a certificate and sends back what it gets."""

    def __init__(self, certificate: tuple[Path, Path], authority: Authority) -> None:
        self.got = b""
        self._context = authority.demands(certificate)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            with peer, contextlib.suppress(OSError), self._context.wrap_socket(peer, server_side=True) as secure:
                while data := secure.recv(100):
                    self.got += data
                    secure.sendall(data)

    def close(self) -> None:
        """End it."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)


class ServerDesk(Desk):
    """A desk with servers, and another authority that nobody on it trusts."""

    def __init__(self, folder: Path, micropython: Run) -> None:
        super().__init__(folder, "tls", micropython)
        self.others = Authority(folder / "others", "others")
        self.servers: list[Echo] = []

    def serve(self, certificate: tuple[Path, Path]) -> Echo:
        """Start a server with this certificate."""
        self.servers.append(Echo(certificate, self.authority))
        return self.servers[-1]


@pytest.fixture
def desk(tmp_path: Path, micropython: Run) -> Iterator[ServerDesk]:
    """A desk of the test's own; its servers end with it."""
    made = ServerDesk(tmp_path, micropython)
    yield made
    for server in made.servers:
        server.close()


def test_both_sides_prove_themselves(desk: ServerDesk) -> None:
    """With certificates of one authority bytes go both ways; the device's is for the key that signs frames."""
    server = desk.serve(desk.authority.server())
    assert desk.run(ONCE, server.port) == [True, "\0hello", ""]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("expired", "validity has expired"),
        ("others", "not correctly signed"),
        ("elsewhere", "does not match"),
    ],
)
def test_a_wrong_server_hears_nothing(desk: ServerDesk, what: str, words: str) -> None:
    """A server whose certificate is out of date, of another authority or for another name gets not one byte."""
    certificates = {
        "expired": lambda: desk.authority.server(days=-1),
        "others": desk.others.server,
        "elsewhere": lambda: desk.authority.server("elsewhere"),
    }
    server = desk.serve(certificates[what]())
    up, echo, why = desk.run(ONCE, server.port)
    assert (up, echo) == (False, "")
    assert words in str(why)
    assert server.got == b""


@pytest.mark.parametrize("what", ["expired", "others"])
def test_a_wrong_device_is_refused(desk: ServerDesk, what: str) -> None:
    """A device whose certificate is out of date or of another authority is not let in, and knows."""
    files = desk.authority.device(desk.identity, days=-1) if what == "expired" else desk.others.device(desk.identity)
    desk.put({"client.der": files["client.der"]})
    server = desk.serve(desk.authority.server())
    _, echo, why = desk.run(ONCE, server.port)
    assert echo == ""
    assert why
    assert server.got == b""


@pytest.mark.parametrize(("what", "times"), [("good", 0), ("expired", 1), ("absent", 0)])
def test_a_refused_certificate_lets_the_date_be_doubted(desk: ServerDesk, what: str, times: int) -> None:
    """A chip that has the wrong date refuses everybody: so it asks for it again, but not for want of a server."""
    port = desk.serve(desk.authority.server(days=-1 if what == "expired" else 30)).port if what != "absent" else 9
    script = "doubts = []\nlink.doubt = lambda: doubts.append(1)\n" + ONCE
    told = desk.run(script.replace("stream.up, echo.decode(), stream.why", "stream.up, len(doubts)"), port)
    assert told == [what == "good", times]


def test_without_memory_for_a_connection_it_is_tried_again(desk: ServerDesk) -> None:
    """The board goes on, says what was missing, and is connected once there is enough."""
    server = desk.serve(desk.authority.server())
    assert desk.run(FULL, server.port) == [True, ["", "localhost: no memory"]]


@pytest.mark.parametrize("damage", [None, b"", b"\x30\x82"])
def test_without_certificates_nothing_is_tried(desk: ServerDesk, damage: bytes | None) -> None:
    """A device without its certificates, or with damaged ones, connects to nobody, and does not stop for it."""
    if damage is None:
        (desk.folder / "ca.der").unlink()
    else:
        desk.put({"ca.der": damage})
    assert desk.run(TIMES, free_port()) == []


def test_it_is_tried_again_later_and_later(desk: ServerDesk) -> None:
    """Attempts that fail come after one to two half seconds, then twice as long, up to a minute, a little by chance."""
    tries = [int(str(at)) for at in desk.run(TIMES, free_port())]
    gaps = [(after - before) / 1e6 for before, after in pairwise(tries)]
    assert len(gaps) >= 8
    for number, gap in enumerate(gaps):
        most = 2.0 ** min(number, 6)
        assert most / 2 <= gap <= most + 0.2
    assert len({round(gap / 2.0 ** min(number, 6), 2) for number, gap in enumerate(gaps)}) > 3
