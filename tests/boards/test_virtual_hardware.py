"""The virtual board's hardware: chips as strict as their data sheets, a clock of its own, a checked board.toml."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitalwire_tools.codegen.board import Board, BoardError
from vitalwire_tools.codegen.boardfile import load, parse
from vitalwire_tools.codegen.boardmodule import render
from vitalwire_tools.virtual import faults
from vitalwire_tools.virtual.chips.base import I2cChip, Oscillator, Refused
from vitalwire_tools.virtual.chips.lsm6dso import Lsm6dso
from vitalwire_tools.virtual.chips.max30003 import Max30003
from vitalwire_tools.virtual.chips.max30102 import Max30102
from vitalwire_tools.virtual.chips.max30205 import Max30205
from vitalwire_tools.virtual.hardware import CHIPS, Hardware, environment, load_signals
from vitalwire_tools.virtual.rig import Run, run

ROOT = Path(__file__).resolve().parents[2]
TOML = (ROOT / "boards" / "virtual" / "board.toml").read_text()
BOARD = load(ROOT / "boards" / "virtual" / "board.toml")
SIGNALS = load_signals(ROOT / "boards" / "virtual" / "signals")

# ---------------------------------------------------------------- recordings


@pytest.mark.parametrize("part", [sensor.part for sensor in BOARD.sensors])
def test_recordings_fit_their_chips(part: str) -> None:
    """Every chip of the virtual board has 60 s of a signal that moves, in counts it can give, named in the README."""
    chip = CHIPS[part]
    counts = np.array(SIGNALS[chip.signal])
    seconds = len(counts) / (1 if part == "max30205" else chip.hertz)
    assert counts.shape[1] == len(chip.channels)
    assert seconds >= 60
    low, high = chip.rails if chip.rails[1] else (-32768, 32767)
    assert low < counts.min()
    assert counts.max() < high
    assert (counts.std(axis=0) > 10).all()
    readme = (ROOT / "boards" / "virtual" / "signals" / "README.md").read_text()
    assert f"`{chip.signal}.npy`" in readme
    assert f"| {seconds:.0f} s |" in readme


# ---------------------------------------------------------------- chips


def i2c_write(chip: I2cChip, register: int, *values: int, now: int = 0) -> None:
    """Write registers as a bus would."""
    chip.select(register)
    for value in values:
        chip.write_byte(value, now)
    chip.stop()


def i2c_read(chip: I2cChip, register: int, n: int = 1, now: int = 0) -> list[int]:
    """Read registers as a bus would."""
    chip.select(register)
    values = [chip.read_byte(now) for _ in range(n)]
    chip.stop()
    return values


def spi(chip: Max30003, *values: int, now: int = 0) -> int:
    """One chip-select frame; returns the last 24 bits that came back."""
    chip.begin_frame()
    return int.from_bytes(bytes(chip.shift(value, now) for value in values)[-3:], "big")


def ecg(*script: faults.Fault) -> Max30003:
    """A MAX30003 that plays 0, 1, 2, ... from time 0."""
    chip = Max30003([(n,) for n in range(1000)], list(script), 1)
    for register, value in ((0x14, 0), (0x15, 0x406000), (0x02, 0x800003), (0x04, 0x380004), (0x10, 0x081217)):
        spi(chip, register << 1, *value.to_bytes(3, "big"))
    return chip


def ppg() -> Max30102:
    """A MAX30102 that plays (0, 1000), (1, 1001), ... from time 0."""
    chip = Max30102([(n, n + 1000) for n in range(1000)], [], 1)
    i2c_write(chip, 0x08, 0x4F, 0x00, 0x2F)
    i2c_write(chip, 0x0C, 0x24, 0x24)
    i2c_write(chip, 0x02, 0x40)
    i2c_read(chip, 0x00)
    i2c_write(chip, 0x09, 0x03)
    return chip


def motion() -> Lsm6dso:
    """A LSM6DSO that plays (0, -1, 2), (1, -2, 3), ... from time 0."""
    chip = Lsm6dso([(n, -n - 1, n + 2) for n in range(1000)], [], 1)
    i2c_write(chip, 0x12, 0x64)
    i2c_write(chip, 0x07, 0x1A, 0x00, 0x03, 0x06)
    i2c_write(chip, 0x0D, 0x08)
    i2c_write(chip, 0x10, 0x38)
    return chip


def test_max30003_tags_the_last_word_and_an_empty_fifo() -> None:
    """Words come with ETAG 0, the last with 2, and an empty FIFO answers 6."""
    chip = ecg()
    chip.advance(math.ceil(3e6 / 256))
    words = [spi(chip, 0x43, 0, 0, 0) for _ in range(4)]
    assert [word >> 3 & 7 for word in words] == [0, 0, 2, 6]
    assert [word >> 6 for word in words[:3]] == [0, 1, 2]


def test_max30003_interrupt_follows_the_threshold() -> None:
    """EINT and the line go low with the eighth word, at its very time, and rise when words are taken out."""
    chip = ecg()
    eighth = math.ceil(8e6 / 256)
    assert chip.wakes() == eighth
    chip.advance(eighth - 1)
    assert not chip.low
    chip.advance(eighth)
    assert chip.low
    assert chip.edge == eighth
    assert spi(chip, 0x03, 0, 0, 0) & 1 << 23
    spi(chip, 0x43, 0, 0, 0)
    chip.settle(eighth)
    assert not chip.low


def test_max30003_overflow_voids_the_fifo_until_it_is_reset() -> None:
    """The 33rd word sets EOVF and ETAG 7; FIFO_RST clears both, and every void sample is logged as lost."""
    chip = ecg()
    chip.advance(math.ceil(40e6 / 256))
    assert spi(chip, 0x03, 0, 0, 0) & 1 << 22
    assert spi(chip, 0x43, 0, 0, 0) >> 3 & 7 == 7
    spi(chip, 0x14, 0, 0, 0)
    assert not spi(chip, 0x03, 0, 0, 0) & 1 << 22
    assert bytes(chip.played.lost) == b"\x01" * 40
    chip.advance(math.ceil(41e6 / 256))
    assert spi(chip, 0x43, 0, 0, 0) >> 6 == 40


def test_max30003_status_shows_lead_off_and_the_pll() -> None:
    """LDOFF bits follow the electrodes, DCLOFFINT comes 115 ms later, and both interrupts are held until read."""
    chip = ecg(faults.Fault("max30003", "lead_off", 100_000, 400_000))
    assert spi(chip, 0x03, 0, 0, 0, now=1000) & 1 << 8
    assert spi(chip, 0x03, 0, 0, 0, now=20_000) & 1 << 8 == 0
    chip.advance(150_000)
    assert spi(chip, 0x03, 0, 0, 0, now=150_000) & 0x10000F == 0x9
    chip.advance(300_000)
    assert spi(chip, 0x03, 0, 0, 0, now=300_000) & 0x10000F == 0x100009
    chip.advance(450_000)
    assert spi(chip, 0x03, 0, 0, 0, now=450_000) & 0x10000F == 0


def test_max30102_pointers_counter_and_pop() -> None:
    """Pointers run modulo 32; the counter counts to 31 and starts over with the first byte taken out."""
    chip = ppg()
    chip.advance(5 * 10_000)
    assert i2c_read(chip, 0x04, 3) == [5, 0, 0]
    assert i2c_read(chip, 0x07, 12) == [0, 0, 0, 0, 3, 232, 0, 0, 1, 0, 3, 233]
    assert i2c_read(chip, 0x04, 3) == [5, 0, 2]
    chip.advance(40 * 10_000)
    assert i2c_read(chip, 0x04, 3) == [2, 6, 2]
    chip.advance(100 * 10_000)
    assert i2c_read(chip, 0x04, 3) == [2, 31, 2]
    i2c_read(chip, 0x07, 6)
    assert i2c_read(chip, 0x04, 3) == [2, 0, 3]
    assert sum(chip.played.lost) == 66


def test_max30102_rolls_over_when_told() -> None:
    """With the rollover bit a full FIFO drops the oldest instead of the newest."""
    chip = ppg()
    i2c_write(chip, 0x08, 0x5F)
    chip.advance(40 * 10_000)
    assert i2c_read(chip, 0x04, 3) == [8, 8, 8]
    assert i2c_read(chip, 0x07, 6)[2] == 8
    assert list(chip.played.lost[:9]) == [1] * 8 + [0]


def test_max30102_new_sample_interrupt() -> None:
    """The line falls with a sample and rises by reading the status or the data."""
    chip = ppg()
    chip.settle(0)
    assert not chip.low
    chip.advance(10_000)
    assert chip.edge == 10_000
    i2c_read(chip, 0x00)
    chip.settle(10_000)
    assert not chip.low
    chip.advance(20_000)
    assert chip.low
    i2c_read(chip, 0x07, 6)
    chip.settle(20_000)
    assert not chip.low


def test_lsm6dso_words_tags_and_watermark() -> None:
    """Words of seven bytes carry tag 2, a running count and even parity; the line falls at 26 words."""
    chip = motion()
    assert chip.wakes() == math.ceil(26e6 / 52)
    chip.advance(26e6 / 52)
    assert chip.low
    assert i2c_read(chip, 0x3A, 2) == [26, 0x80]
    words = [i2c_read(chip, 0x78, 7) for _ in range(3)]
    assert [word[0] >> 3 for word in words] == [2] * 3
    assert [word[0] >> 1 & 3 for word in words] == [0, 1, 2]
    assert all(bin(word[0]).count("1") % 2 == 0 for word in words)
    assert [word[1:] for word in words[:2]] == [[0, 0, 255, 255, 2, 0], [1, 0, 254, 255, 3, 0]]
    assert len(i2c_read(chip, 0x78, 14)) == 14


def test_lsm6dso_overwrites_the_oldest_and_says_so() -> None:
    """Past 512 words the overrun flags come, the latched one until the status is read."""
    chip = motion()
    chip.advance(math.ceil(520e6 / 52))
    assert i2c_read(chip, 0x3A, 2) == [0, 0x80 | 0x40 | 0x20 | 0x08 | 2]
    assert i2c_read(chip, 0x3B)[0] & 0x08 == 0
    assert i2c_read(chip, 0x78, 7)[1] == 8
    assert i2c_read(chip, 0x3B)[0] & 0x40 == 0
    assert list(chip.played.lost[:9]) == [1] * 8 + [0]


def test_max30205_converts_when_told() -> None:
    """One shot gives the recording's next value 44 ms later; a result nobody read is logged as lost."""
    chip = Max30205([(-3,), (9000,), (9001,)], [], 1)
    i2c_write(chip, 0x01, 0x81, now=0)
    chip.advance(43_999)
    assert i2c_read(chip, 0x00, 2) == [0, 0]
    chip.advance(44_000)
    assert i2c_read(chip, 0x00, 2) == [0xFF, 0xFD]
    for now in (100_000, 200_000):
        i2c_write(chip, 0x01, 0x81, now=now)
        chip.advance(now + 50_000)
    assert list(chip.played.lost) == [0, 1, 0]


REFUSED: list[tuple[str, Callable[[], object]]] = [
    ("reserved bits of register 0x10", lambda: spi(ecg(), 0x20, 0xFF, 0xFF, 0xFF)),
    ("reserved bits of register 0x01", lambda: spi(ecg(), 0x02, 0, 0, 0)),
    ("register 0x0B cannot be read", lambda: spi(ecg(), 0x17, 0, 0, 0)),
    ("more than 32 clocks", lambda: spi(ecg(), 0x03, 0, 0, 0, 0)),
    ("takes only 0", lambda: spi(ecg(), 0x10, 0, 0, 1)),
    ("256 samples a second", lambda: [(c := ecg()), spi(c, 0x2A, 0, 0, 0), spi(c, 0x20, 8, 0, 4)]),
    ("within a word", lambda: [(c := ecg()), spi(c, 0x43, 0), spi(c, 0x03, 0, 0, 0)]),
    ("no register 0x0B", lambda: i2c_read(ppg(), 0x0B)),
    ("empty FIFO", lambda: i2c_read(ppg(), 0x07, 6)),
    ("not read whole", lambda: [(c := ppg()), c.advance(50_000), i2c_read(c, 0x07, 4)]),
    ("reserved bits of register 0x09", lambda: i2c_write(ppg(), 0x09, 0x08)),
    ("reserved bits of register 0xFF", lambda: i2c_write(ppg(), 0xFF, 1)),
    ("only ever cleared", lambda: i2c_write(ppg(), 0x06, 3)),
    ("while it resets", lambda: [(c := ppg()), i2c_write(c, 0x09, 0x40), i2c_write(c, 0x08, 0x4F)]),
    ("100 samples a second", lambda: i2c_write(Max30102([(0, 0)], [], 1), 0x09, 0x03)),
    ("from its tag on", lambda: [(c := motion()), c.advance(50_000), i2c_read(c, 0x79)]),
    ("not read whole", lambda: [(c := motion()), c.advance(50_000), i2c_read(c, 0x78, 6)]),
    ("reserved bits of register 0x0A", lambda: i2c_write(motion(), 0x0A, 0x80)),
    ("bypass and continuous", lambda: i2c_write(motion(), 0x0A, 0x01)),
    ("52 samples a second", lambda: i2c_write(motion(), 0x10, 0x48)),
    ("one-shot", lambda: i2c_write(Max30205([(0,)], [], 1), 0x01, 0x00)),
    ("only the configuration", lambda: i2c_write(Max30205([(0,)], [], 1), 0x02, 0x00)),
]  # fmt: skip


@pytest.mark.parametrize(("words", "access"), REFUSED, ids=range(len(REFUSED)))
def test_chips_refuse_what_the_data_sheet_does_not_allow(words: str, access: Callable[[], object]) -> None:
    """Reserved bits, unknown registers and half-read samples are refused in words, not ignored."""
    with pytest.raises(Refused, match=words):
        access()


def test_oscillators_drift_without_jumping() -> None:
    """A change of drift keeps the phase, jitter does not add up, and times never go back."""
    clock = Oscillator(100.0, 7)
    clock.start(0)
    times = []
    for n in range(3000):
        if n == 1000:
            clock.tune(times[-1], 10_000, 0)
        if n == 2000:
            clock.tune(times[-1], 10_000, 1000)
        assert clock.at(2) > clock.at()
        times.append(clock.at())
        clock.step()
    steps = np.diff(times)
    assert set(steps[:999]) == {10_000}
    assert set(steps[1000:1998]) <= {9900, 9901, 9902}
    assert steps[2000:].std() > 300
    assert times[-1] == pytest.approx(1000 * 10_000 + 2000 * 1e6 / 101, abs=2500)


# ---------------------------------------------------------------- faults and board.toml


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"chip": "max30003", "fault": "fire"}, "unknown fault"),
        ({"chip": "max30205", "fault": "lead_off"}, "befalls one of max30003"),
        ({"chip": "max30003", "fault": "nak"}, "befalls one of"),
        ({"chip": "max30003", "fault": "drift"}, "ppm must be a number"),
        ({"chip": "max30003", "fault": "drift", "ppm": 1e6}, "ppm must be a number"),
        ({"chip": "max30003", "fault": "wedged", "at": 3}, "unknown key 'at'"),
        ({"chip": "max30003", "fault": ["wedged"]}, "unknown fault"),
        ({"chip": ["max30003"], "fault": "wedged"}, "befalls one of"),
        ({"chip": "max30003", "fault": "wedged", "at_s": -1}, "at_s must be"),
        ({"chip": "max30003", "fault": "wedged", "at_s": float("inf")}, "at_s must be"),
        ({"chip": "max30003", "fault": "wedged", "at_s": float("nan")}, "at_s must be"),
        ({"chip": "max30003", "fault": "wedged", "for_s": 0}, "for_s more than 0"),
        ({"chip": "board", "fault": "stall"}, "needs for_s"),
    ],
)
def test_a_script_of_faults_is_checked(entry: dict[str, Any], words: str) -> None:
    """What is not understood is named, not ignored."""
    with pytest.raises(faults.FaultError, match=words):
        faults.parse([entry])


def edit(old: str, new: str) -> str:
    """The virtual board's TOML with one passage changed."""
    assert old in TOML
    return TOML.replace(old, new, 1)


BAD_BOARDS = [
    ("name = \"virtual\"", "name = \"virtual\"\ncolour = 3", "unknown key 'colour'"),
    ("flash = 0x400000", "flash = \"4M\"", "'flash' must be int"),
    ("flash = 0x400000", "", "'flash' is missing"),
    ("chip = \"esp32\"", "chip = \"z80\"", "unknown 'z80'; allowed: esp32, esp32s3, esp32c3"),
    ("journal = [0x300000, 0x100000]", "journal = [0x2FF000, 0x100000]", "apart from the others"),
    ("journal = [0x300000, 0x100000]", "journal = [0x300001, 0x1000]", "whole sectors"),
    ("journal = [0x300000, 0x100000]", "journal = [0x300000, 0x200000]", "within the flash"),
    ("journal =", "swap =", "must be vfs or journal"),
    ("[i2c.0]", "[i2c.zero]", "named by its number"),
    ("scl = 22", "scl = 99", "scl must be an integer"),
    ("part = \"lsm6dso\"", "part = \"bmi270\"", "unknown 'bmi270'; allowed: .*max30003"),
    ("address = 0x6A", "address = 0x6A\nselect = 5", "unknown key 'select'"),
    ("i2c = 0\naddress = 0x48", "i2c = 1\naddress = 0x48", "no bus i2c.1"),
    ("divider = [2, 1]", "divider = [2]", "two integers"),
    ("full = 4200", "full = 100", "full must be"),
    ("[cpu.esp32]", "[cpu.z80]", "unknown 'z80'"),
    ("gc = 14_000_000", "naps = 1", "unknown key 'naps'"),
    ("name =", "name", "line|Expected"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), BAD_BOARDS, ids=range(len(BAD_BOARDS)))
def test_a_board_file_is_checked(old: str, new: str, words: str) -> None:
    """The vocabulary of board.toml is closed: what is unknown, missing or out of range is named."""
    with pytest.raises(BoardError, match=words):
        parse(edit(old, new))


@pytest.mark.parametrize(
    ("count", "words"), [(10, r"descriptor of \d+ bytes; name fewer sensors for one of 1536"), (13, "17 sensors")]
)
def test_a_board_that_cannot_be_described_is_refused(count: int, words: str) -> None:
    """A board of more sensors than one frame can describe is refused when it is built, not by its resets."""

    def more(number: int) -> str:
        rows = [f'[[sensor]]\npart = "lsm6dso"\ni2c = 0\naddress = {0x10 + n}\n\n' for n in range(number)]
        return edit("[battery]", "".join(rows) + "[battery]")

    assert len(parse(more(4)).sensors) == len(BOARD.sensors) + 4
    with pytest.raises(BoardError, match=words):
        parse(more(count))


def test_the_devices_board_is_plain_data() -> None:
    """The rendered board.py holds exactly what the TOML says: the sensors' drivers, and literals."""
    literals, imports = render(BOARD).split("def sensors():\n")
    values: dict[str, Any] = {}
    exec(compile(literals, "board.py", "exec"), values)
    *imports, rows = filter(None, imports.splitlines())
    assert "    from sensors.max30003 import MAX30003" in imports
    drivers = {line.split()[-1]: line.split()[1] for line in imports}
    sensors = eval(rows.removeprefix("    return "), drivers)
    assert sensors[0] == ("sensors.max30003", "spi", 1, 5, 4)
    assert sensors[-1] == ("sensors.max30205", "i2c", 0, 0x48, -1)
    assert dict((kind, row[2]) for kind, *row in values["BUSES"]) == {"i2c": 22, "spi": 18}  # noqa: C402
    assert values["PARTITIONS"] == (("vfs", 0x200000, 0x100000), ("journal", 0x300000, 0x100000))
    assert values["BATTERY"] == (34, 2, 1, 3300, 4200)
    assert environment(BOARD, fd=3, flash=Path("f"), cpu="esp32")["VITALWIRE_COSTS"].startswith("modmul=226000,")
    with pytest.raises(BoardError, match="no cost table"):
        environment(BOARD, fd=3, flash=Path("f"), cpu="z80")


# ---------------------------------------------------------------- the HAL, under MicroPython


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
say(code(bus.readfrom_mem_into, 0x33, 0, into), code(bus.writeto, 0x33, b"x"))
say(code(bus.readfrom_mem_into, 0x57, 0x0B, into))
bus.writeto(0x48, b"\\x01"); one = bytearray(1); bus.readfrom_into(0x48, one); say(one[0])
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


# ---------------------------------------------------------------- the ESP32's HAL, on stand-ins for its modules

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
