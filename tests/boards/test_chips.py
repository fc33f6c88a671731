"""The models of the sensor chips behave as their data sheets say, and refuse what those do not allow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.boards.virtualboard import BOARD, ROOT, SIGNALS

from vitalwire_tools.virtual import faults
from vitalwire_tools.virtual.chips.base import I2cChip, Oscillator, Refused
from vitalwire_tools.virtual.chips.lsm6dso import Lsm6dso
from vitalwire_tools.virtual.chips.max30003 import Max30003
from vitalwire_tools.virtual.chips.max30102 import Max30102
from vitalwire_tools.virtual.chips.max30205 import Max30205
from vitalwire_tools.virtual.hardware import CHIPS


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
    ("not that low pass", lambda: [(c := ecg()), spi(c, 0x2A, 0x80, 0x60, 0), spi(c, 0x20, 8, 0, 4)]),
    ("within a word", lambda: [(c := ecg()), spi(c, 0x43, 0), spi(c, 0x03, 0, 0, 0)]),
    ("no register 0x0B", lambda: i2c_read(ppg(), 0x0B)),
    ("empty FIFO", lambda: i2c_read(ppg(), 0x07, 6)),
    ("not read whole", lambda: [(c := ppg()), c.advance(50_000), i2c_read(c, 0x07, 4)]),
    ("reserved bits of register 0x09", lambda: i2c_write(ppg(), 0x09, 0x08)),
    ("reserved bits of register 0xFF", lambda: i2c_write(ppg(), 0xFF, 1)),
    ("only ever cleared", lambda: i2c_write(ppg(), 0x06, 3)),
    ("while it resets", lambda: [(c := ppg()), i2c_write(c, 0x09, 0x40), i2c_write(c, 0x08, 0x4F)]),
    ("red and infrared, 18 bits", lambda: i2c_write(Max30102([(0, 0)], [], 1), 0x09, 0x03)),
    ("from its tag on", lambda: [(c := motion()), c.advance(50_000), i2c_read(c, 0x79)]),
    ("not read whole", lambda: [(c := motion()), c.advance(50_000), i2c_read(c, 0x78, 6)]),
    ("reserved bits of register 0x0A", lambda: i2c_write(motion(), 0x0A, 0x80)),
    ("bypass and continuous", lambda: i2c_write(motion(), 0x0A, 0x01)),
    ("takes every sample", lambda: i2c_write(motion(), 0x10, 0x48)),
    ("one-shot", lambda: i2c_write(Max30205([(0,)], [], 1), 0x01, 0x00)),
    ("only the configuration", lambda: i2c_write(Max30205([(0,)], [], 1), 0x02, 0x00)),
]  # fmt: skip


@pytest.mark.parametrize(("words", "access"), REFUSED, ids=range(len(REFUSED)))
def test_chips_refuse_what_the_data_sheet_does_not_allow(words: str, access: Callable[[], object]) -> None:
    """Reserved bits, unknown registers and half-read samples are refused in words, not ignored."""
    with pytest.raises(Refused, match=words):
        access()


@pytest.mark.parametrize("ratio", [2, 4])
def test_a_chip_samples_as_its_registers_say(ratio: int) -> None:
    """At a higher rate the recording is played as fast as before, with the samples of its own rate among the others."""
    own = SIGNALS["acceleration"]
    chip = Lsm6dso(own, [], 1)
    rate = {2: 4, 4: 5}[ratio]  # 104 and 208 Hz
    i2c_write(chip, 0x12, 0x64)
    i2c_write(chip, 0x07, 0x1A, 0x00, rate, 0x06)
    i2c_write(chip, 0x10, rate << 4 | 8)
    chip.advance(20_000_000)
    assert len(chip.played) == 20 * 52 * ratio
    for channel, counts in enumerate(chip.played.counts):
        assert list(counts[::ratio]) == [row[channel] for row in own[: 20 * 52]]


def test_a_lower_rate_halves_what_is_played() -> None:
    """Half as many samples come in the same time, of the same mean."""
    chip = Max30102(SIGNALS["ppg"], [], 1)
    for register, value in ((0x08, 0x4F), (0x0A, 0x2B), (0x0C, 0x24), (0x0D, 0x24), (0x09, 0x03)):
        i2c_write(chip, register, value)
    chip.advance(80_000_000)
    assert len(chip.played) == 80 * 50
    means = [np.mean(counts) for counts in chip.played.counts]
    assert means == pytest.approx(np.mean(SIGNALS["ppg"], axis=0), abs=1)


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
