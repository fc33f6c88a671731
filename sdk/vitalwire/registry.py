"""Which devices a reader trusts: enrolled by thumbprint, revoked for good. It asks nobody and decides nothing else.

A device's secret lies in the same file, which only its owner can read, and leaves it through `secret` alone: no
`Device`, text or error holds one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vitalwire import database
from vitalwire.errors import RevokedError, UsageError
from vitalwire_protocol import spec

_SCHEMA = """
    CREATE TABLE devices (
        thumbprint BLOB PRIMARY KEY, name TEXT NOT NULL, enrolled_us INTEGER NOT NULL, revoked_us INTEGER
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX trusted_names ON devices (name) WHERE revoked_us IS NULL;
    CREATE TABLE secrets (thumbprint BLOB PRIMARY KEY REFERENCES devices, secret BLOB NOT NULL) WITHOUT ROWID;
"""
_VERSION = 1
_PAPERS = """CREATE TABLE IF NOT EXISTS papers (
    thumbprint BLOB PRIMARY KEY REFERENCES devices,
    certificate BLOB NOT NULL, board TEXT NOT NULL, firmware TEXT NOT NULL
) WITHOUT ROWID"""  # younger than the files of version 1, which gain it when they are opened
_FRESH_SECONDS = 0.2  # for so long a change made by another process may go unseen
_LEAST_PREFIX = 4  # hexadecimal digits


@dataclass(frozen=True, slots=True)
class Device:
    """One enrolled device; times are UTC in microseconds since 1970."""

    thumbprint: bytes  # 32 bytes, RFC 9679
    name: str
    enrolled_us: int
    revoked_us: int | None = None


@dataclass(frozen=True, slots=True)
class Papers:
    """What a device got when it was provisioned: its X.509 certificate (DER), its board, the firmware it had then."""

    thumbprint: bytes
    certificate: bytes
    board: str
    firmware: str


class Registry(database.Keeper):
    """The devices of one reader in the file at `path`, or in memory only.

    Several processes may use the file at once; each sees the others' changes within 0.2 s.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self._database = database.connect(path, _SCHEMA, b"VWrg", _VERSION)
        self._database.execute(_PAPERS)
        self._devices: dict[bytes, Device] = {}
        self._version = -1
        self._checked = float("-inf")

    # ------------------------------------------------------------ reading

    def get(self, thumbprint: bytes) -> Device | None:
        """Return the device, revoked ones too, or None if it was never enrolled."""
        if time.monotonic() - self._checked > _FRESH_SECONDS:
            self._refresh()
        return self._devices.get(thumbprint)

    def __iter__(self) -> Iterator[Device]:
        """Yield all devices, in order of name."""
        self._refresh()
        return iter(sorted(self._devices.values(), key=lambda device: device.name))

    def find(self, text: str) -> Device:
        """Return the device of this name, or whose thumbprint begins with these (4 or more) hexadecimal digits.

        A trusted device goes before revoked ones of its name. Raises `UsageError` if there is none or more than one.
        """
        named = [device for device in self if device.name == text]
        found = [device for device in named if device.revoked_us is None] or named
        if not found and len(text) >= _LEAST_PREFIX:
            found = [device for device in self if device.thumbprint.hex().startswith(text.lower())]
        if len(found) != 1:
            raise UsageError(
                f"{len(found) or 'no'} enrolled device{'s' * (len(found) != 1)} of that name or thumbprint",
                advice="`vitalwire device list` shows them",
            )
        return found[0]

    def secret(self, thumbprint: bytes) -> bytes | None:
        """Return the 32 bytes provisioned on the device, or None if this registry does not hold them."""
        row = self._database.execute("SELECT secret FROM secrets WHERE thumbprint = ?", (thumbprint,)).fetchone()
        return row[0] if row else None

    def papers(self, thumbprint: bytes) -> Papers | None:
        """Return the device's papers, or None if this registry holds none."""
        row = self._database.execute("SELECT * FROM papers WHERE thumbprint = ?", (thumbprint,)).fetchone()
        return Papers(*row) if row else None

    def _refresh(self) -> None:
        (version,) = self._database.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            rows = self._database.execute("SELECT thumbprint, name, enrolled_us, revoked_us FROM devices")
            self._devices = {row[0]: Device(*row) for row in rows}
            self._version = version
        self._checked = time.monotonic()

    # ------------------------------------------------------------ changing

    def enrol(self, thumbprint: bytes, name: str, *, secret: bytes | None = None, now_us: int | None = None) -> Device:
        """Trust a device from now on; again with another name or secret, it gets those.

        Raises `RevokedError` for a device once revoked, `UsageError` for a name already taken, or a thumbprint or
        secret of another size.
        """
        if len(thumbprint) != spec.THUMBPRINT_SIZE:
            raise UsageError(f"a thumbprint has {spec.THUMBPRINT_SIZE} bytes")
        if secret is not None and len(secret) != spec.SECRET_SIZE:
            raise UsageError(f"a secret has {spec.SECRET_SIZE} bytes")
        if not name.isprintable() or not name.strip() or len(name.encode()) > spec.Limit.MAX_TEXT:
            raise UsageError(f"a name is 1 to {spec.Limit.MAX_TEXT} bytes of printable text")
        with database.transaction(self._database):
            rows = self._database.execute(
                "SELECT thumbprint, revoked_us FROM devices WHERE thumbprint = ? OR name = ? AND revoked_us IS NULL",
                (thumbprint, name),
            ).fetchall()
            if any(found != thumbprint for found, _ in rows):
                raise UsageError(f"another device is enrolled as {name}", advice="give this one another name")
            if any(revoked is not None for _, revoked in rows):
                raise RevokedError("this device was revoked", advice="give it a new key and enrol that one")
            self._database.execute(
                "INSERT INTO devices VALUES (?, ?, ?, NULL) ON CONFLICT DO UPDATE SET name = excluded.name",
                (thumbprint, name, _now(now_us)),
            )
            if secret is not None:
                self._database.execute("INSERT OR REPLACE INTO secrets VALUES (?, ?)", (thumbprint, secret))
        return self._changed(thumbprint)

    def certify(self, thumbprint: bytes, certificate: bytes, board: str, firmware: str) -> Papers:
        """Keep the papers of an enrolled device, in place of older ones; raises `UsageError` for one never enrolled."""
        if self.get(thumbprint) is None:
            raise UsageError("this device was never enrolled")
        papers = Papers(thumbprint, certificate, board, firmware)
        self._database.execute(
            "INSERT OR REPLACE INTO papers VALUES (?, ?, ?, ?)", (thumbprint, certificate, board, firmware)
        )
        return papers

    def revoke(self, thumbprint: bytes, *, now_us: int | None = None) -> Device:
        """Withdraw trust for good and forget the secret; revoking again changes nothing.

        Raises `UsageError` for a device that was never enrolled.
        """
        with database.transaction(self._database):
            self._database.execute(
                "UPDATE devices SET revoked_us = ? WHERE thumbprint = ? AND revoked_us IS NULL",
                (_now(now_us), thumbprint),
            )
            self._database.execute("DELETE FROM secrets WHERE thumbprint = ?", (thumbprint,))
        return self._changed(thumbprint)

    def _changed(self, thumbprint: bytes) -> Device:
        self._version = -1  # the pragma counts the changes of others only
        self._refresh()
        device = self._devices.get(thumbprint)
        if device is None:
            raise UsageError("this device was never enrolled")
        return device


def _now(given: int | None) -> int:
    return time.time_ns() // 1000 if given is None else given
