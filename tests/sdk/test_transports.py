"""Transports over real sockets and real pseudo-terminals: what arrives, what breaks, and which address opens what."""

from __future__ import annotations

import contextlib
import os
import pty
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import FAR

from vitalwire import transports
from vitalwire.errors import TransportError, UsageError
from vitalwire.transports import Transport, serial
from vitalwire.transports.address import Address

EVERY_BYTE = bytes(range(256))


def collect(transport: Transport, count: int) -> bytes:
    """Read until so many bytes are there."""
    data, until = b"", time.monotonic() + FAR
    while len(data) < count and time.monotonic() < until:
        data += transport.read(0.1) or b""
    return data


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A listening socket on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def tcp(server: socket.socket) -> Iterator[tuple[Transport, socket.socket]]:
    """An open transport and the other end of it."""
    transport = transports.from_url(f"tcp://127.0.0.1:{server.getsockname()[1]}")
    transport.open()
    peer, _ = server.accept()
    with peer, contextlib.closing(transport):
        yield transport, peer


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """The master side of a pseudo-terminal, and the path of the other."""
    master, slave = pty.openpty()
    path = os.ttyname(slave)
    os.close(slave)
    yield master, path
    with contextlib.suppress(OSError):
        os.close(master)


@pytest.fixture
def port(terminal: tuple[int, str]) -> Iterator[tuple[Transport, int]]:
    """An open serial transport and the master side of its pseudo-terminal."""
    master, path = terminal
    transport = transports.from_url(f"serial://{path}")
    transport.open()
    with contextlib.closing(transport):
        yield transport, master


# ------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("url", "scheme", "target", "options"),
    [
        ("serial:///dev/ttyUSB0", "serial", "///dev/ttyUSB0", {}),
        ("serial://COM3?baud=921600", "serial", "//COM3", {"baud": "921600"}),
        ("tcp://[::1]:7000", "tcp", "//[::1]:7000", {}),
        ("replay:a night#1.cbor?speed=10&loss=0.01", "replay", "a night#1.cbor", {"speed": "10", "loss": "0.01"}),
        ("replay:what%3F.cbor", "replay", "what?.cbor", {}),
        (r"replay:C:\night.cbor?speed=0", "replay", r"C:\night.cbor", {"speed": "0"}),
    ],
)
def test_addresses_come_apart(url: str, scheme: str, target: str, options: dict[str, str]) -> None:
    """Scheme, target and options are found, in whatever a file may be called."""
    assert Address.parse(url) == Address(scheme, target, options)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "dev/ttyUSB0",
        "/dev/ttyUSB0",
        "usb://1",
        "tcp:",
        "tcp://host",
        "tcp://host:",
        "tcp://host:0",
        "tcp://host:65536",
        "tcp://host:http",
        "tcp://:70",
        "tcp:host:70",
        "tcp://host:70?speed=1",
        "serial://",
        "serial:///dev/ttyUSB0?baud=fast",
        "serial:///dev/ttyUSB0?baud=1&baud=2",
        "serial:///dev/ttyUSB0?baud",
        "replay:x?speed=-1",
        "replay:x?speed=inf",
        "replay:x?speed=nan",
        "replay:x?pace=mine",
        "replay:x?loss=2",
        "replay:x?loss=-0.1",
        "replay:x?loss=nan",
        "replay:x?seed=1.5",
        "replay:x?noise=1",
    ],
)
def test_wrong_addresses_are_usage_errors(url: str) -> None:
    """What cannot be understood is refused before anything is opened."""
    with pytest.raises(UsageError):
        transports.from_url(url)


def test_the_protocol_is_small() -> None:
    """The file that says what a transport is stays within 90 lines, so that another is written in an hour."""
    assert len(Path(transports.__file__).read_text().splitlines()) <= 90


# ------------------------------------------------------------ TCP


def test_tcp_carries_every_byte_both_ways(tcp: tuple[Transport, socket.socket]) -> None:
    """Bytes of any value arrive as they were sent, in both directions, with the time of their arrival."""
    transport, peer = tcp
    peer.sendall(EVERY_BYTE * 3)
    before = time.time_ns() // 1000
    assert collect(transport, 768) == EVERY_BYTE * 3
    assert transport.arrived_us is not None
    assert transport.arrived_us >= before
    transport.write(EVERY_BYTE)
    assert peer.recv(256, socket.MSG_WAITALL) == EVERY_BYTE


def test_nothing_there_is_no_bytes(tcp: tuple[Transport, socket.socket], port: tuple[Transport, int]) -> None:
    """A read that times out returns without bytes and leaves the transport open."""
    for transport in (tcp[0], port[0]):
        assert transport.read(0.01) == b""
        assert transport.read(0) == b""
    tcp[1].sendall(b"later")
    os.write(port[1], b"later")
    assert collect(tcp[0], 5) == collect(port[0], 5) == b"later"


def test_a_peer_that_goes_away_is_a_transport_error(tcp: tuple[Transport, socket.socket]) -> None:
    """What it sent before is read, then the loss is an error, for writing too, and the transport is closed."""
    transport, peer = tcp
    peer.sendall(b"last words")
    peer.close()
    assert collect(transport, 10) == b"last words"
    with pytest.raises(TransportError, match="closed by the other side"):
        transport.read(FAR)
    with pytest.raises(TransportError, match="not connected"):
        transport.write(b"x")


def test_tcp_can_be_opened_again(server: socket.socket) -> None:
    """After a loss the same transport connects anew."""
    transport = transports.from_url(f"tcp://127.0.0.1:{server.getsockname()[1]}")
    for _ in range(3):
        transport.open()
        peer, _ = server.accept()
        peer.sendall(b"hello")
        assert collect(transport, 5) == b"hello"
        peer.close()
        with pytest.raises(TransportError):
            transport.read(FAR)
    transport.close()


def test_no_listener_is_a_transport_error(server: socket.socket) -> None:
    """A refused connection is one line that names host and port."""
    number = server.getsockname()[1]
    server.close()
    with pytest.raises(TransportError, match=f"127.0.0.1 port {number}"):
        transports.from_url(f"tcp://127.0.0.1:{number}").open()


def test_a_peer_that_does_not_read_does_not_hang_us(
    tcp: tuple[Transport, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing into a connection that takes nothing ends in an error and not never."""
    monkeypatch.setattr("vitalwire.transports.tcp.WRITE_SECONDS", 0.2)
    with pytest.raises(TransportError):
        tcp[0].write(bytes(1 << 26))


# ------------------------------------------------------------ serial


def test_serial_carries_every_byte_both_ways(port: tuple[Transport, int]) -> None:
    """No byte is eaten, changed or taken for a signal: not 0x03, not 0x11, not a line end."""
    transport, master = port
    os.write(master, EVERY_BYTE)
    assert collect(transport, 256) == EVERY_BYTE
    transport.write(EVERY_BYTE)
    data = b""
    while len(data) < 256:
        data += os.read(master, 256)
    assert data == EVERY_BYTE


def test_a_burst_is_read_in_few_calls(port: tuple[Transport, int]) -> None:
    """What has gathered is read at once and not byte by byte."""
    transport, master = port
    os.write(master, bytes(2000))
    assert len(transport.read(FAR) or b"") > 1000


def test_an_unplugged_port_is_a_transport_error(port: tuple[Transport, int]) -> None:
    """The other side of a terminal closing is what pulling a plug looks like: an error, and closed."""
    transport, master = port
    os.close(master)
    with pytest.raises(TransportError, match="lost"):
        collect(transport, 1)
    with pytest.raises(TransportError):
        transport.write(b"x")
    transport.close()


def test_a_port_is_for_one_program(port: tuple[Transport, int], terminal: tuple[int, str]) -> None:
    """Opening a port that is open elsewhere is refused, with advice, instead of stealing its bytes."""
    with pytest.raises(TransportError, match="cannot open") as caught:
        transports.from_url(f"serial://{terminal[1]}").open()
    assert "Another program" in caught.value.advice
    os.write(port[1], b"mine")
    assert collect(port[0], 4) == b"mine"


def test_a_port_that_is_not_there_is_a_transport_error() -> None:
    """The path is named, and what to do."""
    with pytest.raises(TransportError, match="/dev/nothing-here") as caught:
        transports.from_url("serial:///dev/nothing-here").open()
    assert "vitalwire ports" in caught.value.advice


def test_lines_are_kept_when_the_port_closes(terminal: tuple[int, str]) -> None:
    """HUPCL is off, so that closing moves neither DTR nor RTS and resets no board."""
    master, path = terminal
    settings = termios.tcgetattr(master)
    settings[2] |= termios.HUPCL
    termios.tcsetattr(master, termios.TCSANOW, settings)
    transport = transports.from_url(f"serial://{path}")
    transport.open()
    assert isinstance(transport, serial.Serial)
    assert transport._port is not None
    assert not termios.tcgetattr(transport._port.fileno())[2] & termios.HUPCL
    assert (transport._port.dtr, transport._port.rts) == (True, True)
    transport.close()


def test_closing_from_another_thread_ends_a_read(
    tcp: tuple[Transport, socket.socket], port: tuple[Transport, int]
) -> None:
    """A read under way ends soon when somebody closes the transport: with an error or without bytes."""
    for transport in (tcp[0], port[0]):
        ended = threading.Event()

        def reading(transport: Transport = transport, ended: threading.Event = ended) -> None:
            with contextlib.suppress(TransportError):
                while transport.read(0.2) is not None:
                    pass
            ended.set()

        thread = threading.Thread(target=reading)
        thread.start()
        time.sleep(0.05)
        transport.close()
        assert ended.wait(FAR)
        thread.join()


WITHOUT = """
import sys
sys.modules["serial"] = None
from vitalwire import transports
from vitalwire.errors import UsageError
try:
    transports.from_url("serial:///dev/ttyUSB0")
except UsageError as error:
    print(error.advice)
"""


def test_without_pyserial_there_is_advice() -> None:
    """Whoever installed little is told which extra to install."""
    result = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=True)
    assert "vitalwire[serial]" in result.stdout
