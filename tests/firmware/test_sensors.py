"""Every driver, under real MicroPython, against the model of its chip: what arrives in the ring is what was played."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitalwire_protocol.spec import Fault, Mark
from vitalwire_tools.codegen.boardfile import load
from vitalwire_tools.virtual.hardware import Hardware, load_signals
from vitalwire_tools.virtual.rig import run

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
BOARD = load(ROOT / "boards" / "virtual" / "board.toml")
SIGNALS = load_signals(ROOT / "boards" / "virtual" / "signals")
PARTS = ("max30003", "max30102", "lsm6dso", "max30205", "adc")  # in the order of the script's drivers
ECG, PPG, MOTION, TEMPERATURE, CELL = range(5)
HALF = {"max30003": 16, "max30102": 16, "lsm6dso": 256}
RESTART = 0  # SensorError of a driver that lost more than its ring holds
ALL = -1

# Reads all sensors as the application does, with the heap locked during each reading if so told, and writes down
# everything: counts, stamps (ticks, sample), marks (sensor, channel, code, start, length) and events. Between `hold`
# and `free` nobody empties the rings; after each round of readings other work takes up to `busy` loops of bytecode,
# and shallow FIFOs are emptied early at times.
SCRIPT = """
import json, micropython, sys
from array import array
from hal import virtual as hal
import board, wiring
from sensors import SensorError
from sensors.battery import Battery
from ring import Ring

end, lock, out, hold, free = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
sizes, busy, seed = [int(n) for n in sys.argv[6].split(",")], int(sys.argv[7]), 1
if sys.argv[8]:
    import rates
    rates.update([row[0] for row in board.sensors()], type("Config", (), json.loads(sys.argv[8])))
drivers = [wiring.make(hal, row) for row in board.sensors()]
drivers.append(Battery(hal.adc(board.BATTERY[0]), board.BATTERY[1], board.BATTERY[2]))
rings = [Ring(len(d.CHANNELS), n, d.BITS) for d, n in zip(drivers, sizes)]
again, running, taken = [0] * 5, [False] * 5, [0] * 5
counts = [[array("i") for _ in d.CHANNELS] for d in drivers]
stamps, marks, events = [[] for _ in drivers], [], []

def flush(k):
    ring = rings[k]
    for column, samples in zip(counts[k], ring.data):
        for i in range(ring.tail, ring.head):
            column.append(samples[ring.place(i)])
    for i in range(0, 4 * ring.runs, 4):
        channel, code, start, length = ring.marks[i:i + 4]
        first = max(start, ring.tail)
        marks.append((k, channel, code, taken[k] + first - ring.tail, start + length - first))
    stamp = (ring.ticks, taken[k] + ring.index - ring.tail)
    if ring.ticks >= 0 and (not stamps[k] or stamps[k][-1] != stamp):
        stamps[k].append(stamp)
    taken[k] += ring.head - ring.tail
    ring.consume(ring.head - ring.tail)

def turn(k):
    d, now = drivers[k], hal.ticks()
    if not running[k]:
        if now < again[k]:
            return
        try:
            again[k] = d.start(now)
            if not again[k]:
                running[k] = True
                events.append((k, now, "start", taken[k]))
        except (OSError, SensorError) as e:
            events.append((k, now, type(e).__name__, e.args[0]))
            again[k] = now + 500000
    elif d.due(now) <= now or (busy and seed >> 20 & 3 == 0 and d.due(now) - now < d.EARLY):
        d.early = d.due(now) > now
        try:
            if lock:
                micropython.heap_lock()
            d.read(rings[k], now)
            if lock:
                micropython.heap_unlock()
        except SensorError as e:
            flush(k)
            events.append((k, now, "SensorError", e.args[0]))
            rings[k].clear()
            running[k], again[k] = False, now
        if not hold <= now < free:
            flush(k)
    if d.lost:
        events.append((k, now, "lost", d.lost, d.estimated))
        d.lost, d.estimated = 0, False

while hal.ticks() < end:
    for k in range(5):
        turn(k)
    if busy:
        seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
        hal.spend("bytecode", (seed >> 8) % busy)
    now = hal.ticks()
    hal.idle(min([d.due(now) if r else a for d, r, a in zip(drivers, running, again)]))
for k in range(5):
    flush(k)
with open(out, "wb") as f:
    for columns in counts:
        for column in columns:
            f.write(column)
print(json.dumps({"n": taken, "stamps": stamps, "marks": marks, "events": events}))
"""


@dataclass
class Reading:
    """What the board read, per sensor, beside the hardware that played it."""

    counts: list[list[Any]]
    stamps: list[Any]
    marks: list[tuple[int, ...]]
    events: list[tuple[Any, ...]]
    hardware: Hardware

    def played(self, sensor: int) -> list[Any]:
        """The samples the chip did not lose itself, by channel."""
        log = self.hardware.played[PARTS[sensor]]
        kept = np.frombuffer(bytes(log.lost), np.uint8) == 0
        return [np.array(counts)[kept] for counts in log.counts]

    def under(self, sensor: int, *codes: int, channel: int = 0) -> Any:
        """Which of a sensor's samples lie under such marks."""
        marked = np.zeros(len(self.counts[sensor][channel]), bool)
        for k, c, code, start, length in self.marks:
            if k == sensor and code in codes and c in {ALL, channel}:
                marked[start : start + length] = True
        return marked

    def of(self, sensor: int, kind: str) -> list[Any]:
        """The details of a sensor's events of one kind."""
        return [event[3:] for event in self.events if event[0] == sensor and event[2] == kind]

    def check_times(self, sensor: int) -> int:
        """No stamp comes before its sample was ready nor a period later; returns how many are exact."""
        log, good = self.hardware.played[PARTS[sensor]], ~self.under(sensor, Mark.LOST, Mark.ESTIMATED)
        order = np.cumsum(good) - 1
        ready = np.array(log.times)[np.frombuffer(bytes(log.lost), np.uint8) == 0]
        late = [
            ticks - ready[order[index]] for ticks, index in self.stamps[sensor] if index < len(good) and good[index]
        ]
        assert min(late) >= 0
        assert max(late) < 1e6 / self.hardware.chips[PARTS[sensor]].hertz
        return late.count(0)

    def check(self, sensor: int, slack: int = 40) -> None:
        """Every sample not marked as lost is the next one played; only the FIFO's rest is still to come."""
        good = ~self.under(sensor, Mark.LOST, Mark.ESTIMATED)
        for got, wanted in zip(self.counts[sensor], self.played(sensor), strict=True):
            got = got[good]
            assert len(wanted) - slack <= len(got) <= len(wanted)
            np.testing.assert_array_equal(got, wanted[: len(got)])


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Reading]:
    """Run the script for some seconds of virtual time under a script of faults."""

    def read(
        seconds: float,
        *faults: dict[str, Any],
        lock: bool = False,
        seed: int = 1,
        cpu: str = "",
        firmware: Path = FIRMWARE,
        hold: tuple[float, float] = (0, 0),
        sizes: str = "256,128,128,16,16",
        busy: int = 0,
        rates: dict[str, int] | None = None,
        signals: dict[str, list[tuple[int, ...]]] | None = None,
    ) -> Reading:
        hardware = Hardware(BOARD, SIGNALS | (signals or {}), faults, seed, cpu)
        out = tmp_path / "counts"
        times = [str(round(t * 1e6)) for t in hold]
        arguments = [
            str(round(seconds * 1e6)),
            str(int(lock)),
            str(out),
            *times,
            sizes,
            str(busy),
            json.dumps(rates) if rates else "",
        ]
        done = run(hardware, BOARD, SCRIPT, tmp_path, firmware, arguments, cpu=cpu, heap="64m")
        assert done.code == 0, done.output + done.errors
        assert hardware.refused == []
        said = json.loads(done.output)
        raw, at, counts = np.fromfile(out, np.int32), 0, []
        for sensor, n in enumerate(said["n"]):
            columns = len(hardware.played[PARTS[sensor]].counts)
            counts.append([raw[at + c * n : at + (c + 1) * n] for c in range(columns)])
            at += columns * n
        return Reading(counts, said["stamps"], [tuple(m) for m in said["marks"]], said["events"], hardware)

    return read


@pytest.fixture
def bytecode(tmp_path: Path) -> Path:
    """The firmware's sensors without viper."""
    copy = tmp_path / "bytecode"
    shutil.copytree(FIRMWARE, copy)
    changed = 0
    for path in [copy / "ring.py", *(copy / "sensors").glob("*.py")]:
        text = path.read_text()
        changed += text.count("@micropython.viper")
        path.write_text(text.replace("@micropython.viper\n", ""))
    assert changed == 3
    return copy


def exact_times(reading: Reading, sensor: int) -> None:
    """Each stamp of an undisturbed sensor is exactly the moment that sample was ready."""
    log = reading.hardware.played[PARTS[sensor]]
    first = log.starts[-1] if log.starts else 0
    assert len(reading.stamps[sensor]) > 5
    for ticks, index in reading.stamps[sensor]:
        assert ticks == log.times[first + index]


@pytest.mark.parametrize("variant", ["viper", "bytecode", "esp32"])
def test_every_sample_is_the_recordings(variant: str, read: Callable[..., Reading], bytecode: Path) -> None:
    """A minute and more of all channels arrives bit for bit, without allocation, and no FIFO fills past half."""
    firmware = bytecode if variant == "bytecode" else FIRMWARE
    reading = read(66, lock=True, firmware=firmware, cpu="esp32" if variant == "esp32" else "")
    assert [event[2] for event in reading.events] == ["start"] * 5
    assert reading.marks == []
    for sensor, seconds in ((ECG, 64), (PPG, 64), (MOTION, 64), (TEMPERATURE, 64), (CELL, 60)):
        reading.check(sensor)
        rate = {ECG: 256, PPG: 100, MOTION: 52, TEMPERATURE: 1, CELL: 0.1}[sensor]
        assert len(reading.counts[sensor][0]) >= seconds * rate
    for sensor in (ECG, PPG, MOTION, CELL):
        if sensor != CELL:
            exact_times(reading, sensor)
            assert 0 < reading.hardware.chips[PARTS[sensor]].deepest <= max(HALF[PARTS[sensor]], 0)
    for ticks, index in reading.stamps[TEMPERATURE]:
        assert abs(ticks - reading.hardware.played["max30205"].times[index]) < 2000  # a few transfers


@pytest.mark.parametrize("busy", [850, 1000])
def test_a_busy_board_reads_at_any_moment(busy: int, read: Callable[..., Reading]) -> None:
    """Readings early or late by up to 14 ms, in any phase of the sampling, lose nothing and date every readout."""
    reading = read(120, cpu="esp32", busy=busy)
    assert [event[2] for event in reading.events] == ["start"] * 5
    assert reading.marks == []
    for sensor in (ECG, PPG, MOTION):
        reading.check(sensor)
        assert reading.check_times(sensor) > 0.8 * len(reading.stamps[sensor])
        assert reading.hardware.chips[PARTS[sensor]].deepest <= HALF[PARTS[sensor]]


@pytest.mark.parametrize("ppm", [-10_000, 10_000])
def test_drift_and_jitter_change_times_only(ppm: int, read: Callable[..., Reading]) -> None:
    """Oscillators 1 % off with jitter lose nothing, fill no FIFO past half, and their stamps stay exact."""
    chips = PARTS[:3]
    faults = [{"chip": c, "fault": "drift", "ppm": ppm} for c in chips]
    faults += [{"chip": c, "fault": "jitter", "us": 1000} for c in chips]
    reading = read(30, *faults, lock=True)
    assert [event[2] for event in reading.events] == ["start"] * 5
    for sensor in (ECG, PPG, MOTION):
        reading.check(sensor)
        exact_times(reading, sensor)
        assert reading.hardware.chips[PARTS[sensor]].deepest <= HALF[PARTS[sensor]]
    taken = len(reading.hardware.played["max30003"])
    assert taken == pytest.approx(30 * 256 * (1 + ppm * 1e-6), abs=20)


def test_runs_are_reproducible(read: Callable[..., Reading]) -> None:
    """The same seed gives the same samples at the same ticks, another seed other ticks."""
    jitter = [{"chip": c, "fault": "jitter", "us": 500} for c in PARTS[:3]]
    one, same, other = (read(5, *jitter, seed=seed) for seed in (3, 3, 4))
    assert one.stamps == same.stamps
    assert one.stamps[ECG] != other.stamps[ECG]


@pytest.mark.parametrize("stall", [0.1, 0.17, 0.19, 0.2, 0.206, 0.21, 0.212, 0.216, 0.226, 0.3, 0.45])
def test_ppg_overrun_is_counted_exactly(stall: float, read: Callable[..., Reading]) -> None:
    """Whether the FIFO is nearly full, exactly full or overrun by up to 30, the loss is counted and in its place."""
    reading = read(6, {"chip": "board", "fault": "stall", "at_s": 3, "for_s": stall}, lock=True)
    lost = int(np.frombuffer(bytes(reading.hardware.played["max30102"].lost), np.uint8).sum())
    assert sum(n for n, _ in reading.of(PPG, "lost")) == lost
    assert reading.under(PPG, Mark.LOST).sum() == lost
    assert not reading.under(PPG, Mark.ESTIMATED).any()
    assert (lost > 0) == (stall > 0.213)
    reading.check(PPG)
    exact_places(reading, PPG, Mark.LOST)


def exact_places(reading: Reading, sensor: int, mark: Mark) -> None:
    """The marked samples stand where the chip lost them."""
    log = reading.hardware.played[PARTS[sensor]]
    lost = np.frombuffer(bytes(log.lost), np.uint8)[log.starts[0] if log.starts else 0 :] != 0
    marked = reading.under(sensor, mark)
    np.testing.assert_array_equal(marked, lost[: len(marked)])


def test_ppg_overruns_in_any_phase_are_counted(read: Callable[..., Reading]) -> None:
    """Of fifty overruns that end in different phases each is counted, at most a sample short: where that sample falls
    between counter and FIFO of one transfer, 45 of each 10,000 us."""
    stalls = [{"chip": "board", "fault": "stall", "at_s": 2 + n, "for_s": 0.3 + 0.0002 * n} for n in range(50)]
    reading = read(54, *stalls, cpu="esp32")
    played = reading.hardware.played["max30102"]
    lost = runs(np.frombuffer(bytes(played.lost), np.uint8)[played.starts[0] :] != 0)
    marked = runs(reading.under(PPG, Mark.LOST))
    assert [n for n, _ in reading.of(PPG, "lost")] == [n for _, n in marked]
    assert len(marked) == len(lost) == 50
    assert min(n for _, n in lost) > 2
    short = 0
    for (at, n), (place, count) in zip(lost, marked, strict=True):
        assert place == at - short
        assert n - count in {0, 1}
        short += n - count
    assert short <= 2  # more would come in one of 500 versions of the drivers
    reading.check(PPG)
    if not short:
        reading.check_times(PPG)


def runs(flags: Any) -> list[tuple[int, int]]:
    """Start and length of each run of true ones."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(first), int(last - first)) for first, last in edges.reshape(-1, 2)]


def test_a_saturated_counter_is_replaced_by_the_clocks_estimate(read: Callable[..., Reading]) -> None:
    """A PPG loss past the counter's 31 is estimated within one sample and marked so."""
    reading = read(6, {"chip": "board", "fault": "stall", "at_s": 3, "for_s": 0.7})
    lost = int(np.frombuffer(bytes(reading.hardware.played["max30102"].lost), np.uint8).sum())
    ((count, estimated),) = reading.of(PPG, "lost")
    assert lost > 31
    assert estimated
    assert abs(count - lost) <= 1
    assert reading.under(PPG, Mark.ESTIMATED).sum() == count
    reading.check(PPG)
    reading.check_times(PPG)


def test_ecg_overrun_is_estimated(read: Callable[..., Reading]) -> None:
    """An overflowed ECG FIFO is void: the gap is filled by the clock's estimate, marked, and what follows is exact."""
    reading = read(6, {"chip": "board", "fault": "stall", "at_s": 3, "for_s": 0.4})
    played = reading.hardware.played["max30003"]
    lost = int(np.frombuffer(bytes(played.lost), np.uint8)[played.starts[1] :].sum())
    ((count, estimated),) = reading.of(ECG, "lost")
    assert estimated
    assert lost >= 32
    assert abs(count - lost) <= 1
    assert reading.under(ECG, Mark.ESTIMATED).sum() == count
    reading.check(ECG)
    reading.check_times(ECG)


def test_motion_overrun_is_estimated(read: Callable[..., Reading]) -> None:
    """A stall of 12 s overwrites the oldest motion samples: their number is estimated and the 512 kept are exact."""
    reading = read(20, {"chip": "board", "fault": "stall", "at_s": 3, "for_s": 12}, sizes="4096,2048,256,16,16")
    lost = int(np.frombuffer(bytes(reading.hardware.played["lsm6dso"].lost), np.uint8).sum())
    ((count, estimated),) = reading.of(MOTION, "lost")
    assert estimated
    assert lost > 50
    assert abs(count - lost) <= 1
    reading.check(MOTION)
    reading.check_times(MOTION)
    assert reading.of(TEMPERATURE, "lost") == [[11, False]] or reading.of(TEMPERATURE, "lost") == [[12, False]]
    assert reading.under(TEMPERATURE, Mark.LOST).sum() in {11, 12}


def test_a_gap_larger_than_the_ring_restarts_the_sensor(read: Callable[..., Reading]) -> None:
    """What cannot be filled in raises SensorError(0); after the restart the samples are exact again."""
    reading = read(8, {"chip": "board", "fault": "stall", "at_s": 3, "for_s": 2})
    assert reading.of(ECG, "SensorError") == [[RESTART]]
    ((count, estimated),) = reading.of(ECG, "lost")
    assert estimated
    assert 480 < count < 540
    reading.check(ECG)


def test_a_full_ring_leaves_the_samples_in_the_chip(read: Callable[..., Reading]) -> None:
    """When nobody empties the rings, chips overrun and say so; nothing is written over and no chip is called dead."""
    reading = read(9, hold=(3, 5.5))
    assert {event[3] for event in reading.events if event[2] == "SensorError"} <= {RESTART}
    assert reading.of(ECG, "lost")
    assert reading.of(PPG, "lost")
    for sensor in (ECG, PPG, MOTION):
        reading.check(sensor)


def test_lead_off_is_marked(read: Callable[..., Reading]) -> None:
    """Every readout with electrodes off is marked, older samples in it included; saturated samples exactly."""
    reading = read(8, {"chip": "max30003", "fault": "lead_off", "at_s": 3, "for_s": 2})
    off = np.flatnonzero(reading.under(ECG, Mark.LEAD_OFF))
    log = reading.hardware.played["max30003"]
    times = np.array(log.times)[log.starts[-1] :]
    railed = np.flatnonzero((times >= 3_000_000) & (times < 5_000_000))
    assert railed[0] - 12 < off[0] <= railed[0]
    assert railed[-1] - 12 <= off[-1] <= railed[-1]
    assert len(off) == off[-1] - off[0] + 1
    np.testing.assert_array_equal(np.flatnonzero(reading.under(ECG, Mark.SATURATED)), railed)


@pytest.mark.parametrize("rail", [1, -1])
@pytest.mark.parametrize("sensor", [ECG, PPG, MOTION])
def test_saturation_is_marked_exactly(sensor: int, rail: int, read: Callable[..., Reading]) -> None:
    """Exactly the samples at a rail are marked, channel by channel."""
    reading = read(5, {"chip": PARTS[sensor], "fault": "saturate", "rail": rail, "at_s": 3, "for_s": 0.7})
    low, high = reading.hardware.chips[PARTS[sensor]].rails
    for channel, counts in enumerate(reading.counts[sensor]):
        wanted = (counts <= low) | (counts >= high)
        assert wanted.sum() > 30
        np.testing.assert_array_equal(reading.under(sensor, Mark.SATURATED, channel=channel), wanted)


def test_each_rail_of_each_channel_is_seen(read: Callable[..., Reading]) -> None:
    """A single sample at one rail of one channel is marked, in that channel alone; one count less is not."""
    sensors = {"ecg": (1, -131072, 131071), "ppg": (2, 0, 0x3FFFF), "acceleration": (3, -32768, 32767)}
    signals: dict[str, list[tuple[int, ...]]] = {}
    for name, (width, low, high) in sensors.items():
        for channel in range(width):
            for rail, close in ((low, low + 1), (high, high - 1)):
                samples = [(close,) * width] + [(7,) * width] * 28
                samples.append(tuple(rail if c == channel else 7 for c in range(width)))
                signals.setdefault(name, []).extend(samples)
    reading = read(12, signals=signals)
    for sensor in (ECG, PPG, MOTION):
        reading.check(sensor)
        for channel, counts in enumerate(reading.counts[sensor]):
            wanted = np.isin(counts, reading.hardware.chips[PARTS[sensor]].rails)
            assert wanted.sum() > 4
            np.testing.assert_array_equal(reading.under(sensor, Mark.SATURATED, channel=channel), wanted)


DEAD = [
    (ECG, "wedged", ("SensorError", Fault.WEDGED), ("SensorError", Fault.WEDGED)),
    (PPG, "wedged", ("SensorError", Fault.WEDGED), ("SensorError", Fault.WEDGED)),
    (MOTION, "wedged", ("SensorError", Fault.WEDGED), ("SensorError", Fault.WEDGED)),
    (ECG, "missing", ("SensorError", Fault.BUS), ("SensorError", Fault.MISSING)),
    (PPG, "missing", ("SensorError", Fault.BUS), ("OSError", 19)),
    (MOTION, "missing", ("SensorError", Fault.BUS), ("OSError", 19)),
    (TEMPERATURE, "missing", ("SensorError", Fault.BUS), ("OSError", 19)),
    (PPG, "nak", ("SensorError", Fault.BUS), ("OSError", 19)),
    (MOTION, "nak", ("SensorError", Fault.BUS), ("OSError", 19)),
    (TEMPERATURE, "nak", ("SensorError", Fault.BUS), ("OSError", 19)),
]


@pytest.mark.parametrize(("sensor", "fault", "first", "then"), DEAD)
def test_a_dead_chip_is_noticed_and_comes_back(
    sensor: int, fault: str, first: Any, then: Any, read: Callable[..., Reading]
) -> None:
    """A chip that dies for 4 s gives the stated error, starts again by itself, and the others notice nothing."""
    reading = read(16, {"chip": PARTS[sensor], "fault": fault, "at_s": 5, "for_s": 4})
    errors = [tuple(event[2:4]) for event in reading.events if event[2] in {"SensorError", "OSError"}]
    assert errors[0] == first
    assert set(errors[1:]) <= {then}
    assert {event[0] for event in reading.events if event[2] != "start"} == {sensor}
    assert reading.events[-1][:1] + reading.events[-1][2:3] == [sensor, "start"]
    assert reading.events[-1][1] > 5_000_000
    for k in range(5):
        reading.check(k, slack=45)
    rate = {ECG: 256, PPG: 100, MOTION: 52, TEMPERATURE: 1}[sensor]
    assert len(reading.counts[sensor][0]) >= 9 * rate


def test_a_line_at_zero_is_no_ecg(read: Callable[..., Reading], monkeypatch: pytest.MonkeyPatch) -> None:
    """An SPI line that reads zeros would look like valid samples of 0: it is an error, also for early readings."""
    monkeypatch.setattr("vitalwire_tools.virtual.hardware.NOTHING_DRIVES", 0)
    reading = read(10, {"chip": "max30003", "fault": "missing", "at_s": 5, "for_s": 3}, cpu="esp32", busy=500)
    errors = reading.of(ECG, "SensorError")
    assert errors[0][0] in {Fault.BUS, Fault.WEDGED}
    assert errors[1:]
    assert all(code == [Fault.MISSING] for code in errors[1:])
    reading.check(ECG)


@pytest.mark.parametrize("sensor", [ECG, PPG, MOTION])
def test_a_wrong_part_is_refused(sensor: int, read: Callable[..., Reading]) -> None:
    """Another part id is told apart from no answer, and the right part starts once it is there."""
    reading = read(6, {"chip": PARTS[sensor], "fault": "wrong_part", "for_s": 3})
    errors = reading.of(sensor, "SensorError")
    assert errors
    assert all(code == [Fault.WRONG_PART] for code in errors)
    assert reading.of(sensor, "start") == [[0]]
    reading.check(sensor)


@pytest.mark.parametrize("sensor", [PPG, MOTION, TEMPERATURE])
def test_a_short_nak_loses_nothing(sensor: int, read: Callable[..., Reading]) -> None:
    """A bus that fails for 200 ms is tried again until it answers; the FIFO holds the samples meanwhile."""
    faults = ({"chip": PARTS[sensor], "fault": "nak", "at_s": t, "for_s": 0.2} for t in (3, 4.01, 5.45, 7.9))
    reading = read(12, *faults)
    assert [event[2] for event in reading.events] == ["start"] * 5
    reading.check(sensor)


@pytest.mark.parametrize("sensor", [ECG, PPG, MOTION])
def test_a_stuck_line_means_polling(sensor: int, read: Callable[..., Reading]) -> None:
    """An interrupt line that never rises is reported once; then the chip is polled and nothing is lost."""
    reading = read(25, {"chip": PARTS[sensor], "fault": "stuck_line", "at_s": 3})
    assert reading.of(sensor, "SensorError") == [[Fault.WEDGED]]
    assert len(reading.of(sensor, "start")) == 2
    reading.check(sensor, slack=45)
    assert reading.hardware.chips[PARTS[sensor]].deepest <= HALF[PARTS[sensor]]
    ticks, index = reading.stamps[sensor][-1]
    log = reading.hardware.played[PARTS[sensor]]
    ready = np.array(log.times)[np.frombuffer(bytes(log.lost), np.uint8) == 0][index]
    assert 0 <= ticks - ready < 1e6 / reading.hardware.chips[PARTS[sensor]].hertz + 1000


RING = """
from ring import ALL, Ring
r = Ring(2, 8)
def runs(): return [tuple(r.marks[i:i + 4]) for i in range(0, 4 * r.runs, 4)]
def put(n):
    for i in range(r.head, r.head + n):
        r.data[0][r.place(i)] = i
        r.data[1][r.place(i)] = -i
    r.head += n
put(5); r.stamp(1000, 4)
assert r.space() == 3 and r.ticks_at(2, (500000, 1)) == 996 and r.ticks_at(5, (1, 10)) == 10001000
r.mark(0, 2, 1, 2); r.mark(0, 2, 3, 1); r.mark(ALL, 1, 4, 1)
assert runs() == [(0, 2, 1, 3), (ALL, 1, 4, 1)], runs()
r.consume(2)
assert runs() == [(0, 2, 2, 2), (ALL, 1, 4, 1)] and r.space() == 5, runs()
r.lose(5, 3)
assert r.space() == 0 and [r.data[0][i & 7] for i in range(2, 10)] == [2, 3, 4, 4, 4, 4, 4, 4]
assert [r.data[1][i & 7] for i in range(2, 10)] == [-2, -3, -4, -4, -4, -4, -4, -4]
assert runs()[-1] == (ALL, 3, 5, 5)
r.consume(7)
assert (r.tail, r.head, r.index) == (1, 2, -4) and runs() == [(ALL, 3, 1, 1)], runs()
assert r.ticks_at(1, (500000, 1)) == 1010
for i in range(200):
    put(8 - r.head + r.tail); r.mark(1, 2, r.head - 1, 1); r.consume(8)
    assert 0 <= r.tail < 8 and r.runs == 0
r.clear()
for i in range(12):
    r.mark(i, 2, i, 1)
bad = set()
for channel, code, start, length in runs():
    assert code == 2
    bad.update((c, s) for c in (range(12) if channel == ALL else [channel]) for s in range(start, start + length))
assert len(runs()) == 8 and all((i, i) in bad for i in range(12)), runs()
r = Ring(1, 5)
for i in range(100):
    while r.space():
        r.data[0][r.place(r.head)] = 5 * i + r.head - r.tail
        r.head += 1
    n = i % 5 + 1
    assert [r.data[0][r.place(k)] for k in range(r.tail, r.tail + n)] == [5 * i + k for k in range(n)]
    r.consume(n)
    assert 0 <= r.tail < 5 and r.head - r.tail == 5 - n
    r.consume(5 - n)
print("ok")
"""


def test_ring_keeps_order_marks_and_time(micropython: Callable[..., Any]) -> None:
    """Samples wrap at any size; marks merge, shrink and never get lost; indices stay small; any index has its ticks."""
    assert micropython(RING).stdout == "ok\n"
