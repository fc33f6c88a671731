"""When each sample of a device was taken, in UTC: joins the chips' clocks, the device's and the host's.

Frames are shown in the order they are released (`observe`) and asked for later (`Pending.times`): the more frames were
shown in between, the better the answer, and the first frames of a boot need a few. Samples of one stream never go
backwards in the order of sequence numbers: not at a frame's edge, a gap, a late frame that fills a gap, a reboot or a
clock that was set. Nothing here is trusted to be sane: a device may claim any ticks.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitalwire.messages import Channel, Descriptor, Frame, Readout
from vitalwire.messages import Event as Message
from vitalwire_protocol.spec import Event, EventKey, Mark

from .envelope import MAX_DRIFT, Envelope, Floats
from .runs import Edge, Part, Placed, Run, SampleTimes, Track
from .spread import spread
from .utc import UtcMap

MAX_RUNS = 32  # stretches of consecutive frames remembered, so that late frames fit between them
MAX_BOOTS = 16
MAX_ACCURACY = 62  # exponents beyond say nothing
JUMP = 0.25  # seconds: a readout further from where it was expected begins anew
SETTLED = 0.004  # seconds: one deviation of a chip's fit that needs no waiting for more


class DeviceClock:
    """The clocks of one device; memory is bounded."""

    def __init__(self) -> None:
        self._runs: list[Run] = []  # in order of sequence numbers
        self._boots: OrderedDict[int, UtcMap] = OrderedDict()
        self._latest: dict[int, Envelope] = {}  # of each stream, under
        self._descriptor: bytes | None = None

    # ------------------------------------------------------------ UTC

    def bound(self, boot: int, ticks: int, utc_us: int, error_us: int) -> None:
        """Take a measurement: at `ticks` of `boot` UTC was `utc_us`, within `error_us`."""
        self._map(boot).bound(ticks / 1e6, utc_us, error_us)

    def utc(self, boot: int, ticks: int) -> tuple[float, float]:
        """Return the UTC (seconds since 1970) of a moment and its uncertainty; NaN and infinite if nothing is known."""
        return self._map(boot).at(ticks / 1e6)

    def bounded(self, boot: int) -> bool:
        """Whether more is known of a boot's UTC than when its frames arrived."""
        return self._map(boot).bounded

    @property
    def steps(self) -> int:
        """How often UTC jumped within the boots remembered: somebody set a clock."""
        return sum(utc.steps for utc in self._boots.values())

    def rate(self, stream: int) -> float | None:
        """Return the rate of a stream's chip over its nominal rate, by the device's clock; None if not yet known."""
        drift = self._latest[stream].rate if stream in self._latest else None
        return None if drift is None else 1 / (1 + drift)

    def _map(self, boot: int) -> UtcMap:
        found = self._boots.get(boot)
        if found is None:
            found = self._boots[boot] = UtcMap()
        self._boots.move_to_end(boot)
        if len(self._boots) > MAX_BOOTS:
            self._boots.popitem(last=False)
        return found

    # ------------------------------------------------------------ frames

    def observe(
        self, frame: Frame, descriptor: Descriptor, readouts: Sequence[Readout], received_us: int | None = None
    ) -> Pending:
        """Take what a verified frame tells of time; `received_us` is the UTC at which it had arrived.

        Show frames of every kind, also those without samples: a number never shown counts as a gap.
        """
        utc = self._map(frame.boot)
        if frame.utc_us is not None and frame.utc_accuracy is not None:
            utc.bound(frame.ticks / 1e6, frame.utc_us, 1 << min(frame.utc_accuracy, MAX_ACCURACY))
        for event in frame.events:
            told, accuracy = (event.details.get(key) for key in (EventKey.UTC, EventKey.UTC_ACCURACY))
            if event.code == Event.TIME_SET and isinstance(told, int) and isinstance(accuracy, int):
                utc.bound(event.ticks / 1e6, told, 1 << min(max(accuracy, 0), MAX_ACCURACY))
        if received_us is not None:
            utc.arrival(frame.ticks / 1e6, received_us)
        run = self._run(frame)
        for event in frame.events:
            for stream in run.tracks.keys() & _restarted(event, descriptor):
                self._anew(run.tracks[stream], stream)
        return Pending(self, run, {r.stream: self._place(run, frame, descriptor, r) for r in readouts})

    def _run(self, frame: Frame) -> Run:
        """Return the run this frame continues, or a new one in its place."""
        at = len(self._runs)
        while at and self._runs[at - 1].first > frame.seq:
            at -= 1
        if at:
            run = self._runs[at - 1]
            if frame.descriptor is None or (run.boot, run.descriptor) == (frame.boot, frame.descriptor):
                if run.last + 1 == frame.seq:
                    run.last = frame.seq
                if run.last == frame.seq:
                    return run
        run = Run(frame.seq, frame.seq, frame.boot, frame.descriptor)
        self._runs.insert(at, run)
        if len(self._runs) > MAX_RUNS:
            del self._runs[0 if at else 1]
        return run

    def _place(self, run: Run, frame: Frame, descriptor: Descriptor, readout: Readout) -> Placed:
        """Show a readout to its clock; return the parts of it that lie on one clock each."""
        channels = descriptor.streams[readout.stream]
        period, ready, count = _period(channels), readout.ticks / 1e6, readout.count
        track = run.tracks.get(readout.stream) or self._track(run, readout.stream)
        guessed = [m for m in frame.marks if m.mark == Mark.ESTIMATED and any(m.channel == c.id for c in channels)]
        parts: list[Part] = []
        if guessed:
            # Nobody counted these, so what comes after them has no known distance from what came before.
            begin = min(count, *(m.start for m in guessed))
            end = min(count, max(m.start + m.length for m in guessed))
            if begin:
                known = track.envelope if track.envelope.count else None
                parts.append(Part(begin, known, (track.placed + begin - 1) * period))
            if end > begin:
                parts.append(Part(end - begin))
            self._anew(track, readout.stream)
            count -= end
        if count:
            place = (track.placed + count - 1) * period
            tolerance = max(JUMP, 2 * period) + MAX_DRIFT * count * period
            if abs(track.envelope.lateness(place, ready)) > tolerance:
                self._anew(track, readout.stream)
                place = (count - 1) * period
            track.placed += count
            track.envelope.add(place, ready)
            parts.append(Part(count, track.envelope, place))
        return Placed(tuple(parts), period, ready)

    def _track(self, run: Run, stream: int) -> Track:
        if run.descriptor != self._descriptor:
            self._latest.clear()
            self._descriptor = run.descriptor
        track = run.tracks[stream] = Track(Envelope())
        self._anew(track, stream)
        return track

    def _anew(self, track: Track, stream: int) -> None:
        """Begin a new clock that knows only the rate of the one before."""
        before = self._latest.get(stream)
        track.envelope = self._latest[stream] = Envelope(before.rate if before else None)
        track.placed = 0

    # ------------------------------------------------------------ times

    def _hand_out(self, run: Run, stream: int, placed: Placed) -> SampleTimes:
        track = run.tracks[stream]
        utc = self._map(run.boot)
        elapsed_parts: list[Floats] = []
        utc_parts: list[Floats] = []
        uncertainty = 0.0
        for number, part in enumerate(placed.parts):
            length, end, error = self._ideal(placed, number)
            end_utc, open_utc = utc.at(end)
            before, after = self._neighbours(run, stream)
            elapsed = spread(part.count, end, length, placed.period, before[0], after[0])
            moved = spread(part.count, end_utc, length, placed.period, before[1], after[1])
            track.last = (float(elapsed[-1]), float(moved[-1]))
            track.first = track.first or (float(elapsed[0]), float(moved[0]))
            elapsed_parts.append(elapsed)
            utc_parts.append(moved)
            moved_by = 0.0 if math.isnan(end_utc) else abs(end_utc - track.last[1])
            uncertainty = max(uncertainty, 2 * error + open_utc + moved_by)
        return SampleTimes(_joined(utc_parts), _joined(elapsed_parts), uncertainty)

    @staticmethod
    def _ideal(placed: Placed, number: int) -> tuple[float, float, float]:
        """Return how long the samples of a part took, when the last was taken, and one deviation of that."""
        part, period = placed.parts[number], placed.period
        if part.envelope is not None:
            end, error = part.envelope.at(part.place)
            return end - part.envelope.at(part.place - (part.count - 1) * period)[0], end, error
        # Nobody saw these: they end where the next begin, or with the readout.
        length, end, error = (part.count - 1) * period, placed.ready, JUMP
        if number + 1 < len(placed.parts):
            following, end, error = DeviceClock._ideal(placed, number + 1)
            end -= following + period
        return length, end, error

    def _neighbours(self, run: Run, stream: int) -> tuple[Edge, Edge]:
        """Return the times handed out next to what this run hands out now: the last before and the first behind."""
        here = next((number for number, other in enumerate(self._runs) if other is run), 0)
        earlier = (other for other in reversed(self._runs[: here + 1]) if stream in other.tracks)
        later = (other for other in self._runs[here + 1 :] if stream in other.tracks)
        ends = ((other.boot, edge) for other in earlier if (edge := other.tracks[stream].last))
        starts = ((other.boot, edge) for other in later if (edge := other.tracks[stream].first))
        return _edge(next(ends, None), run.boot, -math.inf), _edge(next(starts, None), run.boot, math.inf)


def _joined(parts: list[Floats]) -> Floats:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _edge(found: tuple[int, Edge] | None, boot: int, otherwise: float) -> Edge:
    """Return a neighbour's times as far as they compare: elapsed time within one boot only, UTC if it was known."""
    if found is None:
        return otherwise, otherwise
    elapsed, utc = found[1]
    return (elapsed if found[0] == boot else otherwise), (otherwise if math.isnan(utc) else utc)


def _restarted(event: Message, descriptor: Descriptor) -> set[int | None]:
    """Return the streams whose sensors began to sample anew, so that their count has no known distance from before."""
    if event.code == Event.SENSOR_OK:
        stream = event.details.get(EventKey.STREAM)
        return {stream} if isinstance(stream, int) else set()
    if event.code == Event.CHANNEL_STARTED:
        channel = event.details.get(EventKey.CHANNEL)
        return {c.stream for c in descriptor.channels if c.id == channel}
    if event.code == Event.PAUSE_ENDED:
        return {c.stream for c in descriptor.channels}
    return set()


def _period(channels: Sequence[Channel]) -> float:
    rate = channels[0].rate
    return 1.0 / float(rate) if rate else 1.0


@dataclass(frozen=True, slots=True)
class Pending:
    """A frame shown to the clock; ask for its times once, in the order of showing, as late as can be afforded."""

    clock: DeviceClock
    run: Run
    placed: dict[int, Placed]

    @property
    def settled(self) -> bool:
        """Whether UTC is known, and the chips' clocks well enough; until then more frames make the times better."""
        if not self.clock._map(self.run.boot).known:
            return False
        for placed in self.placed.values():
            for part in placed.parts:
                if part.envelope is not None:
                    first = part.place - (part.count - 1) * placed.period
                    if max(part.envelope.at(place)[1] for place in (first, part.place)) > SETTLED:
                        return False
        return True

    def times(self) -> dict[int, SampleTimes]:
        """Return the times of the samples of each stream in the frame."""
        return {stream: self.clock._hand_out(self.run, stream, placed) for stream, placed in self.placed.items()}
