"""What workers find out of frames before their turn comes: whose signature is right, and the samples that are in them.

Nothing is decided here: whoever reads the frames in order asks about each, and does himself what no worker has done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from itertools import islice
from typing import NamedTuple, TypeAlias

from vitalwire.crew import AHEAD, Crew, result
from vitalwire.crypto import load_public_key, verify_sign1
from vitalwire.errors import InputError, SignatureError
from vitalwire.frame import parse
from vitalwire.messages import Descriptor, Frame
from vitalwire.signals import Signals, decode_many

CHUNK = 128  # frames that one worker looks at in one call
REMEMBERED = 3  # chunks of which is known what was found; more frames than wait for their times and for decoding
MAX_DESCRIPTORS = 16  # that workers are told of

Arrived: TypeAlias = tuple[bytes, int]  # a frame and when it arrived, UTC in microseconds


class Found(NamedTuple):
    """Of one frame: the descriptor it was looked at with, whether its key signed the frame, the samples."""

    descriptor: Descriptor
    signed: bool
    signals: Signals | InputError


class Ahead:
    """Frames go through unchanged, in order; what is asked for is about those that have come out lately."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._descriptors: dict[bytes, Descriptor] = {}
        self._found: deque[dict[bytes, Found]] = deque(maxlen=REMEMBERED)

    def learn(self, descriptor: Descriptor) -> None:
        """Take a descriptor that frames to come may name; it is its device's, somebody has seen to that."""
        if self._descriptors.get(descriptor.digest) is not descriptor:
            self._descriptors[descriptor.digest] = descriptor
            if len(self._descriptors) > MAX_DESCRIPTORS:
                del self._descriptors[next(iter(self._descriptors))]

    def frames(self, frames: Iterable[Arrived]) -> Iterator[Arrived]:
        """Yield the frames, each when it was looked at; a bounded number of them waits for that."""
        source = iter(frames)
        waiting: deque[tuple[list[Arrived], Future[list[Found | None]]]] = deque()
        while chunk := list(islice(source, CHUNK)):
            if self._descriptors:
                raws = [raw for raw, _ in chunk]
                waiting.append((chunk, self._crew.submit(look, raws, dict(self._descriptors))))
                if len(waiting) > AHEAD * self._crew.workers:
                    yield from self._taken(*waiting.popleft())
            else:
                yield from chunk
        while waiting:
            yield from self._taken(*waiting.popleft())

    def _taken(self, chunk: list[Arrived], looked: Future[list[Found | None]]) -> list[Arrived]:
        found: list[Found | None] = result(looked)
        pairs = zip(chunk, found, strict=True)
        self._found.append({raw: each for (raw, _), each in pairs if each is not None})
        return chunk

    def is_signed(self, raw: bytes, point: bytes) -> bool:
        """Return whether a worker has verified this frame's signature by the key of this point."""
        found = self._get(raw)
        return found is not None and found.signed and found.descriptor.public_key == point

    def signals(self, raw: bytes, descriptor: Descriptor) -> Signals | InputError | None:
        """Return what decoding this frame by this descriptor gave, or None if nobody has tried."""
        found = self._get(raw)
        return found.signals if found is not None and found.descriptor == descriptor else None

    def _get(self, raw: bytes) -> Found | None:
        return next((found[raw] for found in reversed(self._found) if raw in found), None)


def look(raws: list[bytes], descriptors: Mapping[bytes, Descriptor]) -> list[Found | None]:
    """Return what is found of frames, None for one that is private or names none of these; this runs in workers."""
    frames = [_readable(raw, descriptors) for raw in raws]
    keys = {digest: load_public_key(each.public_key) for digest, each in descriptors.items()}
    decoded = decode_many((frame, descriptor) for frame, descriptor in filter(None, frames))
    looked: list[Found | None] = []
    for each in frames:
        if each is None:
            looked.append(None)
            continue
        frame, descriptor = each
        try:
            verify_sign1(frame.raw, keys[descriptor.digest])
            signed = True
        except SignatureError:
            signed = False
        looked.append(Found(descriptor, signed, next(decoded)))
    return looked


def _readable(raw: bytes, descriptors: Mapping[bytes, Descriptor]) -> tuple[Frame, Descriptor] | None:
    try:
        frame = parse(raw)
    except InputError:
        return None
    descriptor = None if frame.descriptor is None else descriptors.get(frame.descriptor)
    return None if descriptor is None or frame.opaque is not None else (frame, descriptor)
