"""Sample times against a simulated truth: drifting chips, late readouts, gaps, reboots, clocks that are set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitalwire.clock import DeviceClock, Pending, SampleTimes
from vitalwire.clock.device import MAX_BOOTS, MAX_RUNS
from vitalwire.clock.envelope import MOST, Envelope
from vitalwire.clock.utc import UtcMap
from vitalwire.messages import Channel, Decimal10, Descriptor, Event, Frame, MarkRun, Readout
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Mark

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


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("chips", CHIPS)
def test_times_stay_within_the_promise(chips: str, late: str) -> None:
    """Twenty minutes of drift, wander and late readouts: every sample within 5 ms, and time never stands or returns."""
    simulation, reader = Simulation(CHIPS[chips], LATE[late], seed=len(chips)), Reader()
    for _ in range(600):
        reader.take(*simulation.frame())
    reader.check()
    honest = np.array(reader.errors) <= np.array(reader.uncertainties)
    assert honest.mean() > 0.95
    assert np.median(reader.uncertainties) < TOLERANCE


@given(
    drifts=st.tuples(*[st.floats(-0.01, 0.01)] * 3),
    crystal=st.floats(-50e-6, 50e-6),
    seed=st.integers(0, 1000),
    seconds=st.sampled_from([0.5, 1.0, 2.0, 4.0]),
)
@settings(max_examples=25, deadline=None)
def test_times_stay_within_the_promise_for_any_rates(
    drifts: tuple[float, float, float], crystal: float, seed: int, seconds: float
) -> None:
    """Any drift up to one per cent, any crystal up to 50 ppm, short and long frames."""
    simulation = Simulation(tuple(map(steady, drifts)), LATE["polled"], crystal=crystal, seed=seed)  # type: ignore[arg-type]
    reader = Reader(held=round(20 / seconds))
    for _ in range(round(120 / seconds)):
        reader.take(*simulation.frame(seconds))
    reader.check()


def test_the_rate_of_a_chip_is_found() -> None:
    """The relative rate of each chip is known to 100 ppm after two minutes."""
    simulation, reader = Simulation(CHIPS["each its own"], LATE["polled"]), Reader()
    assert reader.clock.rate(0) is None
    for _ in range(60):
        reader.take(*simulation.frame())
    assert [reader.clock.rate(stream) for stream in range(3)] == pytest.approx([1.004, 0.99, 1.0], abs=1e-4)


def test_missing_frames_leave_a_gap_and_nothing_else() -> None:
    """Frames that never come move no other sample: times after a gap are as good as before."""
    simulation, reader = Simulation(CHIPS["each its own"], LATE["prompt"]), Reader()
    rng = np.random.default_rng(5)
    missing = 0
    for number in range(300):
        frame = simulation.frame()
        if number > 10 and rng.random() < 0.1:
            missing += 1
            for _ in range(int(rng.integers(0, 40))):
                simulation.frame()
            continue
        reader.take(*frame)
    assert missing > 10
    reader.check()


def test_late_frames_fit_into_their_gap() -> None:
    """Frames that arrive after later ones get their own time, between those of their neighbours."""
    simulation, reader = Simulation(CHIPS["each its own"], LATE["polled"]), Reader()
    frames = [simulation.frame() for _ in range(120)]
    late = {40, 41, 42, 60, 75, 76, 90}
    order = [number for number in range(120) if number not in late] + [40, 41, 42, 75, 76, 60, 90]
    for number in order:
        reader.take(*frames[number])
    reader.flush()
    for stream in range(3):
        by_seq = [times for _, times in sorted(zip(order, reader.times[stream], strict=True), key=lambda pair: pair[0])]
        truth = np.concatenate([truths[stream] for _, _, truths in frames])
        times = np.concatenate(by_seq)
        assert np.abs(times - truth).max() < TOLERANCE
        assert (np.diff(times) > 0).all()


def test_a_late_frame_never_reaches_into_the_next() -> None:
    """A late frame whose readout was 30 ms late, so that its neighbour bounds it, ends before that begins."""
    simulation, reader = Simulation(CHIPS["each its own"], LATE["prompt"]), Reader()
    frames = [simulation.frame() for _ in range(30)]
    for number in [*range(19), *range(21, 30), 20]:
        frame, readouts, truths = frames[number]
        if number == 20:
            readouts = [replace(readout, ticks=readout.ticks + 30_000) for readout in readouts]
        reader.take(frame, readouts, truths)
    reader.flush()
    for stream in range(3):
        before, after = reader.times[stream][18:20]
        late = reader.times[stream][-1]
        assert before[-1] < late[0]
        assert late[-1] < after[0]
        assert (np.diff(late) > 0).all()


def test_a_backlog_sent_before_or_beside_live_frames_is_timed_as_well() -> None:
    """An hour-old stretch resent between live frames is a run of its own, each sample within the promise."""
    simulation, reader = Simulation(CHIPS["one per cent fast"], LATE["polled"]), Reader()
    frames = [simulation.frame() for _ in range(200)]
    order = [*range(100, 110), *(n for pair in zip(range(100), range(110, 200), strict=False) for n in pair)]
    for number in order:
        reader.take(*frames[number])
    reader.flush()
    for stream in range(3):
        by_seq = dict(zip(order, reader.times[stream], strict=True))
        times = np.concatenate([by_seq[number] for number in sorted(by_seq)])
        truth = np.concatenate([frames[number][2][stream] for number in sorted(by_seq)])
        assert np.abs(times - truth).max() < TOLERANCE
        assert (np.diff(times) > 0).all()


def test_a_reboot_begins_anew_and_keeps_the_rate() -> None:
    """Device time starts at zero again; times go on rising, and the first frame needs no others to be good."""
    simulation, reader = Simulation(CHIPS["one per cent slow"], LATE["prompt"]), Reader()
    for boot in range(1, 6):
        simulation.boot = boot
        simulation.power_on(UTC0 + boot * 1000.0)
        for _ in range(30):
            reader.take(*simulation.frame())
    reader.check()


@pytest.mark.parametrize(("begin", "lost"), [(150, 100), (5, 20)])
def test_samples_lost_in_unknown_number_begin_a_new_stretch(begin: int, lost: int) -> None:
    """After a run marked ESTIMATED the seen samples on both sides are right, although the count between is wrong."""
    simulation, reader = Simulation(CHIPS["each its own"], LATE["prompt"]), Reader()
    seen: list[tuple[Floats, Floats]] = []
    for number in range(60):
        frame, readouts, truths = simulation.frame()
        if number not in (20, 40, 41):
            reader.take(frame, readouts, truths)
            continue
        # The chip of stream 0 lost samples after its first few; the device guesses seven less or ten more.
        guess = lost + {20: -7, 40: 10, 41: -7}[number]
        count = readouts[0].count - lost + guess
        readouts[0] = replace(readouts[0], count=count)
        mark = MarkRun(channel=0, mark=Mark.ESTIMATED, start=begin, length=guess)
        pending = reader.clock.observe(replace(frame, marks=(mark,)), DESCRIPTOR, readouts)
        times = pending.times()[0].utc
        assert (np.diff(times) > 0).all()
        seen += [(times[:begin], truths[0][:begin]), (times[begin + guess :], truths[0][begin + lost :])]
    for times, truth in seen:
        assert np.abs(times - truth).max() < TOLERANCE
    reader.check()


def test_a_frame_of_nothing_but_estimated_samples_has_rising_times() -> None:
    """A readout in which nobody saw a sample still has times, and the next real ones are right."""
    simulation, reader = Simulation(CHIPS["each its own"], LATE["prompt"]), Reader()
    for number in range(30):
        frame, readouts, truths = simulation.frame()
        if number in (0, 12, 13):
            marks = tuple(MarkRun(r.stream, Mark.ESTIMATED, 0, r.count) for r in readouts)
            times = reader.clock.observe(replace(frame, marks=marks), DESCRIPTOR, readouts).times()
            assert all((np.diff(found.utc) > 0).all() for found in times.values())
            assert all(np.abs(found.utc - truths[s]).max() < 0.1 for s, found in times.items())
        else:
            reader.take(frame, readouts, truths)
    for times, truth in reader.all():
        assert np.abs(times - truth)[2 * RATES[0] :].max() < TOLERANCE
        assert (np.diff(times) > 0).all()


def test_lost_samples_of_known_number_change_nothing() -> None:
    """A run marked LOST keeps its place in the count, and the times of all others with it."""
    simulation, reader = Simulation(CHIPS["each its own"], LATE["prompt"]), Reader()
    for number in range(40):
        mark = (MarkRun(0, Mark.LOST, 100, 200),) if number % 7 == 3 else ()
        reader.take(*simulation.frame(marks=mark))
    reader.check()


def test_a_stream_that_paused_begins_anew() -> None:
    """Samples after a pause nobody marked are placed by their own readout and not by counting on."""
    simulation, reader = Simulation(CHIPS["each its own"], LATE["prompt"]), Reader()
    for number in range(40):
        frame, readouts, truths = simulation.frame()
        if 20 <= number < 26:
            readouts, truths = readouts[1:], truths
        reader.take(frame, readouts, truths)
    reader.flush()
    times, truth = np.concatenate(reader.times[0]), np.concatenate(reader.truths[0])
    assert np.abs(times - truth).max() < TOLERANCE
    assert (np.diff(times) > 0).all()


@pytest.mark.parametrize(
    ("code", "details"),
    [(spec.Event.SENSOR_OK, {spec.EventKey.STREAM: 0}), (spec.Event.CHANNEL_STARTED, {spec.EventKey.CHANNEL: 0})],
)
def test_a_sensor_that_restarted_begins_anew(code: spec.Event, details: dict[int, int]) -> None:
    """A hole too short to tell from a late readout is known by the event that the sensor samples again."""
    simulation, reader = Simulation(CHIPS["each its own"], LATE["prompt"]), Reader()
    for number in range(40):
        if number == 20:
            simulation.taken[0] += 30  # 0.12 s at 256 Hz that nobody counted
            reader.clock.observe(simulation.event(code, details), DESCRIPTOR, [])
        reader.take(*simulation.frame())
    reader.check()


@pytest.mark.parametrize("step", [-20.0, -0.2, 0.2, 3600.0])
def test_a_clock_that_is_set_never_turns_time_back(step: float) -> None:
    """After the device was told another UTC times become right again, and until then they rise all the same."""
    simulation, reader = Simulation(CHIPS["each its own"], LATE["prompt"]), Reader()
    for _ in range(30):
        reader.take(*simulation.frame())
    simulation.boot_utc += step
    late = []
    for _ in range(60):
        frame, readouts, truths = simulation.frame()
        late.append(truths)
        reader.take(frame, readouts, truths)
    assert reader.clock.steps == 1
    for times, truth in reader.all():
        assert (np.diff(times) > 0).all()
        after = len(truth) // 3 + len(truth) // 9  # what a step back of 20 s takes to be waited for
        assert np.abs(times - truth)[2 * after :].max() < TOLERANCE
        assert np.abs(times - truth)[: len(truth) // 3 - RATES[0]].max() < TOLERANCE
    if step < -1:
        assert max(reader.uncertainties) > 1


def test_without_utc_a_measurement_of_the_host_serves() -> None:
    """A device that was never told the time gets it from measurements by its host, before and after the fact."""
    simulation, reader = Simulation(CHIPS["each its own"], LATE["prompt"], told_utc=False), Reader(held=30)
    for number in range(60):
        if number in (10, 20, 45):
            now = round(simulation.now * 1e6)
            reader.clock.bound(1, now, round(float(simulation.utc(simulation.now)) * 1e6) + 900, 1000)
        reader.take(*simulation.frame())
    reader.check()


def test_without_any_utc_arrivals_bound_the_times() -> None:
    """Where only arrivals are known the times follow the promptest of them, and no uncertainty is claimed."""
    simulation, reader = Simulation(CHIPS["each its own"], LATE["prompt"], told_utc=False), Reader()
    rng = np.random.default_rng(3)
    for _ in range(120):
        frame, readouts, truths = simulation.frame()
        arrived = float(simulation.utc(simulation.now)) + 0.02 + rng.exponential(0.05)
        reader.take(frame, readouts, truths, round(arrived * 1e6))
    for times, truth in reader.all():
        assert (np.diff(times) > 0).all()
        assert np.abs(times - truth).max() < 0.15
        assert np.abs(times - truth)[len(truth) // 4 :].max() < 0.06
    assert set(reader.uncertainties) == {float("inf")}


def test_without_anything_times_are_unknown_but_elapsed_is_there() -> None:
    """No UTC and no arrivals: NaN, and the device's own time within the promise."""
    simulation = Simulation(CHIPS["each its own"], LATE["prompt"], told_utc=False)
    clock = DeviceClock()
    frames = [simulation.frame() for _ in range(4)]
    pending = [clock.observe(frame, DESCRIPTOR, readouts) for frame, readouts, _ in frames]
    found: list[SampleTimes] = [one.times()[0] for one in pending]
    assert all(np.isnan(times.utc).all() and times.uncertainty == float("inf") for times in found)
    elapsed = np.concatenate([times.elapsed for times in found])
    assert np.abs(elapsed - simulation.ready[0][: len(elapsed)]).max() < TOLERANCE
    assert (np.diff(elapsed) > 0).all()


def test_a_time_set_event_tells_utc() -> None:
    """The event by which a device says that it was told the time bounds the frames before it, too."""
    clock = DeviceClock()
    simulation = Simulation(CHIPS["each its own"], LATE["prompt"], told_utc=False)
    details = {int(spec.EventKey.UTC): round(UTC0 * 1e6), int(spec.EventKey.UTC_ACCURACY): 10}
    clock.observe(simulation.event(spec.Event.TIME_SET, details), DESCRIPTOR, [])
    utc, uncertainty = clock.utc(1, 500_000)
    assert utc == pytest.approx(UTC0 + 0.5, abs=1e-3)
    assert uncertainty == pytest.approx(0.001024 + 0.5 * 200e-6, rel=0.01)


# ------------------------------------------------------------ hostile or broken devices


@given(
    st.lists(
        st.tuples(
            st.integers(1, 60),  # seq
            st.integers(1, 3),  # boot
            st.integers(0, 2**63 - 1) | st.integers(0, 10**7),  # ticks
            st.integers(1, 8192) | st.integers(1, 4),  # count
            st.none() | st.integers(0, 2**64 - 1),  # utc
            st.integers(0, 255),  # accuracy
            st.integers(0, 8000),  # start of a mark
            st.integers(1, 9000),  # its length
        ),
        max_size=40,
    )
)
@settings(max_examples=150, deadline=None)
def test_whatever_a_device_claims_is_survived(
    claims: list[tuple[int, int, int, int, int | None, int, int, int]],
) -> None:
    """Nonsense in any field raises nothing, and within one frame times still do not go backwards."""
    clock = DeviceClock()
    base, _, _ = Simulation(CHIPS["each its own"], LATE["prompt"]).frame()
    for seq, boot, ticks, count, utc, accuracy, start, length in claims:
        marks = (MarkRun(0, Mark.ESTIMATED, start, length),) if start % 2 else ()
        told = None if utc is None else accuracy
        frame = replace(base, seq=seq, boot=boot, ticks=ticks, utc_us=utc, utc_accuracy=told, marks=marks)
        times = clock.observe(frame, DESCRIPTOR, [Readout(0, count, ticks, ())], 10**15).times()[0]
        assert times.utc.shape == times.elapsed.shape == (count,)
        assert not (np.diff(times.utc) < 0).any()
        assert not (np.diff(times.elapsed) < 0).any()


def test_memory_is_bounded() -> None:
    """Gaps, boots, readouts and bounds without end are forgotten from the oldest on."""
    clock = DeviceClock()
    simulation = Simulation(CHIPS["each its own"], LATE["prompt"])
    for number in range(300):
        frame, readouts, _ = simulation.frame(0.5)
        clock.observe(replace(frame, seq=3 * number + 1, boot=number + 1), DESCRIPTOR, readouts).times()
    assert len(clock._runs) <= MAX_RUNS
    assert len(clock._boots) <= MAX_BOOTS
    envelope = Envelope()
    for number in range(5000):
        envelope.add(number * 0.01, number * 0.01)
    assert len(envelope._points) <= MOST
    utc = UtcMap()
    for number in range(5000):
        utc.bound(number * 40.0, number * 40_000_000, 1000 - number % 2)
    assert len(utc._bounds) <= 32


def test_dense_readouts_keep_the_earliest() -> None:
    """Of many readouts in a second the promptest is what counts."""
    rng = np.random.default_rng(1)
    envelope = Envelope()
    truth = np.arange(1, 3000) * 0.05
    for t in truth:
        envelope.add(t * 1.01, t + rng.uniform(0, 0.02))
    assert envelope.at(truth[-1] * 1.01)[0] == pytest.approx(truth[-1], abs=0.001)
    rate = envelope.rate
    assert rate is not None
    assert 1 / (1 + rate) == pytest.approx(1.01, abs=5e-5)


def test_utc_bounds_are_never_broken() -> None:
    """The estimate lies within every bound given, and its uncertainty covers the truth, for any crystal."""
    rng = np.random.default_rng(2)
    for _ in range(100):
        drift, utc = rng.uniform(-100e-6, 100e-6), UtcMap()
        for at in np.cumsum(rng.uniform(1, 300, 40)):
            error = rng.uniform(0.0005, 0.02)
            utc.bound(at, round((UTC0 + at * (1 + drift) + rng.uniform(-error, error)) * 1e6), round(error * 1e6) + 1)
        assert utc.steps == 0
        for when in rng.uniform(0, at + 100, 20):
            estimate, uncertainty = utc.at(when)
            assert abs(estimate - (UTC0 + when * (1 + drift))) <= uncertainty + 1e-6


def test_pairs_of_neighbouring_frames_join_without_a_step() -> None:
    """The last sample of a frame and the first of the next are as far apart as the others, to 2 per cent."""
    simulation, reader = Simulation(CHIPS["warming up"], LATE["polled"]), Reader()
    for _ in range(100):
        reader.take(*simulation.frame())
    reader.flush()
    for stream, rate in enumerate(RATES):
        edges = [later[0] - earlier[-1] for earlier, later in pairwise(reader.times[stream])]
        assert np.abs(np.array(edges) * rate - 1).max() < 0.02
