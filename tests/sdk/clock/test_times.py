"""Times of samples stay within what the clock promises, whatever the chips' oscillators do."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sdk.clock.simulation import CHIPS, LATE, RATES, TOLERANCE, UTC0, Reader, Simulation, steady

from vitalwire.clock.envelope import Envelope
from vitalwire.clock.utc import UtcMap


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
