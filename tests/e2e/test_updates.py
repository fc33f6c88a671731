"""Updates over the link of a whole board: it records on, starts the new application on trial, and keeps or drops it."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire import crypto
from vitalwire.configuration import Configuration, configure, sign_configuration
from vitalwire.errors import CommandError
from vitalwire.update import Package, apply, confirmed, pack, send, waits
from vitalwire.verdict import verify
from vitalwire_protocol.spec import Event, EventKey, Kind, Setting
from vitalwire_tools.compile import compile_modules
from vitalwire_tools.release import release
from vitalwire_tools.virtual.machine import board_file

from .board_log import events, number, unharmed, until
from .reader import Recorder, captured

MAKER = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def package() -> Package:
    """An update to the same firmware under another name."""
    return release(board_file(), MAKER, "9.9", counter=7)


def firmwares(recorder: Recorder) -> list[str]:
    """Return what each boot's descriptor says runs, in order."""
    found = [frame.frame.body.firmware for frame in recorder.in_order() if frame.kind == Kind.DESCRIPTOR]
    return [each for each, before in zip(found, [None, *found[:-1]], strict=True) if each != before]


def test_an_update_is_confirmed_by_a_reader(bench: Callable[..., Any], tmp_path: Path, package: Package) -> None:
    """While it is sent no sample is lost; it starts, is confirmed by its first acknowledged frames, and stays."""
    running = bench(speed=20.0, maker=crypto.public_point(MAKER))
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(6.0, boot=1))
    with recorder.client() as client:
        send(client, package)
        assert confirmed(client) == 0
        apply(client)
    recorder.run(until(8.0, boot=2))
    with recorder.client() as client:
        assert confirmed(client) == 7
        with pytest.raises(CommandError, match="UPDATE_OLD"):
            send(client, package)
    running.board.reset()
    recorder.run(until(6.0, boot=3))
    frames = recorder.in_order()
    assert [each.rpartition(" ")[2] for each in firmwares(recorder)][1:] == ["9.9"]
    (done,) = events(frames, Event.UPDATE_CONFIRMED)
    assert number(done, EventKey.COUNT) == 7
    assert not list(events(frames, Event.UPDATE_RETURNED))
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device
    played = running.board.played()
    for boot in (1, 2, 3):
        unharmed([frame for frame in frames if frame.boot == boot], played)


@pytest.mark.parametrize(
    "start", ["import nothing_there", "while True:\n    pass", None], ids=["raises", "hangs", "foreign"]
)
def test_an_application_that_does_not_start_is_dropped(
    bench: Callable[..., Any], tmp_path: Path, start: str | None
) -> None:
    """An update whose application fails, hangs or is no bytecode is started once; the one before returns, says so, and
    nothing is lost."""
    running = bench(speed=20.0, maker=crypto.public_point(MAKER), watchdog=2.0)
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(4.0, boot=1))
    broken = {"start.mpy": b"no bytecode", "more.mpy": bytes(9000)}
    if start is not None:
        (tmp_path / "start.py").write_text(start)
        compile_modules(tmp_path, tmp_path / "made", "x64")
        broken["start.mpy"] = (tmp_path / "made" / "start.mpy").read_bytes()
    with recorder.client() as client:
        send(client, pack(MAKER, broken, board="virtual", firmware="broken", counter=3))
        apply(client)
    recorder.run(lambda frames: any(True for _ in events(frames, Event.UPDATE_RETURNED)))
    frames = recorder.in_order()
    (gone,) = events(frames, Event.UPDATE_RETURNED)
    assert number(gone, EventKey.COUNT) == 3
    assert len(firmwares(recorder)) == 1
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device


def test_an_update_waits_for_its_hour(bench: Callable[..., Any], tmp_path: Path, package: Package) -> None:
    """Told to start, it waits for the hour that is set and says so, records on, and starts when that is changed."""
    hour = (datetime.datetime.now(datetime.UTC).hour + 12) % 24
    running = bench(
        {"update_hour": hour, "status_s": 5},
        speed=20.0,
        maker=crypto.public_point(MAKER),
        operator=crypto.public_point(MAKER),
    )
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(until(4.0, boot=1))
    with recorder.client() as client:
        assert not waits(client)
        send(client, package)
        assert apply(client)
    recorder.run(until(recorder.frames[-1].frame.ticks / 1e6 + 30, boot=1))
    with recorder.client() as client:
        assert waits(client)
        with pytest.raises(CommandError, match="BAD_ARGUMENT"):
            send(client, package)
        settings = Configuration(running.thumbprint, 1, {Setting.UPDATE_HOUR: 24})
        configure(client, sign_configuration(settings, MAKER))
    recorder.run(lambda frames: any(events(frames, Event.UPDATE_CONFIRMED)))
    assert firmwares(recorder)[1:] == ["vitalwire 9.9"]
    (device,) = verify(captured(recorder.capture), running.registry).devices
    assert device.ok, device


def test_only_the_maker_updates(bench: Callable[..., Any], tmp_path: Path, package: Package) -> None:
    """Another's signature is refused over the link; a board that has no maker's key takes no update at all."""
    running = bench(speed=20.0, maker=crypto.public_point(ec.generate_private_key(ec.SECP256R1())))
    with (
        Recorder(running.board.url, running.registry, tmp_path).client() as client,
        pytest.raises(CommandError, match="UPDATE_FORGED"),
    ):
        send(client, package)
    without = bench(speed=20.0)
    (tmp_path / "other").mkdir()
    with (
        Recorder(without.board.url, without.registry, tmp_path / "other").client() as client,
        pytest.raises(CommandError, match="NOT_PROVISIONED"),
    ):
        send(client, package)
