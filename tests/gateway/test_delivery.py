"""Deliveries: what a peer will never take is put aside and can be tried again, what it takes later is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from tests.fakeboard import Board
from tests.gateway.site import SECRET, Site, bulk, connect_to, journal, mqtt_to
from tests.mosquitto import Mosquitto
from tests.sinks.entries import entries_of
from tests.sinks.servers import free_port
from tests.waiting import FAR

from vitalwire.gateway import Buried, Concluded, SinkChanged, SinkState, SpoolChanged, Spooled
from vitalwire.gateway.delivery import Delivery
from vitalwire.packet import encode_packet
from vitalwire.session import Refused
from vitalwire.sinks import Rejected, SinkSettings
from vitalwire.spool import Entry, Spool, Store
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Command, PacketType


@asynccontextmanager
async def archive(port: int, status: Callable[[bytes], int]) -> AsyncIterator[list[bytes]]:
    """Serve a peer for the HTTP sink; yield the bodies it took."""
    taken: list[bytes] = []

    async def post(request: web.Request) -> web.Response:
        body = await request.read()
        said = status(body)
        if said == 200:
            taken.append(body)
        return web.Response(status=said)

    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/", post)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield taken
    finally:
        await runner.cleanup()


def http_to(port: int) -> str:
    """Return the table of a sink that posts to a peer on loopback."""
    return f'[sink.archive]\nkind = "http"\nurl = "http://127.0.0.1:{port}/"\n'


@pytest.mark.asyncio
async def test_poison_is_put_aside_and_can_be_tried_again(tmp_path: Path) -> None:
    """A frame that the peer never takes holds nothing up, keeps its reason, and goes out when somebody asks for it."""
    device, port = FakeDevice("walk"), free_port()
    raws = journal(device, 12)
    takes_all = False
    with Board(device, SECRET) as board:
        site = Site(tmp_path, device)
        site.configure(connect_to(board), http_to(port))
        board.send(*raws)
        async with (
            archive(port, lambda body: 200 if takes_all or raws[6] not in body else 422) as taken,
            site.running(),
        ):
            await site.until(lambda: not board.journal and sum(map(len, taken)) == sum(map(len, raws)) - len(raws[6]))
            assert b"".join(taken) == b"".join(raws[:6] + raws[7:])
            (buried,) = site.of(Buried)
            assert (buried.entry.raw, buried.why) == (raws[6], "HTTP 422")
            takes_all = True
            store = Store(tmp_path / "spool.db")
            assert [letter.entry.raw for letter in store.dead()] == [raws[6]]
            assert store.redrive("archive") == 1
            await site.until(lambda: taken[-1] == raws[6])
            await site.until(lambda: not list(store.dead()))
            store.close()


@pytest.mark.asyncio
async def test_a_full_spool_leaves_frames_with_their_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be delivered the spool fills, says so, and takes no more; later everything arrives in order."""
    device, port = FakeDevice("walk"), free_port()
    raws = [device.descriptor(), *bulk(device, 400, 4.0)]
    monkeypatch.setattr("vitalwire.gateway.delivery.LONGEST_WAIT", 0.2)
    with Board(device, SECRET) as board:
        site = Site(tmp_path, device, spool="max_mb = 1")
        site.configure(connect_to(board), http_to(port))
        board.send(*raws)
        async with site.running():
            await site.until(lambda: any(not event.takes for event in site.of(SpoolChanged)))
            assert board.journal
            await site.until(lambda: any(event.state.alarm for event in site.of(SpoolChanged)))
            states = {event.state for event in site.of(SinkChanged)}
            assert SinkState.UP not in states
            assert SinkState.WAITING in states
            async with archive(port, lambda body: 200) as taken:
                await site.until(lambda: not board.journal and sum(map(len, taken)) >= sum(map(len, raws)))
                assert b"".join(taken) == b"".join(raws)
        assert site.of(SpoolChanged)[-1].takes


@pytest.mark.asyncio
async def test_a_dead_sink_is_told_before_there_is_anything_to_deliver(tmp_path: Path) -> None:
    """A broker that is not there shows from the beginning, and that it came as well."""
    with Mosquitto(tmp_path / "broker") as broker:
        broker.stop()
        site = Site(tmp_path)
        site.configure(mqtt_to(broker.port))
        async with site.running():
            await site.until(lambda: any("refused" in event.why for event in site.of(SinkChanged)))
            await asyncio.to_thread(broker.start)
            await site.until(lambda: site.of(SinkChanged)[-1].state is SinkState.READY)


class Faulty:
    """A sink with a bug: one entry makes it fail in a way that no sink may."""

    def __init__(self, poison: int) -> None:
        self.taken: list[int] = []
        self._poison = poison

    async def open(self) -> None:
        """Be there."""

    async def deliver(self, batch: Sequence[Entry]) -> Sequence[Rejected]:
        """Take what it can."""
        if any(entry.position == self._poison for entry in batch):
            raise ValueError("a bug")
        self.taken += [entry.position for entry in batch]
        return ()

    async def close(self) -> None:
        """Need nothing."""


@pytest.mark.asyncio
async def test_a_bug_at_one_entry_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that breaks at one entry loses that one to the dead letters, and gets all others in order."""
    monkeypatch.setattr("vitalwire.gateway.delivery.LONGEST_WAIT", 0.02)
    spool = Spool(tmp_path / "spool.db", ["one"])
    stored = spool.append([replace(e, position=0) for e in entries_of([FakeDevice("walk")], 9)]).result()
    sink, events = Faulty(stored[4].position), []
    delivery = Delivery("one", SinkSettings(kind="faulty"), sink, spool, events.append)
    task = asyncio.create_task(delivery.run())
    async with asyncio.timeout(FAR):
        while len(sink.taken) < 8:
            await asyncio.sleep(0.01)
    delivery.end()
    await task
    spool.close()
    assert sink.taken == [entry.position for entry in stored if entry != stored[4]]
    (buried,) = [event for event in events if isinstance(event, Buried)]
    assert buried.entry == stored[4]
    assert "ValueError" in buried.why


@pytest.mark.asyncio
async def test_devices_are_heard_while_the_spool_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full spool costs no connection: times are measured and commands answered; frames wait, unacknowledged, at home.

    Later everything goes on, in order, also from a peer that does not answer as a device: it may have no copy.
    """
    monkeypatch.setattr("vitalwire.gateway.delivery.LONGEST_WAIT", 0.2)
    monkeypatch.setattr("vitalwire.gateway.storing.MOST_READY", 16)
    monkeypatch.setattr("vitalwire.gateway.storing.RETRY", 0.1)
    monkeypatch.setattr("vitalwire.control.controller.PING_EVERY", 0.2)
    walk, bed, played, port, door = (
        FakeDevice("walk"),
        FakeDevice("bed"),
        FakeDevice("played"),
        free_port(),
        free_port(),
    )
    with Board(walk, SECRET) as board, Board(bed, SECRET) as other:
        site = Site(tmp_path, walk, bed, played, spool="max_mb = 1")
        ward = f'[source.ward]\nkind = "listen"\nlisten = "127.0.0.1:{door}"\n'
        site.configure(connect_to(board, other), ward, http_to(port))
        raws = [walk.descriptor(), *bulk(walk, 400, 4.0)]
        live = list(journal(bed, 20))
        board.send(*raws)
        async with site.running():
            await site.until(lambda: any(not event.takes for event in site.of(SpoolChanged)))
            await site.until(lambda: any(isinstance(e.outcome, Refused) for e in site.of(Concluded)))
            _, writer = await asyncio.open_connection("127.0.0.1", door)
            silent = list(journal(played, 60))
            writer.write(b"".join(encode_packet(PacketType.FRAME, 0, raw) for raw in silent))
            pings = [sum(command == Command.PING for command, _ in each.commands) for each in (board, other)]
            other.send(*live)
            raws.append(walk.sampled())
            board.send(raws[-1])

            def measured() -> bool:
                now = [sum(command == Command.PING for command, _ in each.commands) for each in (board, other)]
                return all(new > old + 3 for old, new in zip(pings, now, strict=True))

            await site.until(measured)
            assert raws[-1] in board.journal.values()
            assert list(other.journal.values()) == live
            assert (board.connections, other.connections) == (1, 1)
            async with archive(port, lambda body: 200) as taken:
                await site.until(lambda: not board.journal and not other.journal)
                await site.until(lambda: sum(map(len, taken)) >= sum(map(len, [*raws, *live, *silent])))
            writer.close()
            came = [entry for event in site.of(Spooled) for entry in event.entries]
        for device, made in ((walk, raws), (bed, live), (played, silent)):
            assert [entry.raw for entry in came if entry.thumbprint == device.thumbprint] == made
