"""The device's clock: UTC is never given with a smaller error than it can have."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest

Run = Callable[..., CompletedProcess[str]]
UTC = 1_790_000_000_000_000
MINUTE = 60_000_000
START = """
from clock import Clock
ticks = 0
steps = []
clock = Clock(lambda: ticks, lambda utc, accuracy: steps.append((utc, accuracy)))
"""


@pytest.fixture(params=["micropython", "micropython32"])
def clock(request: pytest.FixtureRequest) -> Callable[..., list[Any]]:
    """Run lines beside a clock at tick 0, on 64 and on 32 bits; returns what each `show(...)` was given."""
    micropython: Run = request.getfixturevalue(request.param)

    def run(*lines: str) -> list[Any]:
        script = START + "show = lambda *values: print(repr(values[0] if len(values) == 1 else values))\n"
        return [ast.literal_eval(line) for line in micropython(script + "\n".join(lines)).stdout.splitlines()]

    return run


def test_no_utc_before_a_fix_and_a_growing_error_after(clock: Callable[..., list[Any]]) -> None:
    """Before a fix there is no UTC; after it the error grows by the 50 ppm a crystal may be off, both ways in time."""
    assert clock(
        "show(clock.utc(0))", "ticks = 1000", f"show(clock.set(1000, {UTC}, 10))",
        *(f"show(clock.utc({t}))" for t in (1000, 0, 1000 + 20 * MINUTE, 1000 + 1000 * MINUTE)),
    ) == [None, True, (UTC, 10), (UTC - 1000, 10), (UTC + 20 * MINUTE, 16), (UTC + 1000 * MINUTE, 22)]  # fmt: skip


@pytest.mark.parametrize(
    "fix", [(-1, UTC, 3), (2000, UTC, 3), (500, 1_577_836_799_999_999, 3), (500, 4_102_444_800_000_000, 3)]
)
def test_an_implausible_fix_changes_nothing(clock: Callable[..., list[Any]], fix: tuple[int, int, int]) -> None:
    """A tick that has not been, or a UTC before 2020 or after 2100, is refused."""
    assert clock(
        "ticks = 1000", f"clock.set(1000, {UTC}, 10)", f"show(clock.set(*{fix}))", "show(clock.utc(1000))"
    ) == [
        False,
        (UTC, 10),
    ]


def test_a_step_is_told_and_a_refinement_is_not(clock: Callable[..., list[Any]]) -> None:
    """The first fix and a contradicting one are told as steps; one that fits what was known is not."""
    assert clock(
        "ticks = 10_000_000", f"clock.set(0, {UTC}, 12)", f"clock.set(5_000_000, {UTC + 5_001_000}, 10)",
        f"clock.set(9_000_000, {UTC + 12_000_000}, 10)", "show(steps)",
    ) == [[(UTC, 12), (UTC + 12_000_000, 10)]]  # fmt: skip


def test_a_word_that_makes_less_sure_hides_no_step(clock: Callable[..., list[Any]]) -> None:
    """A fix that knows less than the clock does, and fits, changes nothing: else the next could move time unseen."""
    later = UTC + 86_400_000_000
    assert clock(
        "ticks = 10_000_000", f"clock.set(0, {UTC}, 12)", f"show(clock.set(1_000_000, {UTC}, 62))",
        "show(clock.utc(1_000_000))", f"clock.set(2_000_000, {later}, 10)", "show(steps)",
    ) == [True, (UTC + 1_000_000, 13), [(UTC, 12), (later, 10)]]  # fmt: skip


def test_a_drift_is_learnt(clock: Callable[..., list[Any]]) -> None:
    """After two fixes an hour apart, the error between fixes is far below what 50 ppm would allow."""
    drift = 30e-6
    lines = ["ticks = 3600_000_000 * 30"]
    for hour in range(12):
        ticks = 3_600_000_000 * hour
        lines.append(f"clock.set({ticks}, {UTC + round(ticks * (1 + drift))}, 10)")
    ticks = 3_600_000_000 * 12
    ((utc, accuracy),) = clock(*lines, f"show(clock.utc({ticks}))")
    assert abs(utc - (UTC + ticks * (1 + drift))) < 1 << accuracy <= 1 << 15  # 50 ppm would be 2^18


@pytest.mark.parametrize("seed", range(6))
def test_the_error_is_within_its_bound(clock: Callable[..., list[Any]], seed: int) -> None:
    """With fixes of random error and distance, and a crystal up to 50 ppm off, UTC is always within its accuracy."""
    rng = random.Random(seed)
    drift = rng.uniform(-50e-6, 50e-6)
    lines, ticks, asked = ["ticks = 10**12"], 0, []
    for _ in range(40):
        ticks += int(10 ** rng.uniform(5, 9.5))
        accuracy = rng.randint(8, 18)
        error = rng.randint(-(1 << accuracy), 1 << accuracy)
        lines.append(f"clock.set({ticks}, {UTC + round(ticks * (1 + drift)) + error}, {accuracy})")
        ticks += int(10 ** rng.uniform(5, 9))
        asked.append(ticks)
        lines.append(f"show(clock.utc({ticks}))")
    for tick, (utc, accuracy) in zip(asked, clock(*lines), strict=True):
        assert abs(utc - (UTC + tick * (1 + drift))) <= (1 << accuracy) + 1


def test_a_fast_clock_is_noticed(clock: Callable[..., list[Any]]) -> None:
    """A clock 1 % off, against all assumption, is known well after three fixes and never claimed better than it is."""
    true = lambda t: UTC + round(t * 1.01)  # noqa: E731
    lines = ["ticks = 10**9"]
    for second in range(0, 400, 20):
        lines.append(f"clock.set({second * 10**6}, {true(second * 10**6)}, 11)")
        lines.append(f"show(clock.utc({(second + 19) * 10**6}))")
    answers = clock(*lines)
    for second, (utc, accuracy) in zip(range(0, 400, 20), answers, strict=True):
        if second:
            assert abs(utc - true((second + 19) * 10**6)) <= 1 << accuracy
    assert answers[-1][1] <= 14
