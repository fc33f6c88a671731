"""What a board says of itself, and what its description foresees of that."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from vitalwire.frame import parse
from vitalwire_protocol.spec import SIGNALS, Kind, Limit
from vitalwire_tools.codegen import descriptor
from vitalwire_tools.virtual import machine

from .board_log import until
from .reader import Recorder, captured

IDENTITY = 2 * Limit.MAX_TEXT  # two texts that are reckoned at their longest
CURVE = "-1000000000000000.5 0.12345678912345678 123456789123456789 1.2345678912345678"
NUMBERS = 48  # and numbers and heads


def test_the_largest_descriptor_is_foreseen(bench: Callable[..., Any], tmp_path: Path) -> None:
    """What is reckoned of the sources, to refuse boards by it, is what the firmware makes or a little more.

    The curve that its oximeter is calibrated by is in it, exact.
    """
    running = bench({"spo2": CURVE}, speed=20.0, heap=1 << 20)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(5.0))
    frames = [parse(raw) for raw in captured(recorder.capture)]
    (body,) = (frame.body for frame in frames if frame.kind == Kind.DESCRIPTOR)
    (calibration,) = body.calibrations
    assert calibration.mdc == SIGNALS["spo2"].mdc
    assert [each.fraction for each in calibration.coefficients] == [Fraction(each) for each in CURVE.split()]
    made = max(len(frame.raw) for frame in frames if frame.kind == Kind.DESCRIPTOR)
    board = machine.board_file()
    largest = descriptor.largest(board.name, [*(sensor.part for sensor in board.sensors), "battery"])
    assert made <= largest < made + IDENTITY + NUMBERS
    assert largest <= descriptor.limit()
