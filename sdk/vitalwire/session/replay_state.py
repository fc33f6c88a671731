"""What must outlive a session so that nothing is believed twice and nothing is acknowledged that was not stored.

Per device: the chain over the frames its consumer made durable, the digests of the most recent of them, which of them
only a MAC proves, and its descriptors. Bounded, in one SQLite file; a commit is on the disk when `store` returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vitalwire import database
from vitalwire.messages import Frame
from vitalwire.session.chain import Chain, Hole, State, declarations, link_of
from vitalwire.session.unsealed import Row, Unsealed, demands
from vitalwire_protocol import spec

_SCHEMA = """
    CREATE TABLE chains (
        device BLOB PRIMARY KEY, head INTEGER NOT NULL, boot INTEGER NOT NULL, digest BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE holes (
        device BLOB NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, state INTEGER NOT NULL,
        before BLOB NOT NULL, before_boot INTEGER NOT NULL, after BLOB NOT NULL, after_boot INTEGER NOT NULL,
        gap_first INTEGER NOT NULL, gap_last INTEGER NOT NULL, PRIMARY KEY (device, first)
    ) WITHOUT ROWID;
    CREATE TABLE seen (
        device BLOB NOT NULL, seq INTEGER NOT NULL, digest BLOB NOT NULL, aside INTEGER NOT NULL,
        PRIMARY KEY (device, seq)
    ) WITHOUT ROWID;
    CREATE TABLE descriptors (digest BLOB PRIMARY KEY, device BLOB NOT NULL, seq INTEGER NOT NULL, raw BLOB NOT NULL)
        WITHOUT ROWID;
"""
_UNSEALED = """
    CREATE TABLE IF NOT EXISTS unsealed (
        device BLOB NOT NULL, seq INTEGER NOT NULL, digest BLOB NOT NULL, prev BLOB NOT NULL, wanted BLOB NOT NULL,
        PRIMARY KEY (device, seq)
    ) WITHOUT ROWID
"""
_VERSION = 1


class Seen(NamedTuple):
    """What is remembered of one durable frame; `aside`: it was quarantined, not believed."""

    digest: bytes  # 16 bytes
    aside: bool


class Stored(NamedTuple):
    """One frame its consumer has made durable."""

    device: bytes
    frame: Frame
    aside: bool
    proven: bool = True  # by a signature, its own or a seal's; else it is authentic only


class ReplayState(database.Keeper):
    """The durable side of a session, in the file at `path` or in memory only.

    `window` is how many of a device's latest numbers are remembered with their digests, `descriptors` how many of its
    descriptors.
    """

    def __init__(self, path: Path | str | None = None, *, window: int = 16384, descriptors: int = 16) -> None:
        self._database = database.connect(path, _SCHEMA, b"VWrs", _VERSION)
        self._database.execute(_UNSEALED)  # files of before there were seals have no such table
        self._window = window
        self._max_descriptors = descriptors
        self._chains: dict[bytes, Chain] = {}
        for device, head, boot, digest in self._database.execute("SELECT device, head, boot, digest FROM chains"):
            chain = self._chains[device] = Chain(device)
            chain.head, chain.boot, chain.digest = head, boot, digest
        for device, first, last, state, *rest in self._database.execute("SELECT * FROM holes ORDER BY device, first"):
            self._chains[device].holes.append(Hole(first, last, State(state), *rest))
        self._unsealed: dict[bytes, Unsealed] = {}
        for device, seq, *row in self._database.execute("SELECT * FROM unsealed"):
            self._unsealed.setdefault(device, Unsealed()).rows[seq] = Row(*row)

    def chain(self, device: bytes) -> Chain:
        """Return a copy of the chain over a device's durable frames."""
        found = self._chains.get(device)
        return found.copy() if found else Chain(device)

    def unsealed(self, device: bytes) -> Unsealed:
        """Return a copy of what only MACs prove of a device's durable frames."""
        found = self._unsealed.get(device)
        return found.copy() if found else Unsealed()

    def seen(self, device: bytes, seq: int) -> Seen | None:
        """Return what is remembered of a durable frame, or None if it is unknown or too long ago."""
        row = self._database.execute(
            "SELECT digest, aside FROM seen WHERE device = ? AND seq = ?", (device, seq)
        ).fetchone()
        return Seen(row[0], bool(row[1])) if row else None

    def accepted(self, device: bytes) -> dict[int, bytes]:
        """Return the digests (16 bytes) of the durable frames remembered of a device, by number."""
        rows = self._database.execute("SELECT seq, digest FROM seen WHERE device = ? AND NOT aside", (device,))
        return dict(rows.fetchall())

    def descriptors(self) -> Iterator[bytes]:
        """Yield the bytes of every descriptor frame remembered."""
        for (raw,) in self._database.execute("SELECT raw FROM descriptors ORDER BY device, seq"):
            yield raw

    def store(self, frames: Iterable[Stored]) -> None:
        """Remember frames that are durable now; when this returns, they may be acknowledged."""
        changed: dict[bytes, bool] = {}  # device: whether its holes changed
        chains: dict[bytes, Chain] = {}
        unsealed: dict[bytes, Unsealed] = {}
        with database.transaction(self._database):
            for device, frame, aside, proven in frames:
                link = link_of(frame)
                if device not in chains:
                    chains[device], unsealed[device] = self.chain(device), self.unsealed(device)
                chain, only_maced = chains[device], unsealed[device]
                if chain.is_open(frame.seq):
                    plain = frame.seq == chain.head + 1 and not frame.events
                    chain.add(link, declarations(frame))
                    changed[device] = changed.get(device, False) or not plain
                elif proven and frame.seq in only_maced:
                    del only_maced.rows[frame.seq]
                    chain.replace(link)
                    changed[device] = True
                if proven:
                    only_maced.cover(demands(frame))
                elif frame.seq not in only_maced:
                    only_maced.add(link)
                self._database.execute(
                    "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", (device, frame.seq, link.digest, aside)
                )
                if frame.kind == spec.Kind.DESCRIPTOR:
                    self._remember_descriptor(device, frame)
            for device, holes_changed in changed.items():
                self._save(chains[device], holes_changed)
            for device, rows in unsealed.items():
                self._save_unsealed(device, rows)
        self._chains |= chains
        self._unsealed |= unsealed

    def _save(self, chain: Chain, holes_changed: bool) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO chains VALUES (?, ?, ?, ?)", (chain.device, chain.head, chain.boot, chain.digest)
        )
        if holes_changed:
            self._database.execute("DELETE FROM holes WHERE device = ?", (chain.device,))
            self._database.executemany(
                "INSERT INTO holes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                ((chain.device, *_row(hole)) for hole in chain.holes),
            )
        self._database.execute(
            "DELETE FROM seen WHERE device = ? AND seq <= ?", (chain.device, chain.head - self._window)
        )

    def _save_unsealed(self, device: bytes, unsealed: Unsealed) -> None:
        before = self._unsealed[device].rows if device in self._unsealed else {}
        self._database.executemany(
            "DELETE FROM unsealed WHERE device = ? AND seq = ?",
            ((device, seq) for seq in before.keys() - unsealed.rows.keys()),
        )
        self._database.executemany(
            "INSERT OR REPLACE INTO unsealed VALUES (?, ?, ?, ?, ?)",
            ((device, seq, *row) for seq, row in unsealed.rows.items() if before.get(seq) != row),
        )

    def _remember_descriptor(self, device: bytes, frame: Frame) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO descriptors VALUES (?, ?, ?, ?)",
            (frame.digest[: spec.DIGEST_SIZE], device, frame.seq, frame.raw),
        )
        self._database.execute(
            "DELETE FROM descriptors WHERE device = ?1 AND seq <= "
            "(SELECT seq FROM descriptors WHERE device = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
            (device, self._max_descriptors),
        )


def _row(hole: Hole) -> tuple[object, ...]:
    ends = (hole.before, hole.before_boot, hole.after, hole.after_boot)
    return (hole.first, hole.last, int(hole.state), *ends, hole.gap_first, hole.gap_last)
