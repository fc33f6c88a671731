"""Frames kept aside until something arrives that they need; bounded in bytes, the longest wait gives way first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from vitalwire.messages import Frame

_OVERHEAD = 512  # of the objects around a frame, roughly, so that small frames are not free

K = TypeVar("K", bound=Hashable)


May: TypeAlias = Callable[[bytes], bool]  # whether a peer may speak for the device of this thumbprint


class Kept(NamedTuple):
    """One frame kept aside, when it came, and whom its bringer may speak for (None: everybody)."""

    frame: Frame
    received_us: int
    may: May | None = None


class Waiting(Generic[K]):
    """Frames by what they wait for, the same bytes once."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[bytes, tuple[K, Kept]] = OrderedDict()  # by the frame's digest
        self._by_need: dict[K, dict[bytes, None]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, need: K) -> bool:
        return need in self._by_need

    def add(self, need: K, frame: Frame, received_us: int, may: May | None = None) -> list[Kept]:
        """Keep a frame; return those that had to give way (never the new one)."""
        if frame.digest in self._kept:
            return []
        self._kept[frame.digest] = need, Kept(frame, received_us, may)
        self._by_need.setdefault(need, {})[frame.digest] = None
        self._bytes += len(frame.raw) + _OVERHEAD
        gone: list[Kept] = []
        while self._bytes > self._max_bytes and len(self._kept) > 1:
            gone.append(self._remove(next(iter(self._kept))))
        return gone

    def take(self, need: K) -> list[Kept]:
        """Return and forget the frames that wait for this, in order of arrival."""
        return [self._remove(digest) for digest in list(self._by_need.get(need, ()))]

    def take_all(self) -> list[Kept]:
        """Return and forget everything."""
        return [self._remove(digest) for digest in list(self._kept)]

    def _remove(self, digest: bytes) -> Kept:
        need, kept = self._kept.pop(digest)
        group = self._by_need[need]
        del group[digest]
        if not group:
            del self._by_need[need]
        self._bytes -= len(kept.frame.raw) + _OVERHEAD
        return kept
