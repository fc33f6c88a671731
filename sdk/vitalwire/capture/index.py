"""Where in a capture a time or a sequence number is found; a cache beside the file, never a source of truth.

The index knows, for each stretch of the file, the lowest and highest sequence number and UTC within. Frames may stand
in any order and come from several devices, so a search gives stretches, and whoever reads them filters. The sidecar
file `NAME.index` holds the same arrays; one that does not fit the capture (replaced, cut, damaged) is thrown away and
built again, one that the capture has outgrown is extended.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vitalwire.errors import TransportError
from vitalwire_protocol.spec import Kind, Limit

from .reader import HEADER, Damage, Record, read
from .scan import MAX_TIME, peek

STRETCH = 1 << 16  # bytes of the capture that one entry covers, at least
ENDS = 4096  # bytes at both ends of the covered part that say whether it is still the same file

# The sidecar's own form, known to this file only: magic, bytes covered, stretches, descriptors, fingerprint.
SIDECAR = struct.Struct("<8sQII32s")
MAGIC = b"vwindex\x01"
STRETCHES = np.dtype([("offset", "<u8"), ("first_seq", "<u4"), ("last_seq", "<u4"), ("since", "<i8"), ("until", "<i8")])
DESCRIPTORS = np.dtype("<u8")
ANY_SEQ = (0, 2**32 - 1)
ANY_TIME = (-MAX_TIME, MAX_TIME)


@dataclass(slots=True)
class Index:
    """The stretches of one capture file and the offsets of its descriptors; `covered` bytes are indexed."""

    path: Path
    covered: int = len(HEADER)
    stretches: npt.NDArray[np.void] = field(default_factory=lambda: np.empty(0, STRETCHES))
    descriptors: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, DESCRIPTORS))

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, sidecar: bool = True) -> Index:
        """Return the index of a capture as it is now: from its sidecar if that fits, otherwise built and kept."""
        path = Path(path)
        index = (_load(path) if sidecar else None) or cls(path)
        if index._extend() and sidecar:
            index._save()
        return index

    def spans(
        self,
        *,
        seq: tuple[int, int] = ANY_SEQ,
        utc_us: tuple[int, int] = ANY_TIME,
    ) -> Iterator[tuple[int, int]]:
        """Yield (start, stop) offsets for `read` of the stretches that may hold frames within both closed ranges."""
        table = self.stretches
        wanted = (table["last_seq"] >= seq[0]) & (table["first_seq"] <= seq[1])
        wanted &= (table["until"] >= utc_us[0]) & (table["since"] <= utc_us[1])
        stops = np.append(table["offset"][1:], np.uint64(self.covered))
        start = stop = -1
        for first, last in zip(table["offset"][wanted].tolist(), stops[wanted].tolist(), strict=True):
            if first != stop:
                if start >= 0:
                    yield start, stop
                start = first
            stop = last
        if start >= 0:
            yield start, stop

    def _extend(self) -> bool:
        """Index what the capture has grown by; returns whether there was anything."""
        rows: list[tuple[int, int, int, int, int]] = []
        descriptors: list[int] = []
        row: list[int] | None = None
        for item in read(self.path, self.covered):
            if isinstance(item, Damage):
                if not item.torn:
                    self.covered = item.offset + item.length
                continue
            if row is None or item.offset - row[0] >= STRETCH:
                if row is not None:
                    rows.append(tuple(row))  # type: ignore[arg-type]
                row = [item.offset, *reversed(ANY_SEQ), *reversed(ANY_TIME)]
            seq, utc, is_descriptor = _position(item)
            row[1], row[2] = min(row[1], seq[0]), max(row[2], seq[1])
            row[3], row[4] = min(row[3], utc[0]), max(row[4], utc[1])
            if is_descriptor:
                descriptors.append(item.offset)
            self.covered = item.offset + len(item.raw)
        if row is None:
            return False
        rows.append(tuple(row))  # type: ignore[arg-type]
        self.stretches = np.append(self.stretches, np.array(rows, STRETCHES))
        self.descriptors = np.append(self.descriptors, np.array(descriptors, DESCRIPTORS))
        return True

    def _save(self) -> None:
        body = self.stretches.tobytes() + self.descriptors.tobytes()
        fingerprint = _fingerprint(self.path, self.covered)
        data = SIDECAR.pack(MAGIC, self.covered, len(self.stretches), len(self.descriptors), fingerprint) + body
        target = _sidecar(self.path)
        temporary = target.with_name(f"{target.name}.{os.getpid()}")
        with contextlib.suppress(OSError):  # a capture on a read-only medium is indexed anew each time
            temporary.write_bytes(data + hashlib.sha256(data).digest())
            temporary.replace(target)


def _load(path: Path) -> Index | None:
    """Return the index kept beside the capture, or None if there is none that fits."""
    try:
        data = _sidecar(path).read_bytes()
    except OSError:
        return None
    data, checksum = data[:-32], data[-32:]
    if len(data) < SIDECAR.size or hashlib.sha256(data).digest() != checksum:
        return None
    magic, covered, rows, count, fingerprint = SIDECAR.unpack_from(data)
    size = SIDECAR.size + rows * STRETCHES.itemsize + count * DESCRIPTORS.itemsize
    if magic != MAGIC or len(data) != size or fingerprint != _fingerprint(path, covered):
        return None
    stretches = np.frombuffer(data, STRETCHES, rows, SIDECAR.size)
    return Index(path, covered, stretches, np.frombuffer(data, DESCRIPTORS, count, SIDECAR.size + stretches.nbytes))


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".index")


def _fingerprint(path: Path, covered: int) -> bytes:
    """Return a digest of both ends of the first `covered` bytes; it tells a file replaced, cut or rewritten."""
    try:
        with open(path, "rb") as file:
            first = file.read(min(ENDS, covered))
            file.seek(max(0, covered - ENDS))
            last = file.read(min(ENDS, covered))
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise TransportError(f"cannot read {path}: {error.strerror}") from None
    return hashlib.sha256(first + last + bytes([size >= covered])).digest()


def _position(item: Record) -> tuple[tuple[int, int], tuple[int, int], bool]:
    """Return the ranges of sequence numbers and UTC a frame may be looked for under, and whether it is a descriptor."""
    head = peek(item.raw)
    if head is None or not 0 <= head.seq <= Limit.MAX_SEQ:
        return ANY_SEQ, ANY_TIME, False
    utc = item.received_us if head.utc_us is None else head.utc_us
    times = ANY_TIME if utc is None or abs(utc) > MAX_TIME else (utc, utc)
    return (head.seq, head.seq), times, head.kind == Kind.DESCRIPTOR


def select(
    path: str | os.PathLike[str],
    *,
    seq: tuple[int, int] = ANY_SEQ,
    utc_us: tuple[int, int] = ANY_TIME,
    sidecar: bool = True,
) -> Iterator[Record | Damage]:
    """Yield the frames of one capture file within both closed ranges, before them all of the file's descriptors.

    The ranges are compared with what frames say unverified: `UTC` or else the note of arrival; a frame that says
    neither is yielded. Descriptors come first, whatever their numbers. Errors as `read`.
    """
    index = Index.open(path, sidecar=sidecar)
    for offset in index.descriptors.tolist():
        yield from read(path, offset, offset + 1)
    for start, stop in index.spans(seq=seq, utc_us=utc_us):
        for item in read(path, start, stop):
            if isinstance(item, Record):
                seqs, times, is_descriptor = _position(item)
                if (
                    is_descriptor
                    or seqs[1] < seq[0]
                    or seqs[0] > seq[1]
                    or times[1] < utc_us[0]
                    or times[0] > utc_us[1]
                ):
                    continue
            yield item
