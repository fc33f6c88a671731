"""A board that connects out, over TLS or several links at once, to the real gateway: each frame once, none lost."""

from __future__ import annotations

import asyncio
import queue
import random
import socket
from contextlib import suppress

import paho.mqtt.client as paho
import pytest
from tests.dnsmasq import Dnsmasq
from tests.mosquitto import Mosquitto
from tests.sinks.servers import free_port
from tests.waiting import FAR

from vitalwire.frame import parse
from vitalwire.gateway import Concluded, SourceChanged
from vitalwire.messages import Descriptor
from vitalwire.session import Duplicate, SecurityEvent
from vitalwire_protocol.spec import Counter, Durable, Event, EventKey, Kind

from .ward import NOWHERE, Ward, subscribed


@pytest.mark.asyncio
async def test_over_two_links_each_frame_comes_once(ward: Ward) -> None:
    """A board on TLS and serial at once is one device to the gateway: frames come twice, and are taken once."""
    board = ward.board([f"tls://localhost:{ward.port}", "serial"])
    ward.site.configure(ward.listen(), f'[source.wire]\nkind = "serial"\nports = ["{board.port}"]\n', NOWHERE)
    async with ward.site.running():
        await ward.whole(30)
    sources = {event.source for event in ward.site.of(Concluded) if isinstance(event.outcome, Duplicate)}
    assert sources
    assert {event.source for event in ward.site.of(SourceChanged) if event.up} == {"ward", "wire"}


@pytest.mark.asyncio
async def test_a_board_connects_again_and_loses_nothing(ward: Ward) -> None:
    """While the gateway is away frames wait in the journal; each new connection brings them, none twice."""
    ward.board([f"tls://localhost:{ward.port}"])
    ward.site.configure(ward.listen(), NOWHERE)
    for count in (10, 40):
        async with ward.site.running():
            await ward.site.until(lambda count=count: len(ward.seqs()) >= count)
        await asyncio.sleep(1)
    async with ward.site.running():
        await ward.whole(70)


@pytest.mark.asyncio
async def test_a_board_cut_at_random_moments_loses_nothing(ward: Ward) -> None:
    """Power cuts at any moment of a connection cost no frame that was made: the chain has no gap."""
    board = ward.board([f"tls://localhost:{ward.port}"])
    ward.site.configure(ward.listen(), NOWHERE)
    moments = random.Random(7)
    async with ward.site.running():
        for _ in range(4):
            known = len(ward.seqs())
            await ward.site.until(lambda known=known: len(ward.seqs()) > known + 3)
            await asyncio.sleep(moments.uniform(0, 0.4))
            board.power_cut()
            board.power_on()
        await ward.whole(len(ward.seqs()) + 8)
    assert not [event for event in ward.site.of(Concluded) if isinstance(event.outcome, SecurityEvent)]


# ---------------------------------------------------------------- MQTT


@pytest.mark.asyncio
async def test_over_mqtt_nothing_is_lost_and_nothing_comes_twice(ward: Ward, hub: Mosquitto, long: bool) -> None:
    """What is published is acknowledged by the gateway behind the broker, over the broker's and its own restarts;
    neither makes the board start over."""
    ward.board([f"mqtts://localhost:{hub.port}"])
    ward.site.configure(subscribed(ward, hub), NOWHERE)
    async with ward.site.running():
        await ward.whole(20)
        await asyncio.to_thread(hub.stop)
        await asyncio.to_thread(hub.start)
        await ward.whole(60)
    async with ward.site.running():
        await ward.whole(400 if long else 90)
    assert [event.code for event in ward.events()].count(Event.BOOT) == 1


@pytest.mark.asyncio
async def test_a_brokers_word_is_enough_where_that_is_announced(ward: Ward, hub: Mosquitto) -> None:
    """With `durable` set to broker nobody need read: what the broker took is erased, and the descriptor says so."""
    pem, key = ward.authority.server("gateway")
    heard: queue.Queue[bytes] = queue.Queue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "listener")
    client.tls_set(str(ward.authority.pem), str(pem), str(key))
    client.on_message = lambda client, data, message: heard.put(bytes(message.payload))
    client.on_connect = lambda *_: client.subscribe("devices/+/messages/events/#", 1)
    client.connect("localhost", hub.port)
    client.loop_start()
    ward.board([f"mqtts://localhost:{hub.port}"], settings={"durable": "broker"})
    seen: list[int] = []
    try:
        while True:
            frame = parse(await asyncio.to_thread(heard.get, timeout=FAR))
            if frame.kind == Kind.DESCRIPTOR:
                assert isinstance(frame.body, Descriptor)
                assert frame.body.durable == Durable.BROKER
            seen.append(frame.seq)
            if frame.kind == Kind.STATUS and frame.seq > 20:
                assert frame.counters[Counter.UNACKED] < 10
                break
    finally:
        client.disconnect()
        client.loop_stop()
    assert set(range(1, max(seen) + 1)) == set(seen)
    assert len(seen) <= len(set(seen)) + 2  # the descriptor goes once more


@pytest.mark.asyncio
async def test_without_its_wifi_a_board_waits(ward: Ward) -> None:
    """A board whose network is not in the air, or has another password, keeps its frames; later they all come."""
    air = ward.folder / "air"
    air.write_text("ward\nanother")
    ward.board(
        [f"tls://localhost:{ward.port}"],
        lambda identity: {**ward.authority.device(identity), "ssid": b"ward", "psk": b"correct horse"},
        extra={"AIR": str(air)},
    )
    ward.site.configure(ward.listen(), NOWHERE)
    async with ward.site.running():
        await asyncio.sleep(3)
        assert not ward.seqs()
        air.write_text("ward\ncorrect horse")
        await ward.whole(20)


# The air's access point names a server whose port is the test's.
NAMED = """
from hal.virtual_network import WLAN
from links.names import Lookup
Lookup.port = {}
WLAN.ifconfig = lambda self: ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")
import main
"""


@pytest.mark.asyncio
async def test_without_a_name_server_a_board_records_on(ward: Ward) -> None:
    """While nobody says where the gateway is, no sensor waits; once somebody does, all frames come, and the gateway
    is found again after it was away, though the name server is silent by then."""
    air = ward.folder / "air"
    air.write_text("ward\nword")
    names = Dnsmasq(ward.folder / "dns", free_port(), ["host-record=gateway.test,127.0.0.1"])
    board = ward.board(
        [f"tls://gateway.test:{ward.port}"],
        lambda identity: {**ward.authority.device(identity), "ssid": b"ward", "psk": b"word"},
        extra={"AIR": str(air)},
        modules={"named.py": NAMED.format(names.port)},
        start="named",
        watchdog=5.0,
    )
    ward.site.configure(ward.listen(ward.authority.server("gateway.test")), NOWHERE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", names.port))
        async with ward.site.running():
            await asyncio.sleep(7)  # longer than a lookup
            assert not ward.seqs()
    with names:
        async with ward.site.running():
            await ward.whole(100)
    async with ward.site.running():
        await ward.whole(len(ward.seqs()) + 20)
    board.deepest()
    assert [event["event"] for event in board.events].count("boot") == 1
    # by then nobody had been found, let alone shaken hands with
    alone = [event for event in ward.events() if event.ticks < 30_000_000]
    assert not [event for event in alone if event.code == Event.OVERRUN]


class Wire:
    """Between boards and a port; while it is `dead` it swallows what is sent, and tells nobody."""

    def __init__(self, port: int) -> None:
        self.dead = False
        self.swallowed = 0
        self._to = port
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._came, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
            self._writers.append(back)
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 12):
                if self.dead:
                    self.swallowed += len(data)
                else:
                    writer.write(data)
        writer.close()


@pytest.mark.asyncio
async def test_over_mqtt_neither_a_dead_network_nor_power_cuts_lose_anything(
    ward: Ward, hub: Mosquitto, long: bool
) -> None:
    """The network dies amid messages and the board at random moments: each frame comes, once; `--long`: ten times."""
    moments = random.Random(11)
    ward.site.configure(subscribed(ward, hub), NOWHERE)
    async with Wire(hub.port) as wire, ward.site.running():
        board = ward.board([f"mqtts://localhost:{wire.port}"])
        for _ in range(10 if long else 1):
            await ward.whole(len(ward.seqs()) + 5)
            wire.dead = True
            await asyncio.sleep(1)
            wire.dead = False
            await ward.whole(len(ward.seqs()) + 5)
            await asyncio.sleep(moments.uniform(0, 0.5))
            board.power_cut()
            board.power_on()
        await ward.whole(len(ward.seqs()) + 10)
    assert wire.swallowed > 0
    assert not [event for event in ward.site.of(Concluded) if isinstance(event.outcome, SecurityEvent)]


@pytest.mark.asyncio
async def test_what_a_handshake_costs_is_declared(ward: Ward) -> None:
    """Samples that came while a chip was busy with a handshake are declared as lost and counted, not passed over."""
    ward.board([f"tls://localhost:{ward.port}"], cpu="esp32")
    ward.site.configure(ward.listen(), NOWHERE)

    def counters() -> dict[int, int]:
        return max((f for f in ward.frames() if f.kind == Kind.STATUS), key=lambda f: f.seq).counters

    async with ward.site.running():
        await ward.whole(20)
        await ward.site.until(lambda: counters()[Counter.OVERRUNS] > 0)
    overruns = [event for event in ward.events() if event.code == Event.OVERRUN]
    assert counters()[Counter.LOST_SAMPLES] > 0
    assert sum(int(event.details[EventKey.COUNT]) for event in overruns) >= counters()[Counter.LOST_SAMPLES]
