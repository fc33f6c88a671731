"""Power that fails: an empty battery ends a recording without losing any of it; a board that hangs is reset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vitalwire.verdict import verify
from vitalwire_protocol.spec import Cause, Event, EventKey

from .board_log import events, gather, number, unharmed, until
from .reader import Recorder, captured

HANGS = """
import hal.virtual as hal
if hal.reset_cause() == 3:
    import main
else:
    import boot
    from app import App
    app = App(hal)
    boot.build(app)
    boot.forget()
    hal.stream.open()
    while hal.ticks() < 7000000:
        app.turn()
    while True:
        pass
"""


def test_an_empty_battery_ends_nothing_but_the_recording(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Low, the board says so, makes a frame of what it has and sleeps; charged, it starts again; nothing is lost."""
    empty = {"chip": "adc", "fault": "voltage", "mv": 3000, "at_s": 15, "for_s": 1500}
    running = bench({"status_s": 5}, speed=20.0, faults=[empty], cpu="esp32")
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(6.0, boot=2))
    frames = recorder.in_order()
    (low,) = events(frames, Event.LOW_BATTERY)
    (down,) = events(frames, Event.SHUTDOWN)
    assert number(low, EventKey.MILLIVOLT) == number(down, EventKey.MILLIVOLT) == 3000
    causes = [number(event, EventKey.CAUSE) for event in events(frames, Event.BOOT)]
    assert causes == [Cause.POWER_ON, Cause.DEEP_SLEEP]
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device
    played = running.board.played()
    first = [frame for frame in frames if frame.boot == 1]
    for boot in (first, [frame for frame in frames if frame.boot == 2]):
        unharmed(boot, played)
    # the last frame has what was sampled right up to the shutdown
    last = first[-1].frame.ticks / 1e6
    assert len(gather(first, "ecg_lead_i")) > 256 * (last - 1)
    assert not list(events(frames, Event.OVERRUN))


def test_a_frame_nobody_has_read_outlives_the_battery(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Without a reader up to the shutdown, all frames of that boot are there after it."""
    empty = {"chip": "adc", "fault": "voltage", "mv": 3000, "at_s": 12, "for_s": 600}
    running = bench({"status_s": 5}, speed=50.0, faults=[empty])
    boots = 0
    while boots < 2:
        running.board.deepest()
        boots = [event["event"] for event in running.board.events].count("boot")
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(6.0, boot=2))
    frames = recorder.in_order()
    assert frames[0].seq == 1
    assert any(True for _ in events(frames, Event.SHUTDOWN))
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device


def test_a_board_that_hangs_is_reset(bench: Callable[..., Any], tmp_path: Path) -> None:
    """A program that does nothing any more is ended by the watchdog; the next boot says so, and the chain goes on."""
    running = bench(speed=20.0, modules={"hangs.py": HANGS}, start="hangs", watchdog=1.0)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(4.0, boot=2))
    frames = recorder.in_order()
    causes = [number(event, EventKey.CAUSE) for event in events(frames, Event.BOOT)]
    assert causes == [Cause.POWER_ON, Cause.WATCHDOG]
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device
