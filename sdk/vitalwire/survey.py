"""A capture gone through once, by as many workers as there are: the verdict, what is damaged, where frames stand.

The files are cut into pieces that workers judge apart; one in which all is in order is taken over, any other is read
again here, in its place. So the verdict is that of reading everything here, and all that is disputed is decided here.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vitalwire.capture import Damage, Record, parts, peek, read, splits
from vitalwire.crew import Crew
from vitalwire.errors import InputError, TransportError
from vitalwire.frame import parse
from vitalwire.frame.scan import scan
from vitalwire.registry import Registry
from vitalwire.verdict import MAX_DESCRIPTORS, Known, Part, Verdict, Verifier, judge_part
from vitalwire_protocol.spec import Kind

PIECE = 1 << 22  # bytes that one worker judges at a time
LONG = 1 << 27  # bytes from which on workers are worth starting
LONG_BY_SIGNATURES = 1 << 24  # the same where each signature is verified
WATCHED = 256  # frames between two words on how far it is

Watch = Callable[[int, int], None]  # bytes read, of so many


def files(path: str | Path) -> list[Path]:
    """Return the files of a capture, all of them if it was rotated. Raises TransportError if there is none."""
    found = parts(path)
    if not found:
        raise TransportError(f"cannot read {path}: no such file")
    return found


@dataclass(slots=True)
class Places:
    """Where frames stand, one row a frame: number, offset, time of arrival (-1: not noted) and which file."""

    numbers: array[int] = field(default_factory=lambda: array("q"))
    offsets: array[int] = field(default_factory=lambda: array("q"))
    received: array[int] = field(default_factory=lambda: array("q"))
    which: array[int] = field(default_factory=lambda: array("H"))

    def add(self, record: Record, file: int) -> None:
        """Add a frame."""
        self.numbers.append(_number(record.raw))
        self.offsets.append(record.offset)
        self.received.append(-1 if record.received_us is None else record.received_us)
        self.which.append(file)

    def extend(self, others: Places) -> None:
        """Add those of other places."""
        self.numbers.extend(others.numbers)
        self.offsets.extend(others.offsets)
        self.received.extend(others.received)
        self.which.extend(others.which)


@dataclass(frozen=True, slots=True)
class Survey:
    """`places` is empty where nobody wanted it; `thumbprints` are of the devices that descriptors name, unverified."""

    verdict: Verdict
    damage: tuple[tuple[Path, Damage], ...]
    places: Places
    thumbprints: tuple[bytes, ...]

    def stranger(self, registry: Registry) -> str:
        """Return what to do about a device that the capture names and the registry does not know, or nothing."""
        unknown = next((each for each in self.thumbprints if registry.get(each) is None), None)
        if unknown is None:
            return ""
        return f"if it is of your device, compare the fingerprint, then `vitalwire device enrol {unknown.hex()}`"


class _Piece(NamedTuple):
    file: int
    start: int
    stop: int


def survey(
    paths: Sequence[Path],
    registry: Registry,
    *,
    by_chain: bool = True,
    anchors: Mapping[bytes, tuple[int, bytes]] | None = None,
    placed: bool = False,
    crew: Crew | None = None,
    watch: Watch | None = None,
) -> Survey:
    """Go through files, judged together, with the workers of `crew` or here alone; `watch` hears how far it is.

    `by_chain` and `anchors` are as in `verdict.verify`. Raises CaptureError or TransportError if a file is no capture
    or cannot be read, WorkerError if a worker dies.
    """
    work = _Survey(paths, Verifier(registry, by_chain=by_chain, anchors=anchors), placed, watch)
    work.run(by_chain, crew)
    return Survey(work.verifier.result(), tuple(work.damage), work.places, tuple(work.thumbprints))


class _Survey:
    def __init__(self, paths: Sequence[Path], verifier: Verifier, placed: bool, watch: Watch | None) -> None:
        self.paths = paths
        self.verifier = verifier
        self.placed = placed
        self.watch = watch
        self.bounds = [splits(path, PIECE) for path in paths]
        self.total = sum(bounds[-1] for bounds in self.bounds)
        self.places = Places()
        self.damage: list[tuple[Path, Damage]] = []
        self.thumbprints: dict[bytes, None] = {}
        self._descriptors: set[bytes] = set()
        self._before = 0  # bytes of the files done with

    def run(self, by_chain: bool, crew: Crew | None) -> None:
        pieces = [
            _Piece(file, start, stop)
            for file, bounds in enumerate(self.bounds)
            for start, stop in zip(bounds, bounds[1:] or bounds, strict=False)
        ]
        found: Iterator[_Found | None] = iter(())
        if crew is not None and len(pieces) > 1:
            # The first piece is read here, because nothing is known before it.
            found = crew.map(
                _judge, ((self.paths[p.file], p, self.verifier.known(), by_chain, self.placed) for p in pieces[1:])
            )
        file, at = 0, 0
        for number, piece in enumerate(pieces):
            judged = next(found, None) if number else None
            if piece.file != file:
                self._before += self.bounds[file][-1]
                file, at = piece.file, 0
            if piece.start < at:
                continue  # something went on beyond where a piece seemed to end
            if judged is not None and self.verifier.take(judged.part):
                self.places.extend(judged.places)
                at = piece.stop
            else:
                at = self._read(piece)
            self._tell(at)

    def _read(self, piece: _Piece) -> int:
        """Read from a piece's start to the first bound where something ends; return that."""
        path, bounds = self.paths[piece.file], set(self.bounds[piece.file])
        at = piece.start
        for number, item in enumerate(read(path, piece.start, self.bounds[piece.file][-1])):
            at = self._take(item, piece.file)
            if at in bounds:
                break
            if number % WATCHED == 0:
                self._tell(at)
        else:
            at = self.bounds[piece.file][-1]
        self.verifier.cut()
        return at

    def _take(self, item: Record | Damage, file: int) -> int:
        if isinstance(item, Damage):
            self.damage.append((self.paths[file], item))
            return item.offset + item.length
        self.verifier.feed(item.raw, item.received_us)
        if self.placed:
            self.places.add(item, file)
        if scan(item.raw) is None:
            self._look_at_descriptor(item.raw)
        return item.offset + len(item.raw)

    def _look_at_descriptor(self, raw: bytes) -> None:
        head = peek(raw)
        digest = hashlib.sha256(raw).digest()
        if head is None or head.kind != Kind.DESCRIPTOR or digest in self._descriptors:
            return
        if len(self._descriptors) < MAX_DESCRIPTORS:
            self._descriptors.add(digest)
            try:
                body = parse(raw).body
            except InputError:
                return
            if body is not None:
                self.thumbprints[body.thumbprint] = None

    def _tell(self, at: int) -> None:
        if self.watch is not None:
            self.watch(self._before + at, self.total)


class _Found(NamedTuple):
    """What a worker says of a piece that is in order."""

    part: Part
    places: Places


def _judge(path: Path, piece: _Piece, known: Mapping[bytes, Known], by_chain: bool, placed: bool) -> _Found | None:
    """Judge a piece; None where it is not in order: damaged, cut elsewhere than between items, or not all proven."""
    places = Places()
    records: list[tuple[bytes, int | None]] = []
    at = piece.start
    for item in read(path, piece.start, piece.stop):
        if isinstance(item, Damage):
            return None
        at = item.offset + len(item.raw)
        records.append((item.raw, item.received_us))
        if placed:
            places.add(item, piece.file)
    part = judge_part(records, known, by_chain=by_chain) if at == piece.stop else None
    return None if part is None else _Found(part, places)


def _number(raw: bytes) -> int:
    """Return a frame's number, or 0 where it has none."""
    scanned = scan(raw)
    if scanned is not None:
        return scanned[0]
    head = peek(raw)
    return 0 if head is None else head.seq
