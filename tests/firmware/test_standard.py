"""The device made of Python says of its chips what their drivers say."""

from __future__ import annotations

import ast
from collections.abc import Callable
from subprocess import CompletedProcess

from vitalwire.testing import FakeDevice

SCRIPT = """
for part in {parts!r}:
    driver = getattr(__import__("sensors." + part.lower(), None, None, (part,)), part)
    print((driver.PART, driver.CHANNELS, driver.BITS, driver.RATE, driver.SCALE))
"""


def test_the_standard_profile_is_that_of_the_drivers(micropython: Callable[..., CompletedProcess[str]]) -> None:
    """Part, channels, bits, rate and scale of the standard profile are the drivers' own, to the last digit."""
    channels = FakeDevice().channels
    parts = list(dict.fromkeys(channel.part for channel in channels))
    for line in micropython(SCRIPT.format(parts=parts)).stdout.splitlines():
        part, names, bits, rate, scale = ast.literal_eval(line)
        mine = [channel for channel in channels if channel.part == part]
        assert tuple(channel.name for channel in mine) == names
        for channel in mine:
            assert (channel.bits, (channel.scale.mantissa, channel.scale.exponent)) == (bits, scale), channel
            assert channel.rate is None or (channel.rate.numerator, channel.rate.denominator) == rate, channel
        parts.remove(part)
    assert not parts
