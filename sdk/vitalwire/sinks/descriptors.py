"""Descriptors as sinks need them: learnt from the frames that pass, or asked for by digest; so many are remembered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

from vitalwire.messages import Descriptor, Frame

FindDescriptor: TypeAlias = Callable[[bytes], Descriptor | None]  # by digest (8 bytes)

MAX_DESCRIPTORS = 4096


class Descriptors:
    """Remembers the descriptors used last, `MAX_DESCRIPTORS` at most; asks `find` for one it does not know."""

    def __init__(self, find: FindDescriptor | None = None) -> None:
        self._find = find
        self._known: OrderedDict[bytes, Descriptor] = OrderedDict()

    def of(self, frame: Frame) -> Descriptor | None:
        """Return the descriptor that a frame is or names, None if nobody knows it."""
        found, digest = frame.body, frame.descriptor
        if found is not None:
            digest = found.digest
        elif digest is not None:
            found = self._known.get(digest)
            if found is None and self._find is not None:
                found = self._find(digest)
        if found is not None and digest is not None:
            self._known[digest] = found
            self._known.move_to_end(digest)
            if len(self._known) > MAX_DESCRIPTORS:
                self._known.popitem(last=False)
        return found
