"""What missing, late and lost samples do to the times of the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.sdk.clock.simulation import CHIPS, DESCRIPTOR, LATE, RATES, TOLERANCE, UTC0, Floats, Reader, Simulation

from vitalwire.messages import MarkRun
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Mark


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
    [
        (spec.Event.SENSOR_OK, {spec.EventKey.STREAM: 0}),
        (spec.Event.CHANNEL_STARTED, {spec.EventKey.CHANNEL: 0}),
        (spec.Event.PAUSE_ENDED, {}),
    ],
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
