"""What formats need that write a record at once: a stretch gathered in memory, which MAX_SAMPLES bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .csv import beside
from .files import Files
from .stretches import Begin, End, Part, Piece, Samples, Stretch, mark_name


@dataclass(slots=True)
class Gathered:
    """A whole stretch: `counts` of the shape (samples, channels), marks as (first sample, samples, text)."""

    stretch: Stretch
    pieces: list[NDArray[np.int32]] = field(default_factory=list)
    marks: list[tuple[int, int, str]] = field(default_factory=list)
    samples: int = 0

    def add(self, piece: Piece) -> None:
        """Take what one frame adds; runs of marks that continue at a frame's edge become one."""
        for place, run in piece.marks:
            text = f"{mark_name(run.mark)} {self.stretch.channels[place].name}"
            start, length = self.samples + run.start, run.length
            for number, (first, before, said) in enumerate(self.marks[-8:], max(0, len(self.marks) - 8)):
                if said == text and first + before == start:
                    self.marks[number] = (first, before + length, text)
                    break
            else:
                self.marks.append((start, length, text))
        self.pieces.append(piece.counts)
        self.samples += len(piece.counts)

    @property
    def counts(self) -> NDArray[np.int32]:
        """All counts."""
        return np.concatenate(self.pieces)

    @property
    def began(self) -> datetime | None:
        """When the first sample was taken, UTC without a zone; None if nobody knows."""
        start = self.stretch.start
        return None if start != start else datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None) + timedelta(0, start)

    @property
    def title(self) -> str:
        """A name for the stretch's file: letters, digits, hyphens and underlines."""
        return f"{self.stretch.title}-{self.stretch.number:04d}"


Save: TypeAlias = Callable[[Files, Gathered], str]


class RecordWriter:
    """Calls `save` with each complete stretch; readings and events go into CSV files beside."""

    def __init__(self, files: Files, save: Save) -> None:
        self._files = files
        self._save = save
        self._beside = beside(files)
        self._open: dict[int, Gathered] = {}

    def write(self, part: Part) -> None:
        """Write one part."""
        match part:
            case Begin(stretch):
                self._open[id(stretch)] = Gathered(stretch)
            case Samples(stretch, piece):
                self._open[id(stretch)].add(piece)
            case End(stretch):
                stretch.file = self._save(self._files, self._open.pop(id(stretch)))
            case _:
                self._beside.write(part)

    def close(self) -> None:
        """Complete all files."""
        self._beside.close()
