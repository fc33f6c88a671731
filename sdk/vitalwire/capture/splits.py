"""Where a capture file can be cut so that several readers may share it; says nothing about what stands between."""

from __future__ import annotations

import os

from vitalwire.errors import TransportError
from vitalwire_protocol.spec import Limit

from .scan import FRAME_HEAD, FormError, IncompleteError, frame_end

LOOK = 4 * Limit.MAX_FRAME  # bytes looked through for a frame's end


def splits(path: str | os.PathLike[str], step: int) -> list[int]:
    """Return offsets from 0 to the file's size, about `step` bytes apart, each behind what looks like a frame.

    Whether it is one only a reader of all that stands before can tell: the items it reads end there, or they do not.
    Raises TransportError if the file cannot be read.
    """
    found = [0]
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            while found[-1] + step < size:
                file.seek(found[-1] + step)
                end = _frame_end(file.read(LOOK))
                found.append(found[-1] + step + end)
    except OSError as error:
        raise TransportError(f"cannot read {os.fspath(path)}: {error.strerror}") from None
    if found[-1] < size:
        found.append(size)
    return found


def _frame_end(data: bytes) -> int:
    """Return where the first frame in `data` ends; without one, where `data` does."""
    for head in FRAME_HEAD.finditer(data):
        try:
            return frame_end(data, head.start())
        except (FormError, IncompleteError):
            continue
    return len(data)
