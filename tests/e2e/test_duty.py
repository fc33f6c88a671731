"""A whole board whose sensors are on for a part of the time: its record is whole, whatever happens in a pause."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire import cbor, crypto
from vitalwire.configuration import Configuration, configure, from_words, reported, sign_configuration, to_words
from vitalwire.errors import CommandError, UsageError
from vitalwire.verdict import verify
from vitalwire_protocol.spec import AAD_CONFIGURATION, Cause, Command, Counter, Event, EventKey, Kind, Mark
from vitalwire_tools.provision import check_settings

from .board_log import Frames, events, marked, number, until
from .reader import Recorder, captured
from .test_full_journal import SECTORS

OPERATOR = ec.generate_private_key(ec.SECP256R1())


def pauses(frames: Frames) -> list[tuple[float, float]]:
    """Return begin and end of each pause, in seconds since the start; an open one is left out."""
    found = [(event.code, event.ticks / 1e6) for event in events(frames, Event.PAUSE_BEGUN, Event.PAUSE_ENDED)]
    assert [code for code, _ in found[::2]] == [Event.PAUSE_BEGUN] * len(found[::2])
    assert [code for code, _ in found[1::2]] == [Event.PAUSE_ENDED] * len(found[1::2])
    times = [at for _, at in found]
    return list(zip(times[::2], times[1::2], strict=False))


def rests(frames: Frames, channels: tuple[str, ...] = ("ecg_lead_i", "ppg_ir", "accel_x")) -> None:
    """Hold that no sample was taken in a pause, none is marked lost, and each window has its samples."""
    found = pauses(frames)
    assert len(found) >= 2
    for name in channels:
        signals = [frame.signals[name] for frame in frames if name in frame.signals]
        ends = np.array([signal.ticks / 1e6 for signal in signals])
        begins = ends - [(len(signal) - 1) / float(signal.rate or 1) for signal in signals]
        for begin, end in found:
            assert not ((ends > begin + 0.1) & (begins < end)).any(), (name, begin, end)
        for (_, begin), (end, _) in pairwise(found):
            assert ((begins > begin) & (ends < end + 0.1)).any(), (name, begin, end)
        assert not marked(frames, name, Mark.LOST, Mark.ESTIMATED).any(), name
    assert not list(events(frames, Event.OVERRUN, Event.SENSOR_FAULT))


@pytest.mark.parametrize("policy", ["sign", "seal", "private"])
def test_a_record_with_pauses_is_whole(bench: Callable[..., Any], tmp_path: Path, policy: str) -> None:
    """Under every policy: a verdict without a flaw, signal in windows only, nothing declared lost, status all along."""
    running = bench(
        {"on_s": 4, "every_s": 10, "status_s": 5, "policy": policy, "seal_frames": 4},
        speed=20.0,
        cpu="esp32",
    )
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(lambda frames: len(list(events(frames, Event.PAUSE_ENDED))) >= 3)
    frames = recorder.in_order()
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert not device.missing, device
    assert not device.breaks, device
    assert not device.refused, device
    rests(frames)
    counted = [(frame.frame.ticks / 1e6, frame.frame.counters) for frame in frames if frame.status]
    assert any(begin < at < end for at, _ in counted for begin, end in pauses(frames))
    assert {counters[Counter.LOST_SAMPLES] for _, counters in counted} == {0}
    assert {counters[Counter.SENSORS_DOWN] for at, counters in counted if at > 10} == {0}
    assert not running.board.refused()


def paused(boot: int) -> Callable[[Frames], bool]:
    """Return whether a boot's newest word of a pause is that one begins."""

    def is_paused(frames: Frames) -> bool:
        told = list(events([f for f in frames if f.boot == boot], Event.PAUSE_BEGUN, Event.PAUSE_ENDED))
        return bool(told) and told[-1].code == Event.PAUSE_BEGUN

    return is_paused


def test_what_happens_in_a_pause(bench: Callable[..., Any], tmp_path: Path) -> None:
    """A command, a clock that is set, a power cut, an empty battery: each start begins a cycle, and nothing is lost."""
    empty = {"chip": "adc", "fault": "voltage", "mv": 3000, "at_s": 150, "for_s": 600}
    running = bench({"on_s": 3, "every_s": 3600, "status_s": 5}, speed=40.0, faults=[empty])
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(paused(1))
    recorder.ask(Command.SET_TIME, (recorder.frames[-1].frame.ticks, 1_750_000_000_000_000, 10))
    recorder.run(lambda frames: any(frame.status and frame.frame.utc_us is not None for frame in frames))
    running.board.power_cut()
    running.board.power_on()
    recorder.run(paused(3))
    frames = recorder.in_order()
    assert [event.code for event in events(frames, Event.PAUSE_BEGUN, Event.PAUSE_ENDED)] == 3 * [Event.PAUSE_BEGUN]
    causes = [number(event, EventKey.CAUSE) for event in events(frames, Event.BOOT)]
    assert causes == [Cause.POWER_ON, Cause.POWER_ON, Cause.DEEP_SLEEP]
    for boot, begun in enumerate(events(frames, Event.PAUSE_BEGUN), 1):
        made = [frame for frame in frames if frame.boot == boot]
        sampled = [signal for frame in made if (signal := frame.signals.get("ecg_lead_i")) is not None]
        assert sum(len(signal) for signal in sampled) > 256
        assert all(signal.ticks <= begun.ticks for signal in sampled)
        assert not marked(made, "ecg_lead_i", Mark.LOST, Mark.ESTIMATED).any()
    (set_,) = events(frames, Event.TIME_SET)
    assert set_.ticks > next(events(frames, Event.PAUSE_BEGUN)).ticks
    (down,) = events(frames, Event.SHUTDOWN)
    assert number(down, EventKey.MILLIVOLT) == 3000
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device
    assert not running.board.refused()


def after(frames: Frames) -> Frames:
    """Return the frames that were made 15 s and more after the first event of a full journal."""
    told = [event.ticks for event in events(frames, Event.JOURNAL_FULL)]
    return [frame for frame in frames if told and frame.frame.ticks > min(told) + 15e6 and frame.kind != Kind.STATUS]


def test_a_journal_that_fills_in_a_pause(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Under "stop" nothing is given up, sensors rest with what could not be kept, and once read the cycle goes on."""
    settings = {"on_s": 2, "every_s": 10, "status_s": 1, "when_full": "stop"}
    running = bench(settings, speed=50.0, sectors=SECTORS)
    sampled, since = -1, time.monotonic()
    while time.monotonic() < since + 2:  # ten cycles without a sample: none was begun
        if (now := len(running.board.played()["lsm6dso_us"])) > sampled:
            sampled, since = now, time.monotonic()
        time.sleep(0.1)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(lambda frames: bool(frames and len(list(events(after(frames), Event.PAUSE_BEGUN))) >= 3))
    frames = recorder.in_order()
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device
    assert device.dropped == 0
    assert not list(events(frames, Event.SENSOR_FAULT))  # of the battery's reading neither, which goes on
    assert any(len(frame.signals["ecg_lead_i"]) > 256 for frame in after(frames) if "ecg_lead_i" in frame.signals)
    assert not running.board.refused()


def test_a_cycle_from_afar(bench: Callable[..., Any], tmp_path: Path) -> None:
    """It begins with a start, also out of a pause; a pair that is none is refused whole; 0 and 0 end it."""
    running = bench(speed=20.0, operator=crypto.public_point(OPERATOR), cpu="esp32")
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(4.0))

    def signed(version: int, *words: str) -> bytes:
        return sign_configuration(Configuration(running.thumbprint, version, from_words(words)), OPERATOR)

    def configured(count: int) -> Callable[[Frames], bool]:
        return lambda frames: len(list(events(frames, Event.CONFIGURED))) >= count

    with recorder.client() as client:
        configure(client, signed(1, "on_s=3", "every_s=8"))
    recorder.run(lambda frames: configured(1)(frames) and len(list(events(frames, Event.PAUSE_ENDED))) >= 2)
    recorder.run(lambda frames: len(list(events(frames, Event.PAUSE_BEGUN))) >= 3)
    with recorder.client() as client:
        for settings in ({10: 8, 11: 8}, {10: 3}, {11: 8}, {10: 0, 11: 8}):
            fields = {1: 1, 2: running.thumbprint, 3: 9, 4: settings}
            with pytest.raises(CommandError, match="CONFIGURATION_RANGE"):
                configure(client, crypto.sign1(OPERATOR, cbor_of(fields), aad=AAD_CONFIGURATION))
        shown = to_words(reported(client).settings)
        assert (shown["on_s"], shown["every_s"]) == (3, 8)
        configure(client, signed(2, "on_s=0", "every_s=0"))
    recorder.run(lambda frames: configured(2)(frames) and until(5.0, boot=3)(frames))
    frames = recorder.in_order()
    causes = [number(event, EventKey.CAUSE) for event in events(frames, Event.BOOT)]
    assert causes == [Cause.POWER_ON, Cause.CONFIGURATION, Cause.CONFIGURATION]
    rests([frame for frame in frames if frame.boot == 2])
    assert not list(events([frame for frame in frames if frame.boot != 2], Event.PAUSE_BEGUN))
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device


def cbor_of(fields: dict[int, Any]) -> bytes:
    """Return what no operator's tool would sign."""
    return cbor.encode(fields)


@pytest.mark.parametrize("words", [("on_s=8", "every_s=8"), ("on_s=3",), ("every_s=8",), ("on_s=0", "every_s=8")])
def test_a_pair_that_is_none_is_refused_before_it_is_sent(words: tuple[str, ...]) -> None:
    """An operator's tool and provisioning say so at once, and sign or write nothing."""
    with pytest.raises(UsageError, match="on_s and every_s go together"):
        sign_configuration(Configuration(bytes(32), 1, from_words(words)), OPERATOR)
    with pytest.raises(UsageError, match="do not go together"):
        check_settings({name: int(value) for name, value in (word.split("=") for word in words)})
