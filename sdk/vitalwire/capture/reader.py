"""Captures read as a stream: one item after the other, in bounded memory; verifies nothing.

What is not an item is reported as `Damage` in its place, and reading goes on at the next frame: nothing is skipped
without a word. Use `read` for one file, `parts` for the files of a rotated capture.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vitalwire import cbor
from vitalwire.errors import CaptureError, TransportError
from vitalwire_protocol.spec import CAPTURE_FORMAT, VERSION, NoteKey

from .scan import FRAME_HEAD, FRAME_HEAD_SIZE, FormError, IncompleteError, frame_end, note

CHUNK = 1 << 20
HEADER = cbor.encode({NoteKey.FORMAT.value: CAPTURE_FORMAT, NoteKey.VERSION.value: VERSION})


class Record(NamedTuple):
    """One frame of a capture: where it begins in its file, its bytes, and when it arrived (UTC in us, a mere note)."""

    offset: int
    raw: bytes
    received_us: int | None


class Damage(NamedTuple):
    """Bytes that are no item; `torn` if nothing readable follows, as after a power cut in the middle of a write."""

    offset: int
    length: int
    reason: str
    torn: bool


class _Window:
    """A few bytes of a file: as many as the longest item needs, refilled a chunk at a time."""

    def __init__(self, file: BinaryIO, offset: int, stop: int | None) -> None:
        file.seek(offset)
        self.file = file
        self.base = offset  # the file offset of data[0]
        self.data = b""
        self.at = 0
        self.stop = stop
        self.ended = False

    @property
    def offset(self) -> int:
        return self.base + self.at

    def fill(self) -> bool:
        """Read one more chunk, dropping what stands before `at`; False at the end of the file."""
        chunk = b"" if self.ended else self.file.read(CHUNK)
        self.ended = not chunk
        if chunk:
            self.data = self.data[self.at :] + chunk
            self.base += self.at
            self.at = 0
        return bool(chunk)


def read(path: str | os.PathLike[str], start: int = 0, stop: int | None = None) -> Iterator[Record | Damage]:
    """Yield the frames that begin in [start, stop) of one capture file, in the order they were written.

    `start` is 0 or the offset of an item. Memory does not grow with the file. Raises CaptureError if the file is not a
    capture of a version known here (nothing is yielded then), TransportError if it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            torn = _check_header(file, path)
            if torn is not None:
                yield torn
                return
            yield from _items(_Window(file, max(start, len(HEADER)), stop))
    except OSError as error:
        raise TransportError(f"cannot read {os.fspath(path)}: {error.strerror}") from None


def _check_header(file: BinaryIO, path: str | os.PathLike[str]) -> Damage | None:
    first = file.read(len(HEADER))
    if first == HEADER:
        return None
    if HEADER.startswith(first):
        return Damage(0, len(first), "the file ends within its first note", torn=True)
    if first[:-1] != HEADER[:-1]:
        raise CaptureError(f"{os.fspath(path)} is not a capture", reason="format")
    advice = "It was written by a newer version."
    raise CaptureError(f"{os.fspath(path)} is a capture of another version", reason="version", advice=advice)


def _items(window: _Window) -> Iterator[Record | Damage]:
    received: int | None = None
    while window.stop is None or window.offset < window.stop:
        try:
            end = frame_end(window.data, window.at)
        except IncompleteError:
            if not window.fill():
                if window.at < len(window.data):
                    yield from _resynchronise(window, "an item that is not whole")
                    continue
                return
            continue
        except FormError as error:
            try:
                noted, end = note(window.data, window.at)
            except IncompleteError:
                if not window.fill():
                    yield from _resynchronise(window, "a note that is not whole")
            except FormError as inner:
                yield from _resynchronise(window, f"{error}, {inner}")
                received = None
            else:
                received = received if noted is None else noted
                window.at = end
            continue
        yield Record(window.offset, window.data[window.at : end], received)
        received = None
        window.at = end


def _resynchronise(window: _Window, reason: str) -> Iterator[Damage]:
    """Go on at the next whole frame, and report what stood before it."""
    began = window.offset
    window.at += 1
    while True:
        found = FRAME_HEAD.search(window.data, window.at)
        if found is None:
            # A head may straddle the chunk's end; what lies before it is done with.
            window.at = max(window.at, len(window.data) - FRAME_HEAD_SIZE + 1)
            if window.fill():
                continue
            break
        window.at = found.start()
        try:
            frame_end(window.data, window.at)
        except IncompleteError:
            if window.fill():
                continue
            window.at += 1
        except FormError:
            window.at += 1
        else:
            yield Damage(began, window.offset - began, reason, torn=False)
            return
    window.at = len(window.data)
    yield Damage(began, window.offset - began, reason, torn=True)


def numbered(path: str | os.PathLike[str]) -> dict[int, Path]:
    """Return the existing files of a capture by number: 0 is `path` itself, n is `NAME-0000n.EXT`."""
    whole = Path(path)
    pattern = re.compile(re.escape(whole.stem) + r"-(\d{5,9})" + re.escape(whole.suffix))
    found = {int(match[1]): entry for entry in whole.parent.glob("*") if (match := pattern.fullmatch(entry.name))}
    return ({0: whole} if whole.exists() else {}) | dict(sorted(found.items()))


def parts(path: str | os.PathLike[str]) -> list[Path]:
    """Return the existing files of a capture in the order they were written."""
    return list(numbered(path).values())
