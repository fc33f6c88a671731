"""The standard profile in the heap that the firmware is made for, at a stock ESP32's pace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vitalwire_protocol.spec import Counter
from vitalwire_tools.bench import memory
from vitalwire_tools.virtual.chips import lsm6dso, max30003, max30102

from .conftest import Bench
from .reader import Recorder

DEPTHS = {"max30003": max30003.DEPTH, "max30102": max30102.DEPTH, "lsm6dso": lsm6dso.DEPTH}
HEAP = 128 * 1024
SPEED = 15
LEAST = 130  # seconds in which garbage was collected in every part of a frame's making


def test_an_hour_in_128_kib(
    bench: Callable[..., Bench], tmp_path: Path, long: bool, results: Callable[..., None]
) -> None:
    """No FIFO fills beyond half, a tenth of the heap stays free; `--long` takes the whole hour."""
    seconds = 3600 if long else LEAST
    rig = bench({"status_s": 10}, speed=SPEED, cpu="esp32", heap=HEAP)
    recorder = Recorder(rig.board.url, rig.registry, tmp_path)
    recorder.run(
        lambda frames: any(f.status and f.frame.counters[Counter.UPTIME_S] >= seconds for f in frames),
        patience=4 * seconds / SPEED + 60,
    )
    frames = recorder.in_order()
    assert {frame.boot for frame in frames} == {1}
    counters = [frame.frame.counters for frame in frames if frame.status][-1]
    deepest = rig.board.deepest()
    results(
        "an hour of the standard profile in 128 KiB",
        frames=len(frames),
        overruns=counters[Counter.OVERRUNS],
        lost_samples=counters[Counter.LOST_SAMPLES],
        bytes_free_at_the_peak=counters[Counter.HEAP_LOW],
        busy_permille=counters[Counter.BUSY_PERMILLE],
        **{f"deepest_{part}": f"{deepest[part]} of {depth}" for part, depth in DEPTHS.items()},
    )
    assert counters[Counter.OVERRUNS] == counters[Counter.LOST_SAMPLES] == counters[Counter.EVENTS_LOST] == 0
    assert counters[Counter.HEAP_LOW] * 10 >= HEAP
    assert {part: deepest[part] for part, depth in DEPTHS.items() if 2 * deepest[part] > depth} == {}
    assert not rig.board.refused()


def test_reading_the_sensors_allocates_nothing() -> None:
    """From chip to ring, in the whole firmware as it runs on a board, not one block of heap is taken."""
    used, samples = memory.sampling()
    assert samples > 4000
    assert used == 0
