"""Where UTC comes from, what is said without it, and what a device may claim."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.sdk.clock.simulation import CHIPS, DESCRIPTOR, LATE, RATES, TOLERANCE, UTC0, Reader, Simulation

from vitalwire.clock import DeviceClock, SampleTimes
from vitalwire.clock.device import MAX_BOOTS, MAX_RUNS
from vitalwire.clock.envelope import MOST, Envelope
from vitalwire.clock.utc import UtcMap
from vitalwire.messages import MarkRun, Readout
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Mark


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
@example([(1, 1, 47, 1, 18_446_744_073_709_549_663, 0, 0, 1), (1, 2, 0, 137, None, 0, 1, 136)])  # rounding, then
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
