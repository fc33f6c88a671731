"""The registry keeps what it was told, through crashes and other processes, and never shows a secret."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vitalwire import registry as module
from vitalwire.errors import RevokedError, UsageError
from vitalwire.registry import Device, Registry

ONE, TWO = bytes(range(32)), bytes(range(1, 33))
SECRET = bytes(range(200, 232))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a registry may be made, in a folder that does not exist yet."""
    return tmp_path / "state" / "registry.db"


def test_enrolled_devices_are_there_after_reopening(path: Path) -> None:
    """Name, thumbprint, times and secret are durable."""
    with Registry(path) as registry:
        registry.enrol(ONE, "one", secret=SECRET, now_us=5)
        registry.enrol(TWO, "a two", now_us=6)
    with Registry(path) as registry:
        assert registry.get(ONE) == Device(ONE, "one", 5, None)
        assert [device.name for device in registry] == ["a two", "one"]
        assert registry.secret(ONE) == SECRET
        assert registry.secret(TWO) is None
        assert registry.get(bytes(32)) is None


def test_only_the_owner_can_read_it(path: Path) -> None:
    """The file and what SQLite puts beside it have mode 0600."""
    with Registry(path) as registry:
        registry.enrol(ONE, "one", secret=SECRET)
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_no_text_holds_a_secret() -> None:
    """Neither a device nor an error shows the secret, in any common notation."""
    registry = Registry()
    device = registry.enrol(ONE, "one", secret=SECRET)
    with pytest.raises(UsageError) as caught:
        registry.enrol(TWO, "two", secret=SECRET + b"!")
    for text in (repr(device), str(device), repr(registry), str(caught.value), repr(caught.value)):
        assert SECRET.hex() not in text
        assert repr(SECRET)[2:-1] not in text


def test_revocation_is_final(path: Path) -> None:
    """A revoked device stays known as revoked, loses its secret and cannot be enrolled again."""
    with Registry(path) as registry:
        registry.enrol(ONE, "one", secret=SECRET, now_us=5)
        assert registry.revoke(ONE, now_us=9) == Device(ONE, "one", 5, 9)
        assert registry.revoke(ONE, now_us=99).revoked_us == 9
        with pytest.raises(RevokedError):
            registry.enrol(ONE, "one")
    with Registry(path) as registry:
        assert registry.get(ONE) == Device(ONE, "one", 5, 9)
        assert registry.secret(ONE) is None


def test_enrolling_again_renames_and_gives_a_secret() -> None:
    """The same device may get another name or secret; the time of its enrolment stays."""
    registry = Registry()
    registry.enrol(ONE, "one", secret=SECRET, now_us=5)
    assert registry.enrol(ONE, "uno", now_us=8) == Device(ONE, "uno", 5, None)
    assert registry.secret(ONE) == SECRET
    registry.enrol(ONE, "uno", secret=SECRET[::-1])
    assert registry.secret(ONE) == SECRET[::-1]


@pytest.mark.parametrize(
    ("thumbprint", "name", "secret"),
    [
        (ONE[:31], "x", None),
        (TWO, "taken", None),
        (TWO, "", None),
        (TWO, " ", None),
        (TWO, "a\nb", None),
        (TWO, "\x1b[31m", None),
        (TWO, "ä" * 33, None),
        (TWO, "x", SECRET[:31]),
    ],
)
def test_bad_arguments_change_nothing(thumbprint: bytes, name: str, secret: bytes | None) -> None:
    """A wrong size, an unprintable name or one already taken is a `UsageError`, and nobody is enrolled."""
    registry = Registry()
    registry.enrol(ONE, "taken")
    with pytest.raises(UsageError):
        registry.enrol(thumbprint, name, secret=secret)
    assert [device.name for device in registry] == ["taken"]


def test_memory_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry in memory, by either name, leaves nothing behind."""
    monkeypatch.chdir(tmp_path)
    for path in (None, ":memory:"):
        Registry(path).enrol(ONE, "one")
    assert list(tmp_path.iterdir()) == []


def test_unknown_devices_cannot_be_revoked() -> None:
    """Revoking nobody says so."""
    with pytest.raises(UsageError):
        Registry().revoke(ONE)


def test_devices_are_found_by_name_or_prefix() -> None:
    """A name wins; four hexadecimal digits suffice if only one thumbprint begins with them."""
    registry = Registry()
    registry.enrol(ONE, "one")
    registry.enrol(TWO, "0001")
    assert registry.find("one").thumbprint == ONE
    assert registry.find("0001").thumbprint == TWO
    assert registry.find("0102").thumbprint == TWO
    assert registry.find(ONE.hex().upper()).thumbprint == ONE
    for text in ("nobody", "00", "", "ffff"):
        with pytest.raises(UsageError):
            registry.find(text)


def test_a_name_is_free_again_after_a_revocation() -> None:
    """The successor of a revoked device may have its name, and is the one that is found by it."""
    registry = Registry()
    registry.enrol(ONE, "one")
    registry.revoke(ONE)
    registry.enrol(TWO, "one")
    assert registry.find("one").thumbprint == TWO
    assert len(list(registry)) == 2


def test_changes_of_another_process_are_seen(path: Path) -> None:
    """A revocation by somebody else ends the trust of an open registry soon, its own at once."""
    with Registry(path) as registry, Registry(path) as other:
        other.enrol(ONE, "one")
        time.sleep(module._FRESH_SECONDS * 1.1)
        assert registry.get(ONE) is not None
        other.revoke(ONE)
        time.sleep(module._FRESH_SECONDS * 1.1)
        device = registry.get(ONE)
        assert device is not None
        assert device.revoked_us is not None


def test_a_kill_loses_nothing_that_was_confirmed(path: Path) -> None:
    """A process killed while it enrols leaves every device it had confirmed, and a registry that opens."""
    program = (
        "import sys; from vitalwire.registry import Registry\n"
        "registry = Registry(sys.argv[1])\n"
        "for n in range(100000):\n"
        "    registry.enrol(n.to_bytes(32, 'big'), f'device {n}', secret=bytes(32)); print(n, flush=True)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        confirmed = [int(process.stdout.readline()) for _ in range(40)]
        process.send_signal(signal.SIGKILL)
        confirmed += [int(line) for line in process.stdout.read().splitlines()]
    with Registry(path) as registry:
        names = {device.name for device in registry}
        assert {f"device {n}" for n in confirmed} <= names
        assert all(registry.secret(device.thumbprint) == bytes(32) for device in registry)


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A file that is no registry, or one of a later version, is a `UsageError` and stays as it is."""
    text = tmp_path / "notes.txt"
    text.write_text("this is not a database" * 100)
    with pytest.raises(UsageError):
        Registry(text)
    assert text.read_text().startswith("this is not")
    later = tmp_path / "later.db"
    Registry(later).close()
    with sqlite3.connect(later) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(UsageError, match="99"):
        Registry(later)
