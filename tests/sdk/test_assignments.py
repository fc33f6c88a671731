"""Who wears what: intervals that do not overlap, told to the audit log first, and never guessed."""

# ruff: noqa: D103

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vitalwire.assignments import Assignments
from vitalwire.audit import AuditLog, check
from vitalwire.cli import main
from vitalwire.errors import TransportError, UsageError
from vitalwire.registry import Registry

ONE, TWO = bytes(32), bytes(range(32))


class Log:
    """An audit log in memory."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, what: str, /, **details: str | int) -> None:
        self.lines.append(f"{what} {details}")


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def store(tmp_path: Path, log: Log) -> Assignments:
    return Assignments(tmp_path / "a.db", log)


def test_who_wore_it_all_the_time(store: Assignments) -> None:
    """Somebody is the wearer of a time only if one assignment holds for the whole of it, of this device."""
    store.assign(ONE, "Patient/a", 100, 200)
    store.assign(ONE, "Patient/b", 200)
    assert store.wearer(ONE, 100, 200) == "Patient/a"
    assert store.wearer(ONE, 150, 160) == "Patient/a"
    assert store.wearer(ONE, 200, 10**18) == "Patient/b"
    for start, stop in ((99, 150), (150, 201), (0, 50)):
        assert store.wearer(ONE, start, stop) is None
    assert store.wearer(TWO, 150, 160) is None


@pytest.mark.parametrize(("start", "stop"), [(150, 160), (50, 150), (150, 250), (50, 250), (50, None), (199, None)])
def test_two_cannot_wear_one_device(store: Assignments, start: int, stop: int | None) -> None:
    """An assignment that overlaps another of the same device is refused and changes nothing; another device is free."""
    store.assign(ONE, "Patient/a", 100, 200)
    with pytest.raises(UsageError, match="already"):
        store.assign(ONE, "Patient/b", start, stop)
    assert len(list(store)) == 1
    store.assign(TWO, "Patient/b", start, stop)


def test_an_assignment_ends(store: Assignments) -> None:
    """What is ended holds up to then, and the device is free again; a mistake ends where it began and holds never."""
    store.assign(ONE, "Patient/a", 100)
    store.end(ONE, 300)
    assert store.wearer(ONE, 100, 300) == "Patient/a"
    assert store.wearer(ONE, 100, 301) is None
    store.assign(ONE, "Patient/b", 300)
    store.end(ONE, 300)
    assert store.wearer(ONE, 300, 301) is None
    assert [each.patient for each in store] == ["Patient/a", "Patient/b"]
    with pytest.raises(UsageError, match="nobody"):
        store.end(ONE, 300)


def test_an_assignment_of_no_length_is_none(store: Assignments) -> None:
    """An end at or before the beginning is refused."""
    for stop in (100, 99):
        with pytest.raises(UsageError):
            store.assign(ONE, "Patient/a", 100, stop)


def test_every_change_is_audited_and_names_nobody(store: Assignments, log: Log) -> None:
    """Each change, also a refused one, is in the log before it is made, without the patient."""
    store.assign(ONE, "Patient/secret", 100)
    with pytest.raises(UsageError):
        store.assign(ONE, "Patient/secret", 150)
    store.end(ONE, 200)
    assert [line.split()[0] for line in log.lines] == ["assign", "assign", "assign-failed", "unassign"]
    assert "secret" not in "".join(log.lines)
    assert len({line.split("'assignment': ")[1] for line in log.lines}) == 3


def test_what_cannot_be_audited_is_not_changed(tmp_path: Path) -> None:
    """Where the log cannot be written, nothing is assigned."""

    def broken(what: str, /, **details: str | int) -> None:
        raise TransportError("disk full")

    store = Assignments(tmp_path / "a.db", broken)
    with pytest.raises(TransportError):
        store.assign(ONE, "Patient/a", 100)
    assert list(store) == []


def test_the_file_is_its_owners(tmp_path: Path, log: Log) -> None:
    """Only the owner can read who wears what, and what was said is there after the file is opened again."""
    with Assignments(tmp_path / "a.db", log) as store:
        store.assign(ONE, "Patient/a", 100)
    assert (tmp_path / "a.db").stat().st_mode & 0o777 == 0o600
    with Assignments(tmp_path / "a.db", log) as store:
        assert store.wearer(ONE, 100, 101) == "Patient/a"


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`assign`, `unassign` and `assignments` do so by the device's name, with times, and the audit log stays whole."""
    monkeypatch.setenv("VITALWIRE_HOME", str(tmp_path))
    with Registry(tmp_path / "registry.db") as registry:
        registry.enrol(TWO, "watch")
    assert main(["fhir", "assign", "watch", "p1", "--from", "2026-01-01T00:00:00Z"]) == 0
    assert main(["fhir", "assign", "watch", "p2"]) == 2
    assert main(["fhir", "unassign", "watch", "--at", "2026-01-02T01:00:00+01:00"]) == 0
    assert main(["fhir", "assign", "watch", "p2", "--from", "noon"]) == 2
    assert main(["fhir", "assign", "watch", "p2", "--from", "2026-01-01T00:00:00"]) == 2
    capsys.readouterr()
    assert main(["fhir", "assignments", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["patient"], row["from"], row["to"]) == (
        "watch", "Patient/p1", "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00",
    )  # fmt: skip
    assert check(AuditLog(tmp_path / "audit.jsonl").lines()).count == 4
    assert "p1" not in (tmp_path / "audit.jsonl").read_text()
