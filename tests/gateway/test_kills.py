"""The gateway killed at random moments under load: what boards were told is durable arrives, once and in order."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.fakeboard import Board
from tests.gateway.site import FAR, SECRET, Site, connect_to, mqtt_to, received
from tests.mosquitto import Listener, Mosquitto

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


def test_kills_lose_nothing(tmp_path: Path, long: bool, results: Callable[..., None]) -> None:
    """Through kill -9 of the gateway and restarts of the broker, each frame acknowledged arrives, once and in order."""
    cycles = 200 if long else 5
    chance = random.Random(4)
    devices = [FakeDevice(f"device{number}") for number in range(3)]
    boards = [Board(device, SECRET) for device in devices]
    site = Site(tmp_path, *devices)
    kills = 0
    with Mosquitto(tmp_path / "broker") as broker, Listener(broker) as listener:
        site.configure(connect_to(*boards), mqtt_to(broker.port, more='window = 20\nclient = "gateway"'))
        load = Load(boards)
        for cycle in range(cycles):
            site.start()
            before = sum(len(board.acknowledged) for board in boards)
            until = time.monotonic() + FAR
            while sum(len(board.acknowledged) for board in boards) <= before:  # it works again
                assert time.monotonic() < until, (tmp_path / "log").read_text()[-2000:]
                time.sleep(0.01)
            time.sleep(chance.random() * 0.5)
            if cycle % 5 == 3:
                broker.stop()
                broker.start()
            site.end(signal.SIGKILL)
            kills += 1
        load.end()
        site.start()
        until = time.monotonic() + FAR
        while any(board.journal for board in boards):
            assert time.monotonic() < until, (tmp_path / "log").read_text()[-2000:]
            time.sleep(0.05)
        assert site.end() == 0, (tmp_path / "log").read_text()[-2000:]
        came: list[bytes] = []
        until = time.monotonic() + FAR
        while len(set(came)) < sum(device.seq for device in devices) and time.monotonic() < until:
            time.sleep(0.1)
            came += [message.payload for message in listener.drain()]
    made = {device.name: list(range(1, device.seq + 1)) for device in devices}
    assert {board.device.name: sorted(board.acknowledged) for board in boards} == made
    assert received(site, came) == made
    for board in boards:
        board.__exit__()
    results("gateway, kill -9 against mosquitto", kills=kills, frames=sum(map(len, made.values())), messages=len(came))
