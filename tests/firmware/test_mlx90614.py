"""The MLX90614's driver, under real MicroPython, against its model: values, PEC, faults, bus."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vitalwire_protocol.spec import Fault
from vitalwire_tools.codegen.board import BoardError
from vitalwire_tools.codegen.boardfile import parse
from vitalwire_tools.codegen.chips import chips
from vitalwire_tools.codegen.scaffold import text
from vitalwire_tools.virtual.chips.mlx90614 import pec
from vitalwire_tools.virtual.hardware import Hardware, load_signals
from vitalwire_tools.virtual.rig import run

ROOT = Path(__file__).resolve().parents[2]
FAST = text("infrared", chips()["esp32"]).replace("max30205", "mlx90614").replace("0x48", "0x5A")
BOARD = parse(FAST.replace("baud = 400000", "baud = 100000"))
SIGNALS = load_signals(ROOT / "boards" / "virtual" / "signals")
SCRIPT = """
import board, json, micropython, sys
from hal import virtual as hal
from ring import Ring
from wiring import make
d = make(hal, board.sensors()[0])
ring, got, events, running, n = Ring(1, 64), [], [], False, 0
while hal.ticks() < int(sys.argv[1]):
    now = hal.ticks()
    try:
        if not running:
            d.start(now)
            running = True
        if len(sys.argv) < 3:  # an error may allocate
            micropython.heap_lock()
        n = d.read(ring, now) if d.due(now) <= now else 0
        if len(sys.argv) < 3:
            micropython.heap_unlock()
        for i in range(ring.head - n, ring.head):
            got.append(ring.data[0][ring.place(i)])
        ring.consume(ring.head - ring.tail)
        hal.idle(d.due(hal.ticks()))
    except Exception as e:
        events.append((type(e).__name__, e.args[0]))
        running = False
        hal.idle(hal.ticks() + 500000)
print(json.dumps([got, events, d.lost]))
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Any]:
    """Run the script for some seconds of virtual time; returns samples, events and what the chip played."""

    def read(seconds: int, *faults: dict[str, Any], board: Any = BOARD) -> Any:
        hardware = Hardware(board, SIGNALS, faults)
        done = run(
            hardware, board, SCRIPT, tmp_path, ROOT / "firmware", [str(seconds * 1_000_000), *["faults"] * bool(faults)]
        )
        assert done.code == 0, done.output + done.errors
        assert hardware.refused == []
        played = hardware.played["mlx90614"]
        good = [value for value, lost in zip(played.counts[0], played.lost, strict=True) if not lost]
        return (*json.loads(done.output), good)

    return read


def test_every_reading_is_the_chips(read: Callable[..., Any]) -> None:
    """A minute of readings, one a second, arrives exactly, without allocation, as hundredths of a degree."""
    got, events, lost, played = read(62)
    assert got == played
    assert 60 <= len(got) <= 62
    assert (events, lost) == ([], 0)
    assert all(2000 < value < 4200 for value in got)


def test_a_wrong_pec_is_no_answer(read: Callable[..., Any]) -> None:
    """What comes with a wrong PEC is never taken; after three seconds the bus counts as broken, then it is back."""
    got, events, _, played = read(20, {"chip": "mlx90614", "fault": "noise", "at_s": 5, "for_s": 5})
    assert got == played
    assert len(got) >= 12
    assert events[0] == ["SensorError", Fault.BUS]
    assert {tuple(event) for event in events[1:]} <= {("OSError", 5)}


def test_missing_and_wrong_chips_are_told_apart(read: Callable[..., Any]) -> None:
    """Nobody at the address is no answer; a chip that knows itself by another address is the wrong part."""
    _, events, _, _ = read(3, {"chip": "mlx90614", "fault": "missing"})
    assert events[0] == ["OSError", 19]
    got, events, _, _ = read(6, {"chip": "mlx90614", "fault": "wrong_part", "for_s": 2})
    assert events[0] == ["SensorError", Fault.WRONG_PART]
    assert len(got) >= 3


def test_the_pec_is_smbuss() -> None:
    """The CRC-8's check value is the published one, and the data sheet's example gives its PEC."""
    assert pec(b"123456789") == 0xF4
    assert pec(bytes((0xB4, 0x07, 0xB5, 0xD2, 0x3A))) == 0x30


def test_a_fast_bus_is_refused() -> None:
    """A board that puts the chip on a bus faster than SMBus is refused with the limit."""
    with pytest.raises(BoardError, match=r"mlx90614 takes at most 100000 baud; i2c\.0 has 400000"):
        parse(FAST)
