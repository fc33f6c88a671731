"""Who wore which device from when to when: the only place where a device meets a person. Asks nobody, guesses nothing.

Each change is told to `audit` before it is made. A row is never removed: an assignment ends, one made by mistake ends
where it began. What the audit log holds of a row are digests with a nonce, so that the log proves the row and names
nobody; a row that was changed by another way is found by `unaudited`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from vitalwire import database
from vitalwire.errors import UsageError, VitalwireError

_SCHEMA = """
    CREATE TABLE assignments (
        number INTEGER PRIMARY KEY AUTOINCREMENT, device BLOB NOT NULL, patient TEXT NOT NULL, from_us INTEGER NOT NULL,
        to_us INTEGER, nonce BLOB NOT NULL
    );
    CREATE INDEX of_device ON assignments (device, from_us);
"""
_VERSION = 1
_OPEN = (1 << 63) - 1  # stands for an end that is not known yet
_NONCE = 16
_LABEL = 16  # hexadecimal digits
_ASSIGN, _UNASSIGN, _FAILED = "assign", "unassign", "-failed"


class Audit(Protocol):
    """Takes what is about to be changed; returns when it is durable, raises a VitalwireError if it cannot be."""

    def __call__(self, what: str, /, **details: str | int) -> object:
        """Write it down."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """`patient` (a FHIR reference) wore `device` (a thumbprint) from `from_us` to `to_us`, UTC microseconds since 1970.

    Without `to_us` it still does.
    """

    number: int
    device: bytes
    patient: str
    from_us: int
    to_us: int | None


class Assignments(database.Keeper):
    """The assignments in the file at `path`, or in memory; several processes may use the file at once."""

    def __init__(self, path: Path | str | None, audit: Audit) -> None:
        self._database = database.connect(path, _SCHEMA, b"VWas", _VERSION)
        self._audit = audit

    # ------------------------------------------------------------ reading

    def __iter__(self) -> Iterator[Assignment]:
        """Yield all assignments, ended ones too, in the order in which they were made."""
        rows = self._database.execute("SELECT number, device, patient, from_us, to_us FROM assignments ORDER BY number")
        return (Assignment(*row) for row in rows.fetchall())

    def wearer(self, device: bytes, start_us: int, stop_us: int) -> str | None:
        """Return who wore a device for the whole of [start, stop), None if that is not one person or nobody knows."""
        rows = self._database.execute(
            "SELECT patient, from_us, coalesce(to_us, ?1) AS until FROM assignments"
            " WHERE device = ?2 AND from_us < ?3 AND until > ?4 AND until > from_us ORDER BY from_us",
            (_OPEN, device, stop_us, start_us),
        ).fetchall()
        reached = start_us
        for _, from_us, to_us in rows:
            if from_us > reached:
                return None
            reached = to_us
        patients = {patient for patient, _, _ in rows}
        return patients.pop() if len(patients) == 1 and reached >= stop_us else None

    # ------------------------------------------------------------ changing

    def assign(self, device: bytes, patient: str, from_us: int, to_us: int | None = None) -> Assignment:
        """Say that a patient wears a device from a moment on; UsageError where another assignment overlaps."""
        stop = _OPEN if to_us is None else to_us
        if not 0 <= from_us < stop <= _OPEN:
            raise UsageError("an assignment ends after it begins")
        nonce = secrets.token_bytes(_NONCE)
        with self._changing(_ASSIGN, device, patient, from_us, to_us, nonce), database.transaction(self._database):
            clash = self._database.execute(
                "SELECT 1 FROM assignments WHERE device = ? AND from_us < ? AND coalesce(to_us, ?) > max(?, from_us)",
                (device, stop, _OPEN, from_us),
            ).fetchone()
            if clash:
                raise UsageError("the device is assigned then already", advice="`vitalwire fhir unassign` ends that")
            cursor = self._database.execute(
                "INSERT INTO assignments (device, patient, from_us, to_us, nonce) VALUES (?, ?, ?, ?, ?)",
                (device, patient, from_us, to_us, nonce),
            )
        return Assignment(int(cursor.lastrowid or 0), device, patient, from_us, to_us)

    def end(self, device: bytes, at_us: int) -> Assignment:
        """End what is assigned at a moment, from that moment on; UsageError if nothing is."""
        row = self._database.execute(
            "SELECT number, patient, from_us, to_us, nonce FROM assignments"
            " WHERE device = ? AND from_us <= ? AND coalesce(to_us, ?) > ?",
            (device, at_us, _OPEN, at_us),
        ).fetchone()
        if row is None:
            raise UsageError("nobody is assigned to the device then")
        number, patient, from_us, to_us, nonce = row
        with self._changing(_UNASSIGN, device, patient, from_us, at_us, nonce), database.transaction(self._database):
            changed = self._database.execute(
                "UPDATE assignments SET to_us = ? WHERE number = ? AND to_us IS ?", (at_us, number, to_us)
            )
            if not changed.rowcount:
                raise UsageError("somebody else has just ended that")
        return Assignment(number, device, patient, from_us, at_us)

    def _changing(
        self, what: str, device: bytes, patient: str, from_us: int, to_us: int | None, nonce: bytes
    ) -> _Changing:
        digest = _digest(nonce, device, patient, from_us, to_us)
        return _Changing(self._audit, what, device.hex(), _label(nonce), digest)

    # ------------------------------------------------------------ proving

    def unaudited(self, log: Iterable[tuple[str, Mapping[str, object]]]) -> tuple[list[Assignment], int]:
        """Return the assignments that are not as the log left them, and how many are in the log that are not here.

        `log` holds what happened and its details, in order, of an audit log whose lines were checked.
        """
        said: dict[object, list[object]] = {}
        for what, details in log:
            digests = said.setdefault(details.get("row"), [])
            if what in (_ASSIGN, _UNASSIGN):
                digests.append(details.get("assignment"))
            elif what in (_ASSIGN + _FAILED, _UNASSIGN + _FAILED) and details.get("assignment") in digests:
                digests.remove(details.get("assignment"))
        left = {row: digests[-1] for row, digests in said.items() if digests}
        rows = self._database.execute(
            "SELECT number, device, patient, from_us, to_us, nonce FROM assignments ORDER BY number"
        ).fetchall()
        wrong = [
            Assignment(*row[:5]) for *row, nonce in rows if left.pop(_label(nonce), None) != _digest(nonce, *row[1:])
        ]
        return wrong, len(left)


def _digest(nonce: bytes, device: bytes, patient: str, from_us: int, to_us: int | None) -> str:
    row = f"{device.hex()}|{patient}|{from_us}|{'' if to_us is None else to_us}"
    return hashlib.sha256(nonce + row.encode()).hexdigest()


def _label(nonce: bytes) -> str:
    """Return what a row is called in the log, whatever becomes of it."""
    return hashlib.sha256(b"row" + nonce).hexdigest()[:_LABEL]


@dataclass(frozen=True, slots=True)
class _Changing:
    """Writes down what is about to be changed, and that it was not, if so."""

    audit: Audit
    what: str
    thumbprint: str
    row: str
    digest: str

    def __enter__(self) -> None:
        self.audit(self.what, thumbprint=self.thumbprint, row=self.row, assignment=self.digest)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, VitalwireError):
            self.audit(self.what + _FAILED, thumbprint=self.thumbprint, row=self.row, assignment=self.digest)
