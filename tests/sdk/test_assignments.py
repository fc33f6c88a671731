"""Who wears what: intervals that do not overlap, told to the audit log first, and never guessed."""

# ruff: noqa: D103

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire.assignments import Assignments
from vitalwire.audit import AuditLog, check
from vitalwire.cli import main
from vitalwire.errors import TransportError, UsageError
from vitalwire.fhir import Entry, Gateway, Held, Hold, Late, Mapper, Source
from vitalwire.frame import parse
from vitalwire.registry import Registry
from vitalwire.signals import decode
from vitalwire.testing import FakeDevice

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")

ONE, TWO = bytes(32), bytes(range(32))
KEY = ec.generate_private_key(ec.SECP256R1())


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
    """Somebody is the wearer of a time only if assignments of this device to nobody else hold for the whole of it."""
    store.assign(ONE, "Patient/a", 100, 200)
    store.assign(ONE, "Patient/b", 200)
    assert store.wearer(ONE, 100, 200) == "Patient/a"
    assert store.wearer(ONE, 150, 160) == "Patient/a"
    assert store.wearer(ONE, 200, 10**18) == "Patient/b"
    for start, stop in ((99, 150), (150, 201), (0, 50)):
        assert store.wearer(ONE, start, stop) is None
    assert store.wearer(TWO, 150, 160) is None
    store.assign(TWO, "Patient/a", 200, 300)
    store.assign(TWO, "Patient/a", 100, 200)  # told later, of before
    store.assign(TWO, "Patient/a", 301)
    assert store.wearer(TWO, 150, 250) == "Patient/a"
    assert store.wearer(TWO, 250, 350) is None


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


@pytest.mark.parametrize(
    ("change", "numbers", "gone"),
    [
        ("UPDATE assignments SET patient = 'Patient/b' WHERE number = 1", [1], 0),
        ("UPDATE assignments SET from_us = 50 WHERE number = 1", [1], 0),
        ("UPDATE assignments SET to_us = NULL WHERE number = 2", [2], 0),
        ("UPDATE assignments SET to_us = 250 WHERE number = 1", [1], 0),
        ("UPDATE assignments SET device = zeroblob(32) WHERE number = 3", [3], 0),
        ("UPDATE assignments SET nonce = zeroblob(16) WHERE number = 3", [3], 1),
        ("DELETE FROM assignments WHERE number = 2", [], 1),
        ("INSERT INTO assignments VALUES (9, zeroblob(32), 'Patient/x', 900, NULL, zeroblob(16))", [9], 0),
        ("SELECT 1", [], 0),
    ],
)
def test_what_was_changed_by_another_way_is_found(tmp_path: Path, change: str, numbers: list[int], gone: int) -> None:
    """A row altered, reopened, removed or put in past the commands is not as the audit log says; others are."""
    log: list[tuple[str, dict[str, str | int]]] = []
    store = Assignments(tmp_path / "a.db", lambda what, /, **details: log.append((what, details)))
    store.assign(ONE, "Patient/a", 100, 200)
    store.assign(ONE, "Patient/b", 300)
    store.end(ONE, 400)
    store.end(ONE, 350)
    store.assign(TWO, "Patient/a", 100)
    for attempt in (lambda: store.assign(TWO, "Patient/b", 150), lambda: store.end(ONE, 50)):
        with pytest.raises(UsageError):
            attempt()
    other = sqlite3.connect(tmp_path / "a.db")
    other.execute(change)
    other.commit()
    other.close()
    wrong, missing = store.unaudited(log)
    assert ([each.number for each in wrong], missing) == (numbers, gone)


def test_two_who_end_the_same(tmp_path: Path) -> None:
    """An end that somebody else was faster with is refused, so that it cannot lengthen what has ended."""
    faster = Assignments(tmp_path / "a.db", Log())
    told: list[str] = []

    def audit(what: str, /, **details: str | int) -> None:
        told.append(what)
        if what == "unassign":
            faster.end(ONE, 150)

    slower = Assignments(tmp_path / "a.db", audit)
    slower.assign(ONE, "Patient/a", 100)
    with pytest.raises(UsageError, match="just ended"):
        slower.end(ONE, 300)
    assert told == ["assign", "unassign", "unassign-failed"]
    assert slower.wearer(ONE, 100, 150) == "Patient/a"
    assert slower.wearer(ONE, 100, 151) is None


SECOND = 1_000_000


def handed_over(store: Assignments) -> list[Entry | Held]:
    """Return what becomes of 72 s of a board by the assignments of ONE; its windows begin with its ticks at 0."""
    device = FakeDevice("watch", channels=[each for each in FakeDevice().channels if each.stream == 0])
    device.utc_us = device.ticks  # a clock that began with the device, so that ticks are UTC
    body = parse(device.descriptor()).body
    assert body is not None
    mapper = Mapper(Gateway(KEY), lambda _, start, stop: store.wearer(ONE, start, stop))
    found: list[Entry | Held] = []
    for _ in range(36):
        frame = parse(device.data({"ecg_lead_i": np.arange(512) % 99}))
        source = Source(ONE, frame, body, decode(frame, body), frame.ticks, frame.utc_us, 1)
        found += [each for each in mapper.add(source) if not isinstance(each, Late)]
    return found


def wearers(found: list[Entry | Held], form: str) -> dict[int, str]:
    """Return who wore each window of a form by its first second; `held` where nobody is said to have."""
    said = {}
    for each in found:
        key = each.window.key if isinstance(each, Entry) else each.key
        if isinstance(each, Held):
            assert each.why is Hold.NOBODY
        if key.form == form:
            who = (
                {made.resource["subject"]["reference"] for made in each.observations}
                if isinstance(each, Entry)
                else {"held"}
            )
            (said[key.start // SECOND],) = who
    return said


def test_a_device_that_changes_hands_within_a_window(store: Assignments) -> None:
    """Windows before are the first one's, those after the second one's; the one between is held, not guessed."""
    store.assign(ONE, "Patient/a", 0, 25 * SECOND)
    store.assign(ONE, "Patient/b", 25 * SECOND)
    found = handed_over(store)
    assert wearers(found, "wave") == {
        0: "Patient/a", 10: "Patient/a", 20: "held", 30: "Patient/b", 40: "Patient/b", 50: "Patient/b", 60: "Patient/b",
    }  # fmt: skip
    assert wearers(found, "readings") == {0: "held"}


def test_open_ended_and_backdated(store: Assignments) -> None:
    """An assignment holds without an end; one made later for a time before holds for that time; a voided one for none.

    Nor does a voided one stand in the way of another.
    """
    assert set(wearers(handed_over(store), "wave").values()) == {"held"}
    store.assign(ONE, "Patient/b", 40 * SECOND)
    assert [at for at, who in wearers(handed_over(store), "wave").items() if who == "Patient/b"] == [40, 50, 60]
    store.assign(ONE, "Patient/a", 0, 40 * SECOND)
    assert set(wearers(handed_over(store), "wave").values()) == {"Patient/a", "Patient/b"}
    assert wearers(handed_over(store), "readings") == {0: "held"}
    store.end(ONE, 0)
    assert [at for at, who in wearers(handed_over(store), "wave").items() if who == "held"] == [0, 10, 20, 30]
    store.end(ONE, 40 * SECOND)
    store.assign(ONE, "Patient/c", 0)
    assert set(wearers(handed_over(store), "wave").values()) == {"Patient/c"}
    assert wearers(handed_over(store), "readings") == {0: "Patient/c"}
    with pytest.raises(UsageError, match="already"):
        store.assign(ONE, "Patient/a", 10**15)


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
    assert main(["fhir", "assignments", "--check"]) == 0
    with sqlite3.connect(tmp_path / "assignments.db") as other:
        other.execute("UPDATE assignments SET patient = 'Patient/p2'")
    assert main(["fhir", "assignments", "--check"]) == 4
    assert "assignments 1" in capsys.readouterr().err
    assert "p1" not in (tmp_path / "audit.jsonl").read_text()
