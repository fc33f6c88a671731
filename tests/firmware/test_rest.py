"""A sensor that goes off, under real MicroPython, against the model of its chip: it takes least, and starts again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.firmware.test_sampled import BOARDS, COSTS

from vitalwire_tools.codegen.boardfile import parse
from vitalwire_tools.codegen.parts import driver, parts
from vitalwire_tools.folders import BOARDS as FOLDERS
from vitalwire_tools.folders import FIRMWARE
from vitalwire_tools.virtual.hardware import Hardware, load_signals
from vitalwire_tools.virtual.rig import run

SIGNALS = load_signals(FOLDERS / "virtual" / "signals")
VIRTUAL = (FOLDERS / "virtual" / "board.toml").read_text()

# Runs each sensor for a second, has it off for three, and runs it for another: what it read by then, each time.
SCRIPT = """
import json
from hal import virtual as hal
import board, wiring
from stream import Stream
streams = [Stream(k, wiring.make(hal, row), 2000, print) for k, row in enumerate(board.sensors())]
read = []

def pass_(us):
    end = hal.ticks() + us
    counts = [0] * len(streams)
    while hal.ticks() < end:
        for k, stream in enumerate(streams):
            stream.service(hal.ticks(), False)
            counts[k] += stream.ring.head - stream.ring.tail
            stream.ring.consume(stream.ring.head - stream.ring.tail)
        hal.idle(min(end, hal.ticks() + 2000))
    read.append(counts)

for off in (False, True, False):
    for stream in streams:
        stream.switch(off)
    if off:
        read.append(hal.ticks())
    pass_(3000000 if off else 1500000)
    if off:
        read.append(hal.ticks())
print(json.dumps(read))
"""


@pytest.mark.parametrize("text", [VIRTUAL, *(BOARDS[part] + COSTS for part in BOARDS)], ids=["virtual", *BOARDS])
def test_a_chip_that_is_off_takes_no_sample_until_it_is_on_again(text: str, tmp_path: Path) -> None:
    """Before and after, every sensor delivers; in between nothing is read, and a chip that can rest takes nothing."""
    described = parse(text)
    hardware = Hardware(described, SIGNALS, [])
    done = run(hardware, described, SCRIPT, tmp_path, FIRMWARE)
    assert done.code == 0, done.output + done.errors
    assert hardware.refused == []
    before, since, off, until, after = json.loads(done.output)
    assert all(before)
    assert not any(off)
    assert all(after)
    for sensor in described.sensors:
        if "_SHUTDOWN_UA" in driver(sensor.part) and sensor.part != "max30205":  # which converts when told to only
            assert [t for t in hardware.played[sensor.part].times if since + 1000 < t < until] == []


def test_who_can_rest_is_told_to() -> None:
    """A part whose driver gives a current for shutdown is put there, or goes there by itself as MAX30205 does."""
    told = {part.lower() for part in re.findall(r'^    "(\w+)": ', (FIRMWARE / "rest.py").read_text(), re.MULTILINE)}
    can = {part for part in parts() if "_SHUTDOWN_UA" in driver(part)}
    assert can - told == {"max30205"}
    assert told - can == {"ads1292r"}  # its data sheet's figure is not known here
