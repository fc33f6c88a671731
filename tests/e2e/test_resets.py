"""Resets of every kind: each boot says why it began, and one chain goes through all of them."""

from __future__ import annotations

import fcntl
import struct
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import FAR, wait

from vitalwire.client import Client
from vitalwire.crypto import thumbprint
from vitalwire.registry import Registry
from vitalwire.session import ChainBreak, ReplayState, SecurityEvent
from vitalwire.verdict import verify
from vitalwire_protocol.spec import Cause, Command, Event, EventKey
from vitalwire_tools.virtual.board import VirtualBoard
from vitalwire_tools.virtual.machine import Options, create

from .board_log import events, number, unharmed, until
from .reader import Recorder, captured


def test_a_boot_says_why_it_began(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Power-on, the button, a power cut and a command: four boots with their causes, nothing missing between them."""
    running = bench(speed=20.0)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(6.0, boot=1))
    running.board.reset()
    recorder.run(until(6.0, boot=2))
    running.board.power_cut()
    running.board.power_on()
    recorder.run(until(6.0, boot=3))
    recorder.ask(Command.REBOOT)
    recorder.run(until(6.0, boot=4))
    frames = recorder.in_order()
    causes = [number(event, EventKey.CAUSE) for event in events(frames, Event.BOOT)]
    assert causes == [Cause.POWER_ON, Cause.HARD_RESET, Cause.POWER_ON, Cause.COMMAND]
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device
    assert device.verified + device.burned == device.head
    assert device.duplicates == 0
    assert not recorder.told(SecurityEvent) + recorder.told(ChainBreak)
    played = running.board.played()
    for boot in range(1, 5):
        unharmed([frame for frame in frames if frame.boot == boot], played)
    assert not running.board.refused()


def test_a_board_may_lie_in_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder named from where one stands runs as well as one named from the root."""
    monkeypatch.chdir(tmp_path)
    identity = create(Path("here"))
    with Registry() as registry, VirtualBoard(Options(Path("here"))) as board:
        registry.enrol(thumbprint(identity.public_key), "virtual", secret=identity.secret)
        with Client(board.url, registry=registry, state=ReplayState()) as client:
            assert client.receive(FAR)


def test_a_board_that_resets_for_ever_can_be_ended(tmp_path: Path) -> None:
    """Nobody has read what its process said of thousands of boots, and it ends all the same when it is told to."""
    create(tmp_path / "board")
    loops = {"loops.py": f"import hal.virtual as hal\nhal.reset({Cause.COMMAND})\n"}
    board = VirtualBoard(Options(tmp_path / "board", modules=loops, start="loops"))
    said = board._process.stdout
    assert said
    room = fcntl.fcntl(said, fcntl.F_SETPIPE_SZ, 4096)  # of 64 KiB, which would take minutes to fill
    word = struct.pack("i", 0)
    wait(lambda: struct.unpack("i", fcntl.ioctl(said, termios.FIONREAD, word))[0] > room - 40)
    board.stop()
    assert board._process.returncode == 0
