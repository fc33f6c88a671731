"""Sensors without a FIFO, under real MicroPython, against their models: ADS1292R by interrupt, AD8232 by ADC."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitalwire_protocol.spec import Fault, Mark
from vitalwire_tools.codegen.board import BoardError
from vitalwire_tools.codegen.boardfile import parse
from vitalwire_tools.codegen.chips import chips
from vitalwire_tools.codegen.scaffold import text
from vitalwire_tools.virtual.hardware import Hardware, load_signals
from vitalwire_tools.virtual.rig import run

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = load_signals(ROOT / "boards" / "virtual" / "signals")
EMPTY = text("bare", chips()["esp32"]).partition("[i2c.")[0]
SPI = """
[spi.1]
sck = 18
mosi = 23
miso = 19
baud = 4000000
"""
BOARDS = {
    "ads1292r": EMPTY + SPI + '[[sensor]]\npart = "ads1292r"\nspi = 1\nselect = 22\ninterrupt = 4\n',
    "ad8232": EMPTY + '[[sensor]]\npart = "ad8232"\nadc = 34\nplus = 25\nminus = 26\n',
}
COSTS = "[cpu.esp32]\nflash_erase = 1000\n" + "".join(
    f"{kind} = 0\n" for kind in ("modmul", "bytecode", "viper", "sha", "flash_program", "flash_read", "gc", "bus")
)
# Reads one sensor as the application does; time passes with the heap locked, so that handlers cannot allocate. Busy
# goes on in whole pieces, of the length given, that no handler interrupts.
SCRIPT = """
import board, json, micropython, sys
from hal import virtual as hal
from ring import Ring
from wiring import make
end, busy = int(sys.argv[1]), int(sys.argv[2])
if sys.argv[3]:
    import rates
    rates.update([row[0] for row in board.sensors()], type("Config", (), json.loads(sys.argv[3])))
d = make(hal, board.sensors()[0])
width = len(d.CHANNELS)
ring, got, lost, marks, events, off, running = Ring(width, 512), [[] for _ in range(width)], [], [], [], [], False
locked = False
while hal.ticks() < end:
    try:
        if not running:
            again = d.start(hal.ticks())
            running = not again
            hal.idle(again)
            continue
        if d.due(hal.ticks()) <= hal.ticks():
            d.read(ring, hal.ticks())
        if d.lost:
            lost.append((d.lost, d.estimated))
            d.lost = 0
        if d.lead_off != (off[-1][0] if off else False):
            off.append((d.lead_off, len(got[0])))
        for i in range(0, 4 * ring.runs, 4):
            start = ring.marks[i + 2] - ring.tail
            marks.append((ring.marks[i + 1], len(got[0]) + start, ring.marks[i + 3]))
        for channel in range(width):
            got[channel] += [ring.data[channel][ring.place(i)] for i in range(ring.tail, ring.head)]
        ring.consume(ring.head - ring.tail)
        until = d.due(hal.ticks())
        locked = True
        micropython.heap_lock()
        if busy:
            hal.spend("flash_erase", busy)
        hal.idle(until)
        micropython.heap_unlock()
        locked = False
    except Exception as e:
        if locked:
            micropython.heap_unlock()
        locked = False
        events.append((type(e).__name__, e.args[0]))
        running = False
        hal.idle(hal.ticks() + 500000)
print(json.dumps({"got": got, "lost": lost, "marks": marks, "events": events, "off": off}))
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Any]:
    """Run the script for some seconds of virtual time; returns what it says, and what the chip played."""

    def read(
        part: str, seconds: int, *faults: dict[str, Any], busy: int = 0, rates: dict[str, int] | None = None
    ) -> Any:
        described = parse(BOARDS[part] + COSTS)
        hardware = Hardware(described, SIGNALS, [{"chip": part, **fault} for fault in faults])
        arguments = [str(seconds * 1_000_000), str(busy), json.dumps(rates) if rates else ""]
        done = run(hardware, described, SCRIPT, tmp_path, ROOT / "firmware", arguments, cpu="esp32")
        assert done.code == 0, done.output + done.errors
        assert hardware.refused == []
        return json.loads(done.output), hardware.played[part]

    return read


@pytest.mark.parametrize("part", BOARDS)
def test_every_sample_is_the_chips(read: Callable[..., Any], part: str) -> None:
    """While nothing long runs, every sample arrives in order, none twice, without an allocation in the handler."""
    said, played = read(part, 6)
    for got, counts in zip(said["got"], played.counts, strict=True):
        assert len(got) > 1300
        assert got == list(counts)[: len(got)]
    assert (said["lost"], said["marks"], said["events"]) == ([], [], [])


@pytest.mark.parametrize("ppm", [-9000, 9000])
def test_a_chip_that_drifts_loses_nothing(read: Callable[..., Any], ppm: int) -> None:
    """A chip almost one per cent off, with jitter, is followed: no sample is taken twice or thought lost."""
    said, played = read("ads1292r", 20, {"fault": "drift", "ppm": ppm}, {"fault": "jitter", "us": 200})
    assert said["got"][0] == list(played.counts[0])[: len(said["got"][0])]
    assert (said["lost"], said["marks"]) == ([], [])


@pytest.mark.parametrize("busy", [5_000, 17_500, 45_000])
def test_what_nobody_could_read_is_declared(read: Callable[..., Any], busy: int) -> None:
    """Samples overwritten during a flash erase are declared as lost, by number; the others keep their places."""
    said, played = read("ads1292r", 12, busy=busy)
    got, counts = np.array(said["got"][0]), np.array(played.counts[0])
    gone = np.frombuffer(bytes(played.lost), np.uint8)[: len(got)].astype(bool)
    marked = np.zeros(len(got), bool)
    for _, start, length in said["marks"]:
        marked[start : start + length] = True
    told = sum(number for number, _ in said["lost"])
    assert all(estimated for _, estimated in said["lost"])
    assert gone.sum() > 100
    assert abs(told - gone.sum()) <= 12
    # The clock may put the one sample read after a gap a place too late; then its own place counts as lost.
    wrong = (got != counts[: len(got)]) & ~marked
    assert wrong.sum() <= len(said["lost"]) / 4
    assert all(gone[index - 1] or gone[index] for index in np.flatnonzero(wrong))


@pytest.mark.parametrize("part", BOARDS)
def test_an_electrode_that_falls_off_is_told(read: Callable[..., Any], part: str) -> None:
    """While an electrode is off every sample says so, and the reading says when it began and ended."""
    said, _ = read(part, 8, {"fault": "lead_off", "at_s": 3, "for_s": 2})
    assert [off for off, _ in said["off"]] == [True, False]
    rate = 250 if part == "ads1292r" else 256
    marked = sum(length for code, _, length in said["marks"] if code == Mark.LEAD_OFF)
    assert abs(marked - 2 * rate) <= 1
    assert said["events"] == []


def test_saturation_is_marked(read: Callable[..., Any]) -> None:
    """What stands at the converter's rail is marked as saturated, on both leads."""
    said, _ = read("ads1292r", 5, {"fault": "saturate", "rail": 1, "at_s": 2, "for_s": 1})
    assert sum(length for code, _, length in said["marks"] if code == Mark.SATURATED) in range(2 * 249, 2 * 251 + 1)
    said, _ = read("ad8232", 5, {"fault": "saturate", "rail": -1, "at_s": 2, "for_s": 1})
    assert sum(length for code, _, length in said["marks"] if code == Mark.SATURATED) in range(255, 258)


@pytest.mark.parametrize(
    ("kind", "fault"), [("missing", Fault.MISSING), ("wrong_part", Fault.WRONG_PART), ("wedged", Fault.WEDGED)]
)
def test_what_is_wrong_with_the_chip_is_told(read: Callable[..., Any], kind: str, fault: Fault) -> None:
    """A chip that is missing, another part, or silent is told apart, and read again once it is back."""
    said, _ = read("ads1292r", 8, {"fault": kind, "at_s": 0, "for_s": 3})
    assert said["events"][0] == ["SensorError", fault]
    assert len(said["got"][0]) > 500


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOARDS["ads1292r"].replace("interrupt = 4\n", ""), "'interrupt' is missing"),
        (
            BOARDS["ads1292r"] + '[[sensor]]\npart = "max30003"\nspi = 1\nselect = 25\n',
            r"sensor 0 \(ads1292r\): needs spi\.1 for itself",
        ),
        (BOARDS["ad8232"].replace("adc = 34", "adc = 27"), "GPIO 27 of esp32 is no input of ADC1"),
        (BOARDS["ad8232"].replace("minus = 26\n", ""), "'minus' is missing"),
        (BOARDS["ad8232"].replace("minus = 26", "minus = 25"), r"minus: GPIO 25 is sensor 0 \(ad8232\): plus already"),
    ],
    ids=range(5),
)
def test_wiring_that_cannot_work_is_refused(text: str, words: str) -> None:
    """A part read by its interrupt needs that wire and a bus of its own; an analogue one needs its three pins."""
    with pytest.raises(BoardError, match=words):
        parse(text)
