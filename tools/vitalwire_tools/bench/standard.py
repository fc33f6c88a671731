"""One minute of the standard profile from the virtual board: what the host's and the wire's figures stand on."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vitalwire import crypto
from vitalwire.client import Client, VerifiedFrame
from vitalwire.errors import TransportError
from vitalwire.messages import Descriptor
from vitalwire.registry import Registry
from vitalwire.session import ReplayState
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Key, Kind

from ..virtual.board import VirtualBoard
from ..virtual.machine import Options, create

SECONDS = 60
SPEED = 20.0
PATIENCE = 120.0  # seconds of real time


@dataclass(frozen=True, slots=True)
class Minute:
    """The data frames of one minute, verified, all of one descriptor, and every frame that came with them."""

    frames: tuple[VerifiedFrame, ...]
    everything: tuple[bytes, ...]

    @property
    def descriptor(self) -> Descriptor:
        """What they mean."""
        return self.frames[0].descriptor

    @property
    def seconds(self) -> float:
        """How long the signal in the data frames lasts."""
        longest = self.descriptor.streams[0][0]
        assert longest.rate is not None
        return sum(len(frame.signals[longest.name]) for frame in self.frames) / float(longest.rate)


@cache
def minute() -> Minute:
    """Run the virtual board for a minute of its time. Raises TransportError if it delivers nothing."""
    frames: list[VerifiedFrame] = []
    with tempfile.TemporaryDirectory() as folder:
        identity = create(Path(folder))
        with (
            Registry() as registry,
            VirtualBoard(Options(Path(folder), speed=SPEED, cpu="esp32")) as board,
        ):
            registry.enrol(crypto.thumbprint(identity.public_key), "virtual", secret=identity.secret)
            options: dict[str, Any] = {"registry": registry, "state": ReplayState(), "set_time": False, "settle": 0.0}
            give_up = time.monotonic() + PATIENCE
            with Client(board.url, **options) as client:
                client.open()
                while not frames or frames[-1].frame.ticks < SECONDS * 1_000_000:
                    if time.monotonic() > give_up:
                        raise TransportError("the virtual board did not deliver a minute of signal")
                    frame = client.receive(timeout=1.0)
                    if frame is not None:
                        frames.append(frame)
    data = tuple(frame for frame in frames if frame.kind == Kind.DATA)
    return Minute(data, tuple(frame.raw for frame in frames))


def chained(count: int, signal: Minute) -> tuple[FakeDevice, list[bytes]]:
    """Return `count` frames with the minute's blocks again and again, one chain under a key of this process.

    The first is the descriptor.
    """
    device = FakeDevice("bench", channels=signal.descriptor.channels)
    raws = [device.descriptor()]
    pieces = [_carried(frame) for frame in signal.frames]
    for number in range(count - 1):
        device.ticks += 2_000_000
        raws.append(device.make(Kind.DATA, pieces[number % len(pieces)]))
    return device, raws


def _carried(frame: VerifiedFrame) -> dict[int, object]:
    carried: dict[int, object] = {}
    if frame.frame.blocks is not None:
        carried[Key.BLOCKS] = frame.frame.blocks
    if frame.frame.scalars:
        ticks = frame.frame.ticks
        carried[Key.SCALARS] = [[each.channel, each.ticks - ticks, each.counts] for each in frame.frame.scalars]
    return carried


def rates(work: Sequence[Any], count: int, rounds: int) -> list[float]:
    """Return how many of `count` things a second of one core each callable does, best of `rounds` taken in turns."""
    best = [float("inf")] * len(work)
    gc.collect()
    gc.freeze()  # what the benchmark itself holds is not gone through again and again
    for _ in range(rounds):
        for place, each in enumerate(work):
            began = time.process_time()
            each()
            best[place] = min(best[place], time.process_time() - began)
    gc.unfreeze()
    return [count / seconds for seconds in best]
