"""When a window of frames is done: what is waited for, held, amended or named as come too late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from tests.sdk.fhir.board import Board, mapped, waves
from tests.walk import recorded

from vitalwire.fhir import Entry, Held, Hold, Late, Plan, Source
from vitalwire.fhir.gather import Gatherer
from vitalwire.fhir.ids import WindowKey
from vitalwire.fhir.sampled import MISSING
from vitalwire.fhir.windows import SECOND, Window, track
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Event

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")


def test_without_utc_a_window_is_held() -> None:
    """Frames whose UTC nobody knows make no Observation: the window is held, with the reason."""
    held = mapped(Board().played(6, utc=False))
    assert {each.why for each in held if isinstance(each, Held)} == {Hold.NO_TIME}
    assert not [each for each in held if isinstance(each, Entry)]


def test_without_a_wearer_a_window_is_held() -> None:
    """Where nobody is said to wear the device for the whole window, nobody gets an Observation."""
    asked = []

    def wearer(device: bytes, start: int, stop: int) -> str | None:
        asked.append((start, stop))
        return None

    assert {each.why for each in mapped(Board().played(6), wearer=wearer) if isinstance(each, Held)} == {Hold.NOBODY}
    assert all(stop - start in (10 * SECOND, 60 * SECOND) for start, stop in asked)


def gathered(gatherer: Gatherer, sources: Sequence[Source], now: float = 0.0) -> list[Window | Late]:
    """Return the windows that are done once these sources have come."""
    return [each for source in sources for each in gatherer.add(source, now)]


def test_a_window_waits_for_missing_frames_until_its_time_is_up() -> None:
    """With patience, a window with a hole closes when the hole is filled or the time is up, and not before."""
    sources = Board().played(8)
    held_back = sources[2]
    gatherer = Gatherer("wave", 10 * SECOND, patience=30.0)
    assert gathered(gatherer, [*sources[:2], *sources[3:]]) == []
    assert list(gatherer.due(29.0)) == []
    (window,) = gatherer.due(31.0)
    assert isinstance(window, Window)
    assert [each.frame.seq for each in window.sources] == [2, 3, 5, 6]
    assert not window.amended
    (again,) = gathered(gatherer, [held_back], 32.0)
    assert isinstance(again, Window)
    assert again.amended
    assert again.key == window.key
    assert len(again.sources) == 5


def test_a_complete_chain_waits_for_nothing() -> None:
    """With every number there, a window closes as soon as all streams have passed its end."""
    sources = Board().played(8)
    gatherer = Gatherer("wave", 10 * SECOND, patience=1e9)
    assert len(gathered(gatherer, sources)) == 1


def test_slow_streams_are_waited_for() -> None:
    """A stream whose readouts come every 8 s is waited for, so that no window is written twice; a dead one is not."""
    board = Board()
    signals = recorded()
    sources = []
    for place in range(48):
        samples = {name: signals[name][place * 256 :][:256] for name in ("ecg_lead_i",)}
        if place % 8 == 7:
            for name in ("accel_x", "accel_y", "accel_z"):
                samples[name] = np.zeros(52, np.int64)
        sources.append(board.source(board.device.data(samples)))
    gatherer = Gatherer("wave", 5 * SECOND)
    windows = [each for each in gathered(gatherer, sources) if isinstance(each, Window)]
    assert windows == []  # the oximeter's stream never delivered, and might
    windows += gatherer.flush()
    assert not any(each.amended for each in windows)
    assert sum(len(each.sources) > 0 for each in windows) == len({each.key for each in windows})
    later = [board.source(board.device.data({"ecg_lead_i": np.zeros(256)})) for _ in range(40)]
    gatherer = Gatherer("wave", 5 * SECOND)
    assert len(gathered(gatherer, [*sources, *later])) > 2  # after a minute without a word it is not waited for


def test_a_pause_is_never_bridged() -> None:
    """Where a device rests there is nothing: each sample stays at its place, E stands for each that was not taken."""
    board = Board()
    before = board.played(2)
    begun = board.source(board.device.events((Event.PAUSE_BEGUN, {})))
    board.device.ticks += 3 * SECOND
    ended = board.source(board.device.events((Event.PAUSE_ENDED, {})))
    results = mapped([*before, begun, ended, *board.played(2)])
    assert not [each for each in results if not isinstance(each, Entry)]
    for name, rate in (("ecg_lead_i", 256), ("ppg_ir", 100), ("accel_x", 52)):
        words = " ".join(each["valueSampledData"]["data"] for each in waves(results, name)).split()
        assert [word == "E" for word in words] == [False] * 4 * rate + [True] * 3 * rate + [False] * 4 * rate, name


def test_an_amended_observation_says_so() -> None:
    """A late frame gives the same Observation again, amended, with more frames behind it."""
    sources = Board().played(9)
    results = mapped([*sources[:2], *sources[3:], sources[2]], patience=0.0)
    found = [each for each in waves(results, "ecg_lead_i") if "08:53:20" in each["effectivePeriod"]["start"]]
    assert [each["status"] for each in found] == ["final", "amended"]
    assert found[0]["id"] == found[1]["id"]
    assert " E " in found[0]["valueSampledData"]["data"]
    assert " E " not in found[1]["valueSampledData"]["data"]
    proofs = [each.provenance for each in results if isinstance(each, Entry) and each.window.amended]
    assert {each["activity"]["coding"][0]["code"] for each in proofs} == {"UPDATE"}


def test_runs_that_become_one_are_taken_back() -> None:
    """After a late frame has joined two runs of the PHD guide, the second one's Observation is entered in error."""
    sources = Board().played(9)
    results = mapped([*sources[:2], *sources[3:], sources[2]], Plan(phd=True), patience=0.0)
    entries = [each for each in results if isinstance(each, Entry) and each.window.key.form == "phd"]
    first, again = (each for each in entries if each.window.key.start == 0)
    assert not first.withdrawn
    old = {made.resource["id"] for made in first.observations}
    new = {made.resource["id"] for made in again.observations}
    gone = {each["id"] for each in again.withdrawn}
    assert new < old
    assert old - new == gone
    assert {each["status"] for each in again.withdrawn} == {"entered-in-error"}
    assert not [key for each in again.withdrawn for key in each if key.startswith("value")]


def test_what_came_too_late_is_named() -> None:
    """A frame for a window that is no longer kept is not made into half an Observation: its window is named."""
    board = Board()
    signals = {"ecg_lead_i": np.zeros(512)}
    sources = [board.source(board.device.data(signals)) for _ in range(200)]
    gatherer = Gatherer("wave", 10 * SECOND, patience=0.0)
    assert all(isinstance(each, Window) for each in gathered(gatherer, [*sources[:3], *sources[4:]]))
    (late,) = gathered(gatherer, [sources[3]])
    assert isinstance(late, Late)
    assert late.key.start == 0


def test_a_device_that_claims_any_time_holds_no_more_than_its_windows() -> None:
    """Ticks that jump about for 500 frames open no more windows than the bound."""
    board = Board()
    gatherer = Gatherer("wave", 10 * SECOND, patience=1e9)
    for place in range(500):
        board.device.ticks = (place * 7919 % 500) * 100 * SECOND
        list(gatherer.add(board.source(board.device.data({"ecg_lead_i": np.zeros(16)})), 0.0))
    (device,) = gatherer._devices.values()
    assert len(device.windows) <= 64 + 16
    assert len(device.seen) <= 256


def test_impossible_claims_are_held() -> None:
    """A rate of which one window would fill memory makes no Observation and no error: the window is held."""
    fast = [replace(each, rate=Fraction(10**9)) if each.rate == 256 else each for each in FakeDevice().channels]
    board = Board(channels=fast)
    device = board.device
    sources = []
    for _ in range(4):
        device.ticks += SECOND
        sources.append(board.source(device.data({"ecg_lead_i": np.zeros(4)})))
    held = [each for each in mapped(sources) if isinstance(each, Held)]
    assert {each.why for each in held} == {Hold.CLAIMS}


def test_the_track_of_a_channel_that_is_not_there() -> None:
    """A window without samples of a channel has no track of it."""
    board = Board()
    source = board.source(board.device.data({"ecg_lead_i": np.zeros(16)}))
    key = WindowKey(source.device, 1, 0, 10 * SECOND, "wave", bytes(8))
    window = Window(key, board.descriptor, (source,))
    assert track(window, board.descriptor.channels[1]) is None
    found = track(window, board.descriptor.channels[0])
    assert found is not None
    assert (found.marks != MISSING).all()
