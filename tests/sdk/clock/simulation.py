"""Chips whose oscillators drift, a device that reads them late, and a reader who knows the true times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from vitalwire.clock import DeviceClock, Pending
from vitalwire.messages import Channel, Decimal10, Descriptor, Event, Frame, MarkRun, Readout
from vitalwire_protocol import spec

Floats = npt.NDArray[np.float64]
TOLERANCE = 0.005  # seconds: what the project promises
UTC0 = 1_800_000_000.0
RATES = (256, 100, 52)
HELD = 10  # frames shown at most before the first is asked for


def channel(id: int, stream: int, rate: int) -> Channel:
    """Return a channel of which only stream and rate matter here."""
    one = Decimal10(1, 0)
    return Channel(id, f"c{id}", None, "1", "chip", stream, Fraction(rate), 16, one, Decimal10(0, 0))


DESCRIPTOR = Descriptor(
    digest=bytes(8), version=1, device="d", public_key=bytes(65), thumbprint=bytes(32), board="b", firmware="f",
    policy=1, channels=tuple(channel(number, number, rate) for number, rate in enumerate(RATES)),
)  # fmt: skip


def steady(drift: float) -> Callable[[Floats], Floats]:
    """Return chip seconds over device seconds of an oscillator that is off by `drift`."""
    return lambda t: t * (1 + drift)


def warming(drift: float, by: float = 1e-3, over: float = 300.0) -> Callable[[Floats], Floats]:
    """Return the same of one that speeds up by `by` while it warms up."""
    return lambda t: t * (1 + drift) + by * (t - over * (1 - np.exp(-t / over)))


def swinging(drift: float, by: float = 1e-3, period: float = 1200.0) -> Callable[[Floats], Floats]:
    """Return the same of one whose rate follows a slowly changing temperature."""
    return lambda t: t * (1 + drift) + by * period / 2 / np.pi * (1 - np.cos(2 * np.pi * t / period))


Lateness = Callable[[np.random.Generator], float]
LATE: dict[str, Lateness] = {
    "prompt": lambda rng: rng.uniform(0, 0.0005),
    "polled": lambda rng: rng.uniform(0, 0.004),
    "loop": lambda rng: rng.exponential(0.003),
    "signing": lambda rng: rng.uniform(0, 0.002) + (rng.uniform(0, 0.06) if rng.random() < 0.15 else 0.0),
}


@dataclass
class Simulation:
    """A device whose truth is known: chips with clocks of their own, a crystal, late readouts."""

    chips: tuple[Callable[[Floats], Floats], ...]
    late: Lateness
    crystal: float = 20e-6
    accuracy: int = 10  # of the UTC in frames: 2**10 us
    seed: int = 0
    boot: int = 1
    seq: int = 0
    told_utc: bool = True
    boot_utc: float = UTC0
    taken: list[int] = field(default_factory=lambda: [0, 0, 0])  # samples of each chip read so far
    ready: list[Floats] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.error = self.rng.uniform(-1, 1) * 2.0 ** (self.accuracy - 1)  # of the UTC the device was told, in us
        self.power_on(self.boot_utc)

    def power_on(self, utc: float) -> None:
        """Begin the device's time, and with it all chips'."""
        self.boot_utc, self.now, self.taken = utc, 0.0, [0, 0, 0]
        grid = np.arange(0.0, 8000.0, 0.25)
        self.ready = []  # of each chip: when each sample was ready, in device seconds
        for rate, chip in zip(RATES, self.chips, strict=True):
            phase = chip(grid)
            self.ready.append(np.interp(np.arange(1, int(phase[-1] * rate)) / rate, phase, grid))

    def truth(self, stream: int, first: int, count: int) -> Floats:
        """Return the UTC at which samples were ready."""
        return self.utc(self.ready[stream][first : first + count])

    def utc(self, elapsed: Floats | float) -> Floats:
        """Return the true UTC of device time."""
        return np.asarray(self.boot_utc + np.asarray(elapsed) * (1 + self.crystal))

    def frame(self, seconds: float = 2.0, marks: tuple[MarkRun, ...] = ()) -> tuple[Frame, list[Readout], list[Floats]]:
        """Let time pass, and return a frame, its readouts, and the truth of each."""
        self.now += seconds
        self.seq += 1
        readouts, truths = [], []
        for stream in range(len(RATES)):
            newest = int(np.searchsorted(self.ready[stream], self.now, side="right"))
            count = newest - self.taken[stream]
            ticks = round((self.ready[stream][newest - 1] + self.late(self.rng)) * 1e6)
            readouts.append(Readout(stream, count, ticks, ()))
            truths.append(self.truth(stream, self.taken[stream], count))
            self.taken[stream] = newest
        ticks = readouts[0].ticks
        utc_us = round(float(self.utc(ticks / 1e6)) * 1e6 + self.error) if self.told_utc else None
        frame = Frame(
            raw=b"", digest=bytes(32), kind=spec.Kind.DATA, boot=self.boot, seq=self.seq, prev=bytes(16),
            descriptor=DESCRIPTOR.digest, ticks=ticks, utc_us=utc_us,
            utc_accuracy=self.accuracy if self.told_utc else None, marks=marks,
        )  # fmt: skip
        return frame, readouts, truths

    def event(self, code: spec.Event, details: dict[int, int]) -> Frame:
        """Return a frame of one event that happens now."""
        self.seq += 1
        ticks = round(self.now * 1e6)
        return Frame(
            raw=b"", digest=bytes(32), kind=spec.Kind.EVENT, boot=self.boot, seq=self.seq, prev=bytes(16),
            descriptor=DESCRIPTOR.digest, ticks=ticks, events=(Event(code, ticks, details),),
        )  # fmt: skip


class Reader:
    """What a client does: shows frames as they come and asks for the times of one once they are settled."""

    def __init__(self, held: int = HELD) -> None:
        self.clock = DeviceClock()
        self.held: list[tuple[Pending, list[Floats]]] = []
        self.limit = held
        self.longest = 0
        self.times: list[list[Floats]] = [[] for _ in RATES]
        self.truths: list[list[Floats]] = [[] for _ in RATES]
        self.uncertainties: list[float] = []
        self.errors: list[float] = []

    def take(self, frame: Frame, readouts: list[Readout], truths: list[Floats], received_us: int | None = None) -> None:
        """Show one frame."""
        self.held.append((self.clock.observe(frame, DESCRIPTOR, readouts, received_us), truths))
        self.longest = max(self.longest, len(self.held) - 1)
        while self.held and (len(self.held) > self.limit or self.held[0][0].settled):
            self.hand_out()

    def hand_out(self) -> None:
        """Ask for the times of the first frame held."""
        pending, truths = self.held.pop(0)
        for stream, found in pending.times().items():
            self.times[stream].append(found.utc)
            self.truths[stream].append(truths[stream])
            self.errors.append(float(np.abs(found.utc - truths[stream]).max()))
            self.uncertainties.append(found.uncertainty)

    def flush(self) -> None:
        """Ask for the times of all frames held."""
        while self.held:
            self.hand_out()

    def all(self) -> Iterator[tuple[Floats, Floats]]:
        """Yield times and truth of each stream."""
        self.flush()
        for times, truths in zip(self.times, self.truths, strict=True):
            yield np.concatenate(times), np.concatenate(truths)

    def check(self, tolerance: float = TOLERANCE) -> None:
        """Assert the promise: within tolerance, and strictly rising."""
        for times, truth in self.all():
            assert np.abs(times - truth).max() < tolerance
            assert (np.diff(times) > 0).all()


CHIPS = {
    "one per cent fast": (steady(0.01), steady(0.01), steady(0.01)),
    "one per cent slow": (steady(-0.01), steady(-0.01), steady(-0.01)),
    "each its own": (steady(0.004), steady(-0.01), steady(0.0)),
    "warming up": (warming(0.008), warming(-0.01), warming(0.01)),
    "swinging": (swinging(0.009), swinging(-0.009), swinging(0.0)),
}
