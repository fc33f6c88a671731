"""A board's process and its hardware: time, interrupts, errors, resets; and the two HALs have the same names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.boards.virtualboard import BOARD, ROOT, SIGNALS

from vitalwire_tools.codegen.board import Board
from vitalwire_tools.codegen.boardmodule import render
from vitalwire_tools.virtual.hardware import Hardware
from vitalwire_tools.virtual.rig import Run, run

HEAD = """
import board, json
from hal import virtual as hal
from wiring import make

def say(*values):
    print(json.dumps(values))

def sleep(until):
    while hal.ticks() < until:
        hal.idle(until)

def begin(driver):
    again = driver.start(hal.ticks())
    while again:
        sleep(again)
        again = driver.start(hal.ticks())
"""


@pytest.fixture
def boot(tmp_path: Path) -> Callable[..., Run]:
    """Run a script that finds what HEAD defines, on the given hardware or a new one."""

    def boot(script: str, hardware: Hardware | None = None, board: Board = BOARD, **options: Any) -> Run:
        hardware = hardware or Hardware(board, SIGNALS)
        return run(hardware, board, HEAD + script, tmp_path, ROOT / "firmware", **options)

    return boot


def said(done: Run, code: int = 0) -> list[Any]:
    """The values a script said."""
    assert done.code == code, done.output + done.errors
    return [json.loads(line) for line in done.output.splitlines()]


def test_time_passes_only_by_work(boot: Callable[..., Run]) -> None:
    """The clock stands still while Python runs and advances by transfers, charged work and idling, exactly."""
    script = """
hal.ticks(); [i for i in range(10000)]; say(hal.ticks())
b = bytearray(1); hal.i2c(0).readfrom_mem_into(0x57, 0xFF, b); say(hal.ticks(), b[0])
hal.spend("modmul", 1000); say(hal.ticks())
hal.spend("viper", 1); hal.spend("viper", 1); hal.spend("viper", 1); hal.spend("viper", 1); say(hal.ticks())
hal.spend("knitting", 9); hal.idle(1000000); say(hal.ticks())
hal.idle(5); say(hal.ticks())
"""
    times = said(boot(script, cpu="esp32"))
    assert times == [[0], [95, 0x15], [226_095], [226_096], [1_000_000], [1_000_000]]
    assert said(boot(script))[2] == [95]


def test_interrupts_end_an_idle_and_are_taken_once(boot: Callable[..., Run]) -> None:
    """idle() ends at the very edge; take() gives it once, and an edge nobody takes does not keep the board awake."""
    script = """
import sensors.max30102
sensors.max30102.MAX30102.WAKES = True
d = make(hal, board.sensors()[1])
begin(d)
line, begun = d.irq, hal.ticks()
hal.idle(begun + 10 ** 6)
say(hal.ticks() - begun, line.level(), line.take() - begun, line.take())
status = bytearray(1)
hal.i2c(0).readfrom_mem_into(0x57, 0, status)
say(line.level(), status[0])
hal.idle(begun + 10 ** 6)
hal.i2c(0).readfrom_mem_into(0x57, 0, status)
hal.idle(begun + 10 ** 6)
hal.idle(begun + 10 ** 6)
hal.idle(begun + 10 ** 6)
say(hal.ticks() - begun)
"""
    (woke, level, edge, again), after, late = said(boot(script))
    assert woke == pytest.approx(10_000, abs=500)
    assert (level, edge, again) == (0, woke, -1)
    assert after == [1, 0x40]
    assert late == [10**6]


def test_a_line_that_need_not_wake_is_taken_later(boot: Callable[..., Run]) -> None:
    """An edge of a driver that says so ends no idle(), and its time is still known afterwards."""
    script = """
d = make(hal, board.sensors()[1])
begin(d)
begun = hal.ticks()
hal.idle(begun + 50000)
say(hal.ticks() - begun, hal.edge(), d.irq.seen(), d.irq.take() - begun, hal.edge(), d.irq.seen())
"""
    ((idled, fell, seen, edge, left, still),) = said(boot(script))
    assert idled == 50_000
    assert edge == pytest.approx(10_000, abs=500)
    assert (fell, seen, left, still) == (True, True, False, False)


def test_bus_errors_are_those_of_a_board(boot: Callable[..., Run]) -> None:
    """No acknowledge is ENODEV, a refused access EINVAL and printed; a floating SPI line reads ones."""
    script = """
def code(f, *a):
    try: f(*a)
    except OSError as e: return e.errno
bus, into = hal.i2c(0), bytearray(4)
say(code(bus.readfrom_mem_into, 0x33, 0, into), code(bus.writeto_mem, 0x33, 0, b"x"))
say(code(bus.readfrom_mem_into, 0x57, 0x0B, into))
one = bytearray(1); bus.readfrom_mem_into(0x48, 1, one); say(one[0])
cs = hal.output(5); hal.spi(1).write_readinto(b"\\x1f\\0\\0\\0", into); say(list(into))
cs(0); hal.spi(1).write_readinto(b"\\x1f\\0\\0\\0", into); cs(1); say(list(into)[1:])
cs(0); hal.spi(1).write_readinto(b"\\x1f\\0", bytearray(2)); hal.spi(1).write_readinto(b"\\0\\0", into[:2]); cs(1)
say(hal.adc(34).read_uv(), code(hal.adc(3).read_uv))
"""
    hardware = Hardware(BOARD, SIGNALS)
    values = said(boot(script, hardware))
    assert values[:2] == [[19, 19], [22]]
    assert values[2:5] == [[0], [[255] * 4], [[0x51, 0x30, 0x00]]]
    assert 2_000_000 < values[5][0] < 2_100_000
    assert values[5][1] == 19
    assert hardware.refused == ["max30102: there is no register 0x0B"]


def test_input_wakes_an_idle_board(boot: Callable[..., Run]) -> None:
    """In real time idle() returns early when the link has input, and time has then passed in proportion."""
    script = """
b = bytearray(8)
hal.idle(10 ** 12)
say(hal.ticks() < 10 ** 11, hal.stream.readinto(b), hal.stream.readinto(b), bytes(b[:5]).decode())
say(hal.stream.write(b"", 0))
"""
    assert said(boot(script, speed=20, data=b"hello")) == [[True, 5, 0, "hello"], [0]]


def test_pacing_follows_the_speed(boot: Callable[..., Run]) -> None:
    """At a speed the board waits at least as long as virtual time divided by it; without one it does not wait."""
    script = "import time\nt = time.ticks_us(); hal.idle(4000000); say(time.ticks_us() - t, hal.ticks())"
    ((waited, now),) = said(boot(script, speed=20, data=None))
    assert now == 4_000_000
    assert waited >= 150_000


def test_resets_end_the_process_with_their_cause(boot: Callable[..., Run]) -> None:
    """reset() ends the process with 64 plus the cause, a starved watchdog with 67; what a boot is given it answers."""
    assert boot("hal.reset(6)").code == 70
    assert boot("hal.feed(); hal.idle(9 * 10**6); hal.feed(); hal.idle(18 * 10**6); hal.spend('x', 1)").code == 0
    starved = "hal.feed()\nfor i in range(12): hal.idle((i + 1) * 10**6)"
    assert boot(starved).code == 67
    given = "say(hal.reset_cause(), len(hal.random(9)), hal.unique_id().hex())"
    assert said(boot(given, cause=3)) == [[3, 9, "0" * 12]]


def test_chips_outlive_a_reset_but_not_a_power_cut(boot: Callable[..., Run], tmp_path: Path) -> None:
    """After a reset the chips sample on as they were set; after a power cut they are as new. Time goes on for both."""
    hardware = Hardware(BOARD, SIGNALS)
    start = "begin(make(hal, board.sensors()[2])); sleep(3 * 10**6); hal.reset(2)"
    look = "b = bytearray(2); hal.i2c(0).readfrom_mem_into(0x6A, 0x3A, b); say(hal.ticks(), b[0] | (b[1] & 3) << 8)"
    assert boot(start, hardware).code == 66
    hardware.pass_time(1_000_000)
    ((ticks, level),) = said(boot(look, hardware))
    assert ticks < 1000
    assert level == pytest.approx(4 * 52, abs=2)
    hardware.power_cycle(500_000)
    assert said(boot(look, hardware))[0][1] == 0
    hardware.save(tmp_path / "played.npz")
    with np.load(tmp_path / "played.npz") as log:
        assert len(log["accel_x"]) == len(log["lsm6dso_us"]) == len(log["lsm6dso_lost"])
        assert log["lsm6dso_us"][-1] < 4_100_000
        assert log["lsm6dso_lost"].sum() == level
        assert log["lsm6dso_starts"][0] == 0
        np.testing.assert_array_equal(log["accel_z"], np.array(SIGNALS["acceleration"])[: len(log["accel_z"]), 2])


STAND_INS = {
    "machine": """
calls = []
class Pin:
    IN, OUT, PULL_UP, IRQ_FALLING = 1, 2, 3, 4
    def __init__(self, n, *a, **k): self.n = n; calls.append(("pin", n) + a)
    def irq(self, handler, trigger): self.handler = handler
    def __call__(self, *a): return 1
class SPI:
    def __init__(self, n, **k): calls.append(("spi", n, k["baudrate"], k["polarity"], k["phase"]))
class I2C:
    def __init__(self, n, **k): calls.append(("i2c", n, k["freq"]))
class WDT:
    fed = 0
    def __init__(self, timeout): calls.append(("wdt", timeout))
    def feed(self): WDT.fed += 1
def reset_cause(): return 3
mem32 = {0x3FF48034: 0x3381}
def reset(): calls.append("reset")
class RTC:
    kept = b""
    def memory(self, *data):
        if data: RTC.kept = data[0]
        return RTC.kept
""",
    "esp32": """
class Partition:
    TYPE_DATA = 1
    @staticmethod
    def find(kind, label): return ["area"] if label == "journal" else []
class NVS:
    def __init__(self, name): pass
HEAP_DATA = 4
def idf_heap_info(kind): return [(300000, 90000, 50000, 80000)]
""",
    "time": """
raw = 0
def ticks_us(): return raw
def ticks_diff(a, b): return ((a - b + (1 << 29)) & ((1 << 30) - 1)) - (1 << 29)
""",
}


def test_esp32_ticks_never_wrap(tmp_path: Path, micropython: Callable[..., Any]) -> None:
    """64-bit ticks go on over the counter's wrap at 2^30, also for an edge before it; buses get the board's speeds.

    A brown-out, which MicroPython calls power-on, is told from the chip's register.
    """
    for name, text in STAND_INS.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "board.py").write_text(render(BOARD))
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import time, machine
from hal import esp32 as hal
assert hal.__name__ == "hal.esp32" and time.ticks_us() == 0
true = 0
line = hal.irq(4)
assert line.take() == -1
for step in [1, 10**8, 4 * 10**8, 5 * 10**8, 5 * 10**8, 3, 5 * 10**8] * 3:
    edge = true + step // 2
    time.raw = edge & (1 << 30) - 1
    assert not hal.edge() and not line.seen()
    line.pin.handler(line.pin); line.pin.handler(line.pin)
    assert hal.edge() and line.seen()
    true += step
    time.raw = true & (1 << 30) - 1
    assert line.take() == edge and line.take() == -1
    assert hal.ticks() == true, (hal.ticks(), true)
hal.spi(1); hal.i2c(0); hal.feed(); hal.feed()
assert ("spi", 1, 4000000, 0, 0) in machine.calls and ("i2c", 0, 400000) in machine.calls
assert machine.WDT.fed == 2 and machine.calls.count(("wdt", 10000)) == 1
assert hal.partition("journal") == "area" and hal.reset_cause() == 3
hal.reset(6)
assert machine.calls[-1] == "reset"
for cause in (6, 3):
    del sys.modules["hal.esp32"]
    import hal.esp32
    assert hal.esp32.reset_cause() == cause
machine.reset_cause = lambda: 1
for register, cause in ((0x3381, 1), (0x338F, 9)):
    machine.mem32[0x3FF48034] = register
    del sys.modules["hal.esp32"]
    import hal.esp32
    assert hal.esp32.reset_cause() == cause
hal = hal.esp32
try: hal.partition("vfs")
except OSError as e: print("ok", e.errno)
"""
    assert micropython(script).stdout == "ok 19\n"


def test_both_hals_offer_the_same_names() -> None:
    """Every name that hal/__init__.py promises stands in both modules."""
    hal = ROOT / "firmware" / "hal"
    promised = re.findall(r"^#   (\w+)(?:\(|  )", (hal / "__init__.py").read_text(), re.MULTILINE)
    assert len(promised) >= 15
    for name in [*promised, "reset_cause"]:
        for module in ("virtual", "esp32"):
            text = (hal / f"{module}.py").read_text()
            assert any(f"\n{form}" in text for form in (f"def {name}(", f"{name} = ", f"class {name}")), (module, name)
