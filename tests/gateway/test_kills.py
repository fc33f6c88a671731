"""The gateway killed at random moments under load: what boards were told is durable arrives, once and in order."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.fakeboard import Board
from tests.gateway.site import SECRET, Site, connect_to, mqtt_to
from tests.mosquitto import Mosquitto
from tests.waiting import FAR

import vitalwire
from vitalwire.registry import Registry
from vitalwire.session import Duplicate, ReplayState
from vitalwire.testing import FakeDevice


class Load:
    """Boards that go on making frames in a thread, at most `most` more than were acknowledged."""

    def __init__(self, boards: list[Board], most: int = 40) -> None:
        self._boards = boards
        self._most = most
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            for board in self._boards:
                if len(board.journal) < self._most:
                    device = board.device
                    board.send(device.status() if device.seq else device.descriptor())

    def end(self) -> None:
        """Make no more."""
        self._stop.set()
        self._thread.join()


class Receiver:
    """Reads what the broker has through the SDK, in a thread, as a user would; `numbers` come by device."""

    def __init__(self, site: Site, port: int) -> None:
        self.numbers: dict[str, list[int]] = {device.name: [] for device in site.devices}
        self.twice = 0
        self._site = site
        self._url = f"mqtt://127.0.0.1:{port}/vitalwire/+/frames?client=receiver"
        self._stop = threading.Event()
        self._subscribed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._subscribed.wait(FAR)

    def _run(self) -> None:
        with (
            Registry(self._site.registry) as registry,
            vitalwire.connect(
                self._url, registry=registry, state=ReplayState(), settle=0.0, on_event=self._hear
            ) as client,
        ):
            self._subscribed.set()
            while not self._stop.is_set():
                frame = client.receive(0.1)
                if frame is not None:
                    self.numbers[frame.name].append(frame.seq)

    def _hear(self, event: object) -> None:
        self.twice += isinstance(event, Duplicate)

    def end(self) -> None:
        """Read no more."""
        self._stop.set()
        self._thread.join()


def waited(true: Callable[[], bool]) -> bool:
    """Wait for something to become true; return whether it did."""
    until = time.monotonic() + FAR
    while not true() and time.monotonic() < until:
        time.sleep(0.02)
    return true()


def test_kills_lose_nothing(tmp_path: Path, long: bool, results: Callable[..., None]) -> None:
    """Through kill -9 of the gateway and restarts of the broker, each frame acknowledged arrives, once and in order."""
    kills = 200 if long else 5
    chance = random.Random(4)
    devices = [FakeDevice(f"device{number}") for number in range(3)]
    boards = [Board(device, SECRET) for device in devices]
    site = Site(tmp_path, *devices)
    with Mosquitto(tmp_path / "broker") as broker:
        receiver = Receiver(site, broker.port)
        site.configure(connect_to(*boards), mqtt_to(broker.port, more='window = 20\nclient = "gateway"'))
        load = Load(boards)
        for kill in range(kills):
            site.start()
            before = sum(len(board.acknowledged) for board in boards)
            works = waited(lambda before=before: sum(len(board.acknowledged) for board in boards) > before)  # type: ignore[misc]
            assert works, (tmp_path / "log").read_text()[-2000:]
            time.sleep(chance.random() * 0.5)
            if kill % 5 == 3:
                broker.stop()
                broker.start()
            site.end(signal.SIGKILL)
        load.end()
        site.start()
        assert waited(lambda: not any(board.journal for board in boards)), (tmp_path / "log").read_text()[-2000:]
        made = {device.name: list(range(1, device.seq + 1)) for device in devices}
        waited(lambda: sum(map(len, receiver.numbers.values())) >= sum(map(len, made.values())))
        assert site.end() == 0, (tmp_path / "log").read_text()[-2000:]
        receiver.end()
    assert {board.device.name: sorted(board.acknowledged) for board in boards} == made
    assert {name: sorted(set(made[name]) - set(numbers)) for name, numbers in receiver.numbers.items()} == {
        name: [] for name in made
    }
    assert receiver.numbers == made
    for board in boards:
        board.__exit__()
    results(
        "gateway, kill -9 against mosquitto", kills=kills, frames=sum(map(len, made.values())), again=receiver.twice
    )
