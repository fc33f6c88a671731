"""Storing what a client reads: frames into a capture, and only what is durable there is acknowledged to its device.

The order is the guarantee: write, fsync, then `Client.durable`. A crash between any two of these costs nothing; frames
already stored come again and are duplicates in the capture.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from vitalwire.capture import Writer
from vitalwire.client import Client, ClientEvent, Connected, VerifiedFrame
from vitalwire.session import (
    Burned,
    ChainBreak,
    Dropped,
    Duplicate,
    GapForgotten,
    Quarantined,
    Refused,
    ReplayState,
    Session,
)
from vitalwire_protocol.spec import DIGEST_SIZE, Kind

TOGETHER = 64  # frames stored by one fsync, at most


@dataclass(slots=True)
class Counts:
    """What was read so far, in frames unless named otherwise; `hear` wants every event of the client."""

    frames: int = 0
    size: int = 0  # bytes
    duplicates: int = 0
    forgotten: int = 0
    burned: int = 0
    dropped: int = 0
    breaks: int = 0
    connections: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # quarantined ones too, by reason
    devices: dict[bytes, str] = field(default_factory=dict)  # names by thumbprint
    last: dict[str, int] = field(default_factory=dict)  # highest number by name

    def hear(self, event: ClientEvent) -> None:
        """Count one event of a client."""
        match event:
            case Connected():
                self.connections += 1
            case Duplicate():
                self.duplicates += 1
            case GapForgotten(_, first, last):
                self.forgotten += last - first + 1
            case Burned(_, first, last):
                self.burned += last - first + 1
            case Dropped(_, first, last):
                self.dropped += last - first + 1
            case ChainBreak():
                self.breaks += 1
            case Refused(reason) | Quarantined(_, reason):
                self.refused[reason.value] += 1
            case _:
                pass

    def take(self, frame: VerifiedFrame) -> None:
        """Count one verified frame."""
        self.frames += 1
        self.size += len(frame.raw)
        self.devices[frame.device] = frame.name
        self.last[frame.name] = max(frame.seq, self.last.get(frame.name, 0))

    def missing(self, session: Session) -> int:
        """Return how many numbers of the devices seen are missing now and unexplained."""
        ranges = (each for device in self.devices for each in session.gaps(device))
        return self.forgotten + sum(last - first + 1 for first, last in ranges)

    def authentic(self, session: Session) -> int:
        """Return how many frames of the devices seen only a MAC proves so far."""
        ranges = (each for device in self.devices for each in session.authentic(device))
        return sum(last - first + 1 for first, last in ranges)

    def as_dict(self, session: Session) -> dict[str, object]:
        """Return the counts for JSON."""
        return {
            "frames": self.frames,
            "authentic": self.authentic(session),
            "bytes": self.size,
            "duplicates": self.duplicates,
            "missing": self.missing(session),
            "burned": self.burned,
            "dropped": self.dropped,
            "breaks": self.breaks,
            "refused": dict(self.refused),
            "connections": self.connections,
            "last": dict(self.last),
        }


class Recorder:
    """Takes frames out of `client`, which must not acknowledge by itself, and puts them into `writer`.

    `state` is the client's: it remembers the descriptors that no device sends again, and no capture may lack.
    """

    def __init__(self, client: Client, writer: Writer, state: ReplayState) -> None:
        self._client = client
        self._writer = writer
        self._descriptors = {_digest(raw): raw for raw in state.descriptors()}

    def take(self, timeout: float, most: int | None = None) -> list[VerifiedFrame]:
        """Wait for frames, store those that are there and acknowledge them; they are durable when this returns.

        Returns what was stored: at most `most` frames, after `timeout` seconds perhaps none. Raises TransportError if
        the capture cannot be written: nothing is acknowledged then.
        """
        stored = list(self._arrived(timeout, TOGETHER if most is None else min(most, TOGETHER)))
        for frame in stored:
            if frame.kind == Kind.DESCRIPTOR:
                self._descriptors[_digest(frame.raw)] = frame.raw
            needed = self._descriptors.get(frame.frame.descriptor or b"")
            self._writer.write(frame.raw, frame.verified.received_us, needed)
        if stored:
            self._writer.sync()
            self._client.durable(stored)
        return stored

    def _arrived(self, timeout: float, most: int) -> Iterator[VerifiedFrame]:
        for _ in range(most):
            frame = self._client.receive(timeout)
            if frame is None:
                return
            yield frame
            timeout = 0.0


def _digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()[:DIGEST_SIZE]
