"""A board that is unplugged while a command enters its prompt."""

from __future__ import annotations

import os
import pty
import threading
import tty
from collections.abc import Callable

import pytest
from tests.sdk.cli.running import Run


@pytest.mark.parametrize("command", ["deploy", "doctor"])
def test_an_unplugged_board_is_named(command: str, vitalwire: Callable[..., Run]) -> None:
    """The port that broke is named in one line that says what to do, with the exit code of a lost port."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    port = os.ttyname(slave)

    def unplug() -> None:
        os.read(master, 1)  # somebody asks for the prompt
        os.close(master)

    unplugging = threading.Thread(target=unplug)
    unplugging.start()
    done = vitalwire("board", command, port)
    unplugging.join()
    os.close(slave)
    assert (done.code, done.out) == (6, "")
    assert f"the board on {port} went away" in done.err
    assert "connect it" in done.err
    assert len(done.err.splitlines()) == 1
