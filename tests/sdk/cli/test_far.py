"""Commands that ask something of a device: nobody there, a device that goes away, a refusal in plain words."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.fakeboard import Board
from tests.sdk.cli.running import SECRET, Run

from vitalwire import paths
from vitalwire.control import Controller
from vitalwire.registry import Registry
from vitalwire.update import pack
from vitalwire_protocol.spec import Command, Result

KEY = ec.generate_private_key(ec.SECP256R1())
SHOW, SET, UPDATE = (
    ["config", "show", "URL"],
    ["config", "set", "URL", "status_s=5", "--key", "key.pem"],
    ["update", "URL", "new.vwu", "--key", "key.pem"],
)


@pytest.fixture(autouse=True)
def files(home: Path) -> None:
    """Have a key and an update that it signed."""
    Path("key.pem").write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    Path("new.vwu").write_bytes(pack(KEY, {"start.mpy": b"x"}, board="virtual", firmware="9", counter=7).data)


@pytest.fixture
def known(board: Board) -> Board:
    """A board that this computer has the secret of."""
    with Registry(paths.registry_file()) as registry:
        registry.enrol(board.device.thumbprint, "fake", secret=SECRET)
    return board


@pytest.mark.parametrize("command", [SHOW, SET, UPDATE], ids=" ".join)
def test_nobody_there_is_said_at_once(command: list[str], vitalwire: Callable[..., Run]) -> None:
    """A port that does not exist ends the command with one line and exit code 6; it does not wait for one."""
    done = vitalwire(*(each.replace("URL", "serial:///dev/none") for each in command))
    assert (done.code, done.out) == (6, "")
    assert "/dev/none" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_device_that_goes_away_is_given_up(
    known: Board, vitalwire: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that is unplugged in the midst of a talk is waited for as long as for any answer, no longer."""
    kept = dict(Controller.__init__.__kwdefaults__ or {})
    monkeypatch.setattr(Controller.__init__, "__kwdefaults__", kept | {"patience": 1.0})
    known.deaf = True
    leaving = threading.Timer(0.3, known.vanish)
    leaving.start()
    done = vitalwire(*(each.replace("URL", known.url) for each in SHOW))
    leaving.join()
    assert done.code == 5
    assert "was not answered; is the device still there?" in done.err


@pytest.mark.parametrize(
    ("command", "asked", "result", "words"),
    [
        (UPDATE, Command.UPDATE_STATUS, Result.NOT_PROVISIONED, "it has no maker's key"),
        (UPDATE, Command.UPDATE_STATUS, Result.UPDATE_TOO_BIG, "no room for it"),
        (SHOW, Command.CONFIGURATION, Result.NOT_PROVISIONED, "it has no secret"),
    ],
)
def test_a_refusal_says_what_it_means(
    known: Board, vitalwire: Callable[..., Run], command: list[str], asked: Command, result: Result, words: str
) -> None:
    """What a device refuses is one line: the command, the result's name, what that means and what to do next."""
    known.refuse[asked] = result
    done = vitalwire(*(each.replace("URL", known.url) for each in command))
    assert done.code == 5
    assert f"{asked.name} was refused: {result.name}: " in done.err
    assert words in done.err
    assert "; " in done.err
    assert len(done.err.splitlines()) == 1
