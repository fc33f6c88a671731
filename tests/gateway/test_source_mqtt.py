"""Frames from a broker: bound by topic, acknowledged by topic, and read on after the broker was away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from tests.fakeboard import Board
from tests.gateway.site import FAR, SECRET, Site, journal
from tests.mosquitto import Mosquitto

from vitalwire.gateway import Concluded, Spooled
from vitalwire.packet import PacketDecoder
from vitalwire.session import Reason, Refused
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import PacketType

NOWHERE = '[sink.nowhere]\nkind = "http"\nurl = "http://127.0.0.1:9/"\n'  # nobody listens there


class Radio:
    """What puts a board's packets on the topics of a name, and the commands from there to the board."""

    def __init__(self, board: Board, name: str, port: int) -> None:
        self._board = board
        self._name = name
        self._out, self._in = PacketDecoder(), PacketDecoder()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_message = self._heard
        self._client.on_connect = lambda *_: self._client.subscribe(f"vitalwire/{name}/commands", 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        board._linked = self  # type: ignore[assignment]

    def sendall(self, data: bytes) -> None:
        """Publish what the board says."""
        for packet in self._out.feed(data):
            is_frame = packet.type == PacketType.FRAME
            topic = f"vitalwire/{self._name}/{'frames' if is_frame else 'replies'}"
            self._client.publish(topic, packet.body if is_frame else data, qos=1)

    def _heard(self, client: paho.Client, data: object, message: paho.MQTTMessage) -> None:
        with self._board._lock:
            for packet in self._in.feed(message.payload):
                self._board._answer(packet)

    def close(self) -> None:
        """Switch it off."""
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Return a broker of the test's own."""
    with Mosquitto(tmp_path / "broker") as started:
        yield started


@pytest.mark.asyncio
async def test_frames_are_acknowledged_by_topic(tmp_path: Path, broker: Mosquitto) -> None:
    """What a device publishes is spooled and then acknowledged to it, also after the broker was restarted."""
    device = FakeDevice("walk")
    site = Site(tmp_path, device)
    site.configure(f'[source.in]\nkind = "mqtt"\nhost = "127.0.0.1"\nport = {broker.port}\ntls = false\n', NOWHERE)
    raws = journal(device, 20)
    with Board(device, SECRET) as board:
        radio = Radio(board, "walk", broker.port)
        async with site.running(), asyncio.timeout(FAR):
            board.send(*raws[:10])
            while board.journal:  # what was published before anybody listened is asked for, as a frame comes
                board.send(raws[0], keep=False)
                await asyncio.sleep(0.1)
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(broker.start)
            board.send(*raws[10:])
            while board.journal:
                board.send(raws[0], keep=False)
                await asyncio.sleep(0.1)
        radio.close()
    assert [entry.raw for event in site.of(Spooled) for entry in event.entries] == raws


@pytest.mark.asyncio
async def test_a_topic_binds_a_device(tmp_path: Path, broker: Mosquitto) -> None:
    """Frames on another device's topic are refused."""
    walk, bed = FakeDevice("walk"), FakeDevice("bed")
    site = Site(tmp_path, walk, bed)
    site.configure(f'[source.in]\nkind = "mqtt"\nhost = "127.0.0.1"\nport = {broker.port}\ntls = false\n', NOWHERE)
    raws = journal(walk, 3)
    with Board(walk, SECRET) as board:
        radio = Radio(board, "bed", broker.port)

        def refused() -> list[Reason]:
            return [event.outcome.reason for event in site.of(Concluded) if isinstance(event.outcome, Refused)]

        async with site.running(), asyncio.timeout(FAR):
            while len(refused()) < 3:
                board.send(*raws, keep=False)
                await asyncio.sleep(0.1)
        radio.close()
    assert set(refused()) == {Reason.UNBOUND}
    assert not site.of(Spooled)
