"""The board's prompt: who gets it, how, and that a production board gives it to nobody."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import serial
from tests.waiting import FAR

from vitalwire.client import Client
from vitalwire.errors import CommandError
from vitalwire.session import ReplayState
from vitalwire_protocol.spec import Command


def mpremote(port: str, *command: str, timeout: float = FAR) -> subprocess.CompletedProcess[str]:
    """Run mpremote on a port."""
    words = [sys.executable, "-m", "mpremote", "connect", port, *command]
    return subprocess.run(words, capture_output=True, text=True, timeout=timeout)


def test_mpremote_gets_the_prompt_of_a_running_board(bench: Callable[..., Any]) -> None:
    """Two interrupts from mpremote end the app of an unlinked board, with and without a soft reset."""
    board = bench(heap=1 << 20).board
    time.sleep(1.5)
    for words in (("exec", "print(6*7)"), ("resume", "exec", "print(6*7)")):
        done = mpremote(board.port, *words)
        assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


def test_the_link_gives_the_prompt_to_a_controller(bench: Callable[..., Any]) -> None:
    """REPL, asked for under the controller's MAC over the link, ends the app: what is typed then is answered."""
    here = bench(heap=1 << 20)
    options: dict[str, Any] = {"registry": here.registry, "state": ReplayState()}
    with Client(here.board.url, **options) as client:
        client.open()
        assert client.receive(FAR)
        client.command(Command.REPL)
        assert client.ended
    with serial.Serial(here.board.port, timeout=1) as port:
        port.write(b"print(6*7)\r")
        said = port.read_until(b"\n42")
    assert said.endswith(b"\n42"), said
    done = mpremote(here.board.port, "resume", "exec", "print(6*7)")
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


def test_a_production_board_keeps_its_prompt(bench: Callable[..., Any]) -> None:
    """With `repl` false the same two interrupts change nothing: the board goes on and answers packets."""
    board = bench({"repl": False}).board
    time.sleep(1.5)
    with serial.Serial(board.port, timeout=1) as port:
        port.write(b"\r\x03\x03\r\x01")
        assert b">" not in port.read(64)
    assert not [event for event in board.events if event["event"] == "dead"]


def test_a_production_board_refuses_the_command(bench: Callable[..., Any]) -> None:
    """With `repl` false the command is refused even to a controller, and frames go on."""
    here = bench({"repl": False})
    with Client(here.board.url, registry=here.registry, state=ReplayState()) as client:
        client.open()
        assert client.receive(FAR)
        with pytest.raises(CommandError, match="REPL"):
            client.command(Command.REPL)
        assert client.receive(FAR)
