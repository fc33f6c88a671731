"""Frames from a broker: bound by topic, acknowledged by topic, and read on after the broker was away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from tests.fakeboard import Board
from tests.gateway.site import SECRET, Site, journal
from tests.mosquitto import Mosquitto, pbkdf2
from tests.waiting import FAR

from vitalwire.gateway import Concluded, Spooled
from vitalwire.packet import PacketDecoder, encode_packet
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


@pytest.mark.asyncio
async def test_a_broker_binds_a_device_and_we_bind_its_frames(tmp_path: Path) -> None:
    """Whoever has one device's password can neither publish as another nor bring its frames, alone or in packets."""
    walk, bed = FakeDevice("walk"), FakeDevice("bed")
    (tmp_path / "acl").write_text(
        "pattern write vitalwire/%u/frames\npattern write vitalwire/%u/replies\npattern read vitalwire/%u/commands\n"
        "user gateway\ntopic readwrite vitalwire/#\n"
    )
    users = "".join(f"{name}:$7$101${pbkdf2(f'password of {name}')}\n" for name in ("walk", "bed", "gateway"))
    (tmp_path / "users").write_text(users)
    (tmp_path / "ours").write_text("password of gateway")
    lines = [f"password_file {tmp_path / 'users'}", f"acl_file {tmp_path / 'acl'}"]
    frames = list(journal(walk, 4))
    with Mosquitto(tmp_path / "broker", lines, anonymous=False) as broker:
        site = Site(tmp_path, walk, bed)
        site.configure(
            f'[source.in]\nkind = "mqtt"\nhost = "127.0.0.1"\nport = {broker.port}\ntls = false\n'
            'user = "gateway"\npassword = { file = "ours" }\n',
            NOWHERE,
        )
        # The broker may end the connection of who publishes as another, so that has one of its own.
        hostile, denied = (paho.Client(CallbackAPIVersion.VERSION2) for _ in range(2))
        for client in (hostile, denied):
            client.username_pw_set("bed", "password of bed")
            client.connect("127.0.0.1", broker.port)
            client.loop_start()

        def unbound() -> int:
            outcomes = [event.outcome for event in site.of(Concluded)]
            return sum(isinstance(each, Refused) and each.reason == Reason.UNBOUND for each in outcomes)

        async with site.running(), asyncio.timeout(FAR):
            while unbound() < 8:
                for raw in frames:
                    denied.publish("vitalwire/walk/frames", raw, qos=1)
                    hostile.publish("vitalwire/bed/frames", raw, qos=1)
                    hostile.publish("vitalwire/bed/replies", encode_packet(PacketType.FRAME, 0, raw), qos=1)
                await asyncio.sleep(0.1)
        for client in (hostile, denied):
            client.disconnect()
            client.loop_stop()
    assert not site.of(Spooled)
    assert {event.peer for event in site.of(Concluded)} == {"bed"}
