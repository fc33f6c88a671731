"""What a command writes is there whole or not at all: the disk that gets full is a limit on a file's size."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.sdk.cli.running import Run, steady

from vitalwire import jws, wholefile
from vitalwire_tools.authority import create


@contextmanager
def full(room: int = 40) -> Iterator[None]:
    """Let no file grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("arguments", "target"),
    [
        (["plot", "good.vwc", "new.png", "--fingerprint", "GOOD"], "new.png"),
        (["audit", "key", "new.pem"], "new.pem"),
        (["board", "ca", "new"], "new/ca.key"),
        (["board", "server", "localhost", "--ca", "ca"], "localhost.key"),
        (["board", "release", "virtual", "new.vwu", "--key", "key.pem", "--counter", "1"], "new.vwu"),
    ],
    ids=lambda each: " ".join(each[:2]) if isinstance(each, list) else "",
)
def test_no_half_file_is_left(arguments: list[str], target: str, vitalwire: Callable[..., Run]) -> None:
    """A command that finds no room says so in one line, with an exit code; the same one works once there is room."""
    good = steady(Path("good.vwc"))
    create(Path("ca"), "maker")
    jws.create_key(Path("key.pem"))
    command = [good.thumbprint.hex() if each == "GOOD" else each for each in arguments]
    before = {path for path in Path().rglob("*") if path.is_file() and "home" not in path.parts}
    if arguments[1] == "release":  # it compiles first, into files of its own
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("vitalwire.wholefile.os.fsync", _no_room)
            done = vitalwire(*command)
    else:
        with full():
            done = vitalwire(*command)
    assert done.code in (2, 6), done.err
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith("vitalwire: ")
    assert {path for path in Path().rglob("*") if path.is_file() and "home" not in path.parts} == before
    assert vitalwire(*command).code == 0
    assert Path(target).stat().st_size > 0


def _no_room(_: int) -> None:
    raise OSError(28, "No space left on device")


def test_what_was_there_stays(tmp_path: Path) -> None:
    """A file that cannot be written anew keeps its contents, and nothing is left beside it."""
    kept = tmp_path / "kept"
    wholefile.write(kept, b"before")
    with full(), pytest.raises(OSError, match="kept"):
        wholefile.write(kept, bytes(100))
    assert kept.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [kept]


def test_a_registry_without_room_is_said(vitalwire: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that cannot be written ends a command with one line, not with a traceback."""

    def enrol(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("vitalwire.registry.Registry.enrol", enrol)
    done = vitalwire("device", "enrol", "ab" * 32, "--name", "a")
    assert (done.code, len(done.err.splitlines())) == (6, 1)
    assert "disk is full" in done.err
