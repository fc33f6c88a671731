"""Configurations over the link of a whole board: in force between two frames, kept, or refused whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire import crypto
from vitalwire.configuration import Configuration, configure, from_words, reported, sign_configuration, to_words
from vitalwire.errors import CommandError, UsageError
from vitalwire.verdict import verify
from vitalwire_protocol.spec import Cause, Event, EventKey, Kind, Policy, Setting
from vitalwire_tools.provision import check_settings

from .board_log import Frames, events, gather, number, unharmed, until
from .reader import Recorder, captured

OPERATOR = ec.generate_private_key(ec.SECP256R1())
PUBLIC = crypto.public_point(OPERATOR)
SMALL = 144 * 1024  # bytes of heap: no room for frames of eight seconds


def signed(running: Any, version: int, *words: str, **changes: Any) -> bytes:
    """Return what the operator signs for this board."""
    given: dict[str, Any] = {"device": running.thumbprint, "settings": from_words(words), **changes}
    return sign_configuration(Configuration(version=version, **given), OPERATOR)


def versions(frames: Frames, code: Event = Event.CONFIGURED) -> list[tuple[int, int]]:
    """Return (version, before) of what was put in force, in order."""
    return [(number(e, EventKey.VERSION), number(e, EventKey.BEFORE, -1)) for e in events(frames, code)]


def has(code: Event, count: int = 1) -> Callable[[Frames], bool]:
    """Return whether so many events of a code have come."""
    return lambda frames: len(list(events(frames, code))) >= count


def whole(running: Any, recorder: Recorder) -> None:
    """Hold that nothing is missing or contradicts itself, and every sample is the one played, in one piece a boot."""
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert not device.missing, device
    assert not device.breaks, device
    assert not device.refused, device
    frames = recorder.in_order()
    for boot in sorted({frame.boot for frame in frames}):
        unharmed([frame for frame in frames if frame.boot == boot], running.board.played())


def show(recorder: Recorder) -> tuple[int, int, Mapping[str, int | str]]:
    """Return version, newest and settings of what the board reports."""
    with recorder.client() as client:
        found = reported(client)
    return found.version, found.newest, to_words(found.settings)


def test_what_needs_no_start_changes_between_two_frames(bench: Callable[..., Any], tmp_path: Path) -> None:
    """A configuration is in force at a frame's end, by one event and without a gap; a later boot reports it still."""
    running = bench(speed=20.0, operator=PUBLIC, cpu="esp32")
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(4.0))
    assert show(recorder)[:2] == (0, 0)
    with recorder.client() as client:
        configure(client, signed(running, 7, "status_s=5", "log_level=error"))
    recorder.run(has(Event.CONFIGURED))
    assert versions(recorder.in_order()) == [(7, 0)]
    running.board.reset()
    recorder.run(until(4.0, boot=2))
    version, newest, settings = show(recorder)
    assert (version, newest) == (7, 7)
    assert (settings["status_s"], settings["log_level"], settings["frame_ms"]) == (5, "error", 2000)
    whole(running, recorder)
    assert {frame.boot for frame in recorder.frames} == {1, 2}


def test_what_needs_a_start_gets_one(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Another policy and frame length come with a start, a descriptor that says so and an event; nothing is missing."""
    running = bench(speed=20.0, operator=PUBLIC, cpu="esp32")
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(4.0))
    with recorder.client() as client:
        configure(client, signed(running, 1, "policy=seal", "frame_ms=1000", "seal_frames=4"))
    recorder.run(lambda frames: has(Event.CONFIGURED)(frames) and until(9.0, boot=2)(frames))
    frames = recorder.in_order()
    assert versions(frames) == [(1, 0)]
    causes = [number(event, EventKey.CAUSE) for event in events(frames, Event.BOOT)]
    assert causes == [Cause.POWER_ON, Cause.CONFIGURATION]
    policies = [frame.frame.body.policy for frame in frames if frame.kind == Kind.DESCRIPTOR]
    assert policies == [Policy.SIGN, Policy.SEAL]
    whole(running, recorder)


RATED = {"ecg_lead_i": 256, "ppg_red": 100, "accel_x": 52}  # the drivers' own


def rates(frames: Frames) -> list[dict[str, int]]:
    """Return the rates that each descriptor of these frames says."""
    return [
        {channel.name: channel.rate for channel in frame.descriptor.channels if channel.name in RATED}
        for frame in frames
        if frame.kind == Kind.DESCRIPTOR
    ]


def test_other_rates_come_with_a_start_and_go_with_one(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Faster sensors come with a start and a descriptor that says so, and all they sample is there;
    another brings their own rates back. What this board's parts lack is refused, by the setting, whole."""
    running = bench(speed=15.0, operator=PUBLIC, cpu="esp32")
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(4.0))
    with recorder.client() as client:
        for words in (["ecg_hz=500"], ["status_s=8", "ecg_hz=125"]):
            with pytest.raises(CommandError, match="CONFIGURATION_RANGE"):
                configure(client, signed(running, 1, *words))
        configure(client, signed(running, 1, "ecg_hz=512"))
    recorder.run(lambda frames: has(Event.CONFIGURED)(frames) and until(20.0, boot=2)(frames))
    assert show(recorder)[2]["ecg_hz"] == 512
    with recorder.client() as client:
        configure(client, signed(running, 2, "ecg_hz=256"))  # its own, by name
    recorder.run(lambda frames: has(Event.CONFIGURED, 2)(frames) and until(6.0, boot=3)(frames))
    frames = recorder.in_order()
    assert versions(frames) == [(1, 0), (2, 1)]
    assert rates(frames) == [RATED, RATED | {"ecg_lead_i": 512}, RATED]
    refused = [number(event, EventKey.SETTING) for event in events(frames, Event.CONFIGURATION_REFUSED)]
    assert set(refused) == {Setting.ECG_HZ}
    whole(running, recorder)
    fast = [frame for frame in frames if frame.boot == 2]
    assert not list(events(fast, Event.OVERRUN, Event.SENSOR_FAULT))
    assert len(gather(fast, "ecg_lead_i")) > 18 * 512
    assert not running.board.refused()


def test_a_rate_that_no_part_has_is_refused_before_it_is_signed() -> None:
    """Words, signer and provisioning refuse what no firmware knows; words say which rates there are."""
    with pytest.raises(UsageError, match="ecg_hz") as refused:
        from_words(["ecg_hz=300"])
    assert "250, 256" in refused.value.advice
    with pytest.raises(UsageError, match="PPG_HZ"):
        sign_configuration(Configuration(bytes(32), 1, {Setting.PPG_HZ: 60}), OPERATOR)
    with pytest.raises(UsageError, match="accel_hz"):
        check_settings({"accel_hz": 53})


def test_one_that_does_not_run_is_given_up(bench: Callable[..., Any], tmp_path: Path) -> None:
    """What leaves no memory to start with is tried twice; then the one before returns, says so, and is not replayed."""
    running = bench(speed=20.0, operator=PUBLIC, heap=SMALL)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(4.0))
    with recorder.client() as client:
        configure(client, signed(running, 3, "status_s=7"))
    recorder.run(has(Event.CONFIGURED))
    too_much = signed(running, 4, "frame_ms=8000")
    with recorder.client() as client:
        configure(client, too_much)
    recorder.run(has(Event.CONFIGURATION_RETURNED))
    recorder.run(until(5.0, boot=max(frame.boot for frame in recorder.frames)))
    assert versions(recorder.in_order(), Event.CONFIGURATION_RETURNED) == [(4, -1)]
    version, newest, settings = show(recorder)
    assert (version, newest, settings["status_s"], settings["frame_ms"]) == (3, 4, 7, 2000)
    with recorder.client() as client, pytest.raises(CommandError, match="CONFIGURATION_OLD"):
        configure(client, too_much)
    whole(running, recorder)


def test_a_bad_one_changes_nothing(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Forged, foreign, old, unknown, out of bounds: each is refused whole, by its own reason."""
    running = bench(speed=20.0, operator=PUBLIC)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(4.0))
    good = signed(running, 5, "status_s=9")
    stranger = ec.generate_private_key(ec.SECP256R1())
    bad = {
        "CONFIGURATION_FORGED": sign_configuration(
            Configuration(running.thumbprint, 6, from_words(["status_s=8"])), stranger
        ),
        "CONFIGURATION_FOREIGN": signed(running, 6, "status_s=8", device=bytes(32)),
        "CONFIGURATION_RANGE": signed(running, 6, "status_s=8", settings={Setting.CHANNELS_OFF: 2}),
        "CONFIGURATION_OLD": signed(running, 5, "status_s=8"),
    }
    with recorder.client() as client:
        configure(client, good)
        configure(client, good)  # once more changes nothing
        for reason, message in bad.items():
            with pytest.raises(CommandError, match=reason):
                configure(client, message)
    recorder.run(has(Event.CONFIGURED))
    version, newest, settings = show(recorder)
    assert (version, newest, settings["status_s"]) == (5, 5, 9)
    without = bench(speed=20.0)
    (tmp_path / "other").mkdir()
    with (
        Recorder(without.board.url, without.registry, tmp_path / "other").client() as client,
        pytest.raises(CommandError, match="NOT_PROVISIONED"),
    ):
        configure(client, good)


def test_channels_go_off_and_come_back(bench: Callable[..., Any], tmp_path: Path) -> None:
    """A sensor that is configured off stops, by events, over a start too; one that is not named runs again."""
    running = bench(speed=20.0, operator=PUBLIC)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(4.0))
    ids = [c.id for c in recorder.frames[0].descriptor.channels if c.name.startswith("ppg")]
    with recorder.client() as client:
        configure(client, signed(running, 1, f"channels_off={sum(1 << each for each in ids)}"))
    recorder.run(has(Event.CONFIGURED))
    running.board.reset()
    recorder.run(until(6.0, boot=2))
    later = [frame for frame in recorder.in_order() if frame.boot == 2]
    assert any("ecg_lead_i" in frame.signals for frame in later)
    assert not any("ppg_red" in frame.signals for frame in later)
    stopped = [number(event, EventKey.CHANNEL) for event in events(recorder.in_order(), Event.CHANNEL_STOPPED)]
    assert stopped == 2 * ids
    with recorder.client() as client:
        configure(client, signed(running, 2))
    recorder.run(has(Event.CONFIGURED, 2))
    count = len(recorder.frames)
    recorder.run(lambda frames: any("ppg_red" in frame.signals for frame in frames[count:]))
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device
