"""A home of the test's own, the command run in it, and a board to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fakeboard import Board
from tests.sdk.cli.running import SECRET, Run

from vitalwire.cli import main
from vitalwire.testing import FakeDevice


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a registry and a state of its own."""
    monkeypatch.setenv("VITALWIRE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def vitalwire(capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Run a command in this process."""

    def run(*arguments: object) -> Run:
        code = main([str(each) for each in arguments])
        said = capsys.readouterr()
        return Run(code, said.out, said.err)

    return run


@pytest.fixture
def board() -> Iterator[Board]:
    """A provisioned board behind a TCP port, with a few frames in its journal."""
    with Board(FakeDevice("fake"), SECRET) as board:
        board.device.descriptor()
        board.send(*(board.device.sampled() for _ in range(6)))
        yield board
