"""Whenever the power is cut, the journal has what it said was durable."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import pytest
from tests.firmware.journal.device import Device

SECTORS = 8
PROFILES = ("mixed", "nobody listens", "largest", "smallest")  # as in journal_mp
SERIES = {"every": "a cut at every operation: ", "often": "lives cut short", "stop": "lives cut short, stop when full"}


class Seen(NamedTuple):
    """What a series met with."""

    cuts: int
    frames: int
    dropped: int
    torn: int
    refused: int


@pytest.fixture
def series(device: Device, results: Callable[..., None]) -> Callable[..., Seen]:
    """Run a series of lives (`journal_mp.main`), note and return what it met with."""

    def run(mode: str, seed: int, steps: int, first: int, last: int, stride: int = 1) -> Seen:
        out = device(
            "main(path, sys.argv[2], *map(int, sys.argv[3:]))", mode, SECTORS, seed, steps, first, last, stride
        )
        seen = Seen(*map(int, out.split()))
        results(f"journal, {SERIES[mode]}{PROFILES[seed] if mode == 'every' else ''}", **seen._asdict())
        return seen

    return run


@pytest.mark.parametrize("profile", range(4), ids=PROFILES)
def test_a_cut_at_every_operation(series: Callable[..., Seen], profile: int, long: bool) -> None:
    """Whichever program or erase the power fails in: no frame, counter, descriptor or drop is lost or used twice."""
    seen = series("every", profile, 150, 1, 100_000, 1 if long else 7)
    assert seen.cuts > 20
    assert seen.torn > 20
    assert seen.dropped > 0 or profile in (0, 3)


def test_many_lives_cut_short(series: Callable[..., Seen], long: bool) -> None:
    """The same over lives of random length one after another, recovery itself cut short included."""
    seen = series("often", 0, 300, 0, 1000 if long else 16)
    assert min(seen.cuts, seen.dropped, seen.torn) > 100


def test_many_lives_of_a_device_that_stops_when_full(series: Callable[..., Seen], long: bool) -> None:
    """Under the policy `stop` nothing is ever given up, however the lives end, and acknowledgements open it again."""
    seen = series("stop", 0, 300, 0, 200 if long else 12)
    assert seen.dropped == 0
    assert min(seen.cuts, seen.torn, seen.refused) > 50


def test_the_states_of_a_power_cut_are_met(device: Device) -> None:
    """The flash model cuts programs to a prefix with a partial byte and leaves half-erased sectors, as NOR does."""
    body = r"""
import os
seen = []
for seed in range(40):
    blank(path, 8)
    with open(path, "r+b") as file:
        file.write(bytes(4096))
    for what in "program", "erase":
        chip = Chip(path, 8, Cut(1, seed, fail_power))
        try:
            chip.writeblocks(1, b"\x5a" * 64, 8) if what == "program" else chip.ioctl(6, 0)
        except PowerCut:
            pass
    with open(path, "rb") as file:
        erased = file.read(4096)
        programmed = file.read(4096)[8:72]
    whole = 0
    while whole < 64 and programmed[whole] == 0x5A:
        whole += 1
    rest = programmed[whole:]
    check(not rest or rest[0] & 0x5A == 0x5A and set(rest[1:]) <= {0xFF}, rest)
    seen.append((whole, bool(rest) and rest[0] != 0xFF, min(erased), max(erased)))
put(len(set([s[0] for s in seen])) > 15, any([s[1] for s in seen]))
put(any([s[2] == 0 for s in seen]), any([s[3] == 255 for s in seen]), any([s[3] == 0 for s in seen]))
"""
    assert device(body) == "True True\nTrue True True\n"


def test_the_series_names_its_failure(device: Device) -> None:
    """A journal that forgets a frame fails the series, with the seed to repeat it."""
    body = """
def forget(self):
    self._ranges.clear()
    self.acked = self.newest
Journal.settle = forget
main(path, "often", 8, 0, 100, 0, 4, 1)
"""
    with pytest.raises(AssertionError, match=re.compile(r"failed often seed \d+ at \d+.*lost", re.DOTALL)):
        device(body)
