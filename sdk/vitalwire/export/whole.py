"""What formats need that write a record at once: a stretch gathered in memory, which MAX_SAMPLES bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vitalwire.crew import Crew, result

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
    def bounds(self) -> tuple[int, int]:
        """The least and the greatest count."""
        return min(int(each.min()) for each in self.pieces), max(int(each.max()) for each in self.pieces)

    @property
    def began(self) -> datetime | None:
        """When the first sample was taken, UTC without a zone; None if nobody knows."""
        start = self.stretch.start
        return None if start != start else datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None) + timedelta(0, start)

    @property
    def title(self) -> str:
        """A name for the stretch's file: letters, digits, hyphens and underlines."""
        return f"{self.stretch.title}-{self.stretch.number:04d}"


class Record(NamedTuple):
    """A way to write records: `names` are their files, the first of which stands for all, `save` is the work."""

    names: Callable[[Files, Gathered], list[Path]]
    save: Callable[[list[Path], Gathered], None]


class RecordWriter:
    """Saves each complete stretch, with the workers of a crew if given; readings and events go into CSV files beside.

    As many stretches as there are workers are in memory besides those that grow.
    """

    def __init__(self, files: Files, form: Record, crew: Crew | None) -> None:
        self._files = files
        self._form = form
        self._crew = crew
        self._saving: deque[Future[None]] = deque()
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
                gathered = self._open.pop(id(stretch))
                names = self._form.names(self._files, gathered)
                stretch.file = names[0].name
                self._finish(names, gathered)
            case _:
                self._beside.write(part)

    def close(self) -> None:
        """Complete all files."""
        while self._saving:
            result(self._saving.popleft())
        self._beside.close()

    def _finish(self, names: list[Path], gathered: Gathered) -> None:
        if self._crew is None:
            self._form.save(names, gathered)
            return
        if len(self._saving) >= self._crew.workers:
            result(self._saving.popleft())
        self._saving.append(self._crew.submit(self._form.save, names, gathered))
