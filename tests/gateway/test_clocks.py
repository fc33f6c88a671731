"""This computer's clock jumps by hours, either way: nothing is lost, stuck or put out of order by it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.fakeboard import Board
from tests.gateway.site import SECRET, Site, connect_to, journal
from tests.gateway.test_delivery import archive, http_to
from tests.gateway.test_operations import delivered, entry
from tests.sinks.servers import free_port

from vitalwire.audit import AuditLog, check
from vitalwire.gateway import Concluded, Delivered, SinkChanged, SinkState, Spooled
from vitalwire.gateway.operations import Objectives, ObjectiveSettings
from vitalwire.session import Quarantined
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Event, EventKey

HOUR = 3_600_000_000
JUMPS = (0, -5 * HOUR, 9 * HOUR, 0, -30 * 24 * HOUR, 0)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the gateway try again more often."""
    monkeypatch.setattr("vitalwire.gateway.delivery.LONGEST_WAIT", 0.2)
    monkeypatch.setattr("vitalwire.gateway.quarantine.LOOK", 0.05)


@pytest.mark.asyncio
async def test_frames_go_on_in_order(tmp_path: Path) -> None:
    """Each frame comes out once, in order, whatever the clock does; what was said of its time does not change later."""
    device, port = FakeDevice("walk"), free_port()
    raws: list[bytes] = []
    with Board(device, SECRET) as board:
        site = Site(tmp_path, device)
        site.configure(connect_to(board), http_to(port))
        async with site.running():
            for jump in JUMPS:
                site.ahead_us = jump
                some = list(journal(device, 5))
                raws += some
                board.send(*some)
                await site.until(lambda: not board.journal)
            await site.until(lambda: any(event.state is SinkState.WAITING for event in site.of(SinkChanged)))
            site.ahead_us = -5 * HOUR
            async with archive(port, lambda body: 200) as taken:
                await site.until(lambda: sum(map(len, taken)) >= sum(map(len, raws)))
                assert b"".join(taken) == b"".join(raws)
            said = [entry for event in site.of(Spooled) for entry in event.entries]
            assert [entry for event in site.of(Delivered) for entry in event.entries] == said
    assert [entry.raw for entry in said] == raws
    assert not [event for event in site.of(Concluded) if isinstance(event.outcome, Quarantined)]


@pytest.mark.asyncio
async def test_a_clock_set_back_holds_nobody_up(tmp_path: Path) -> None:
    """A frame that waits for a missing one waits its two seconds, not until the clock is where it was."""
    device = FakeDevice("walk")
    with Board(device, SECRET) as board:
        site = Site(tmp_path, device)
        site.configure(connect_to(board), http_to(free_port()))
        first, second, _, fourth = journal(device, 4)
        async with site.running():
            board.send(first, second)
            await site.until(lambda: not board.journal)
            board.send(fourth)
            site.ahead_us = -5 * HOUR
            await site.until(lambda: not board.journal)
    assert [entry.raw for event in site.of(Spooled) for entry in event.entries] == [first, second, fourth]


@pytest.mark.parametrize("lie", ["utc", "accuracy", "ticks"])
@pytest.mark.asyncio
async def test_a_device_may_say_anything_of_its_time(tmp_path: Path, lie: str) -> None:
    """A device whose UTC or ticks are the largest numbers there are ends no gateway, and its frames are kept."""
    device = FakeDevice("walk")
    with Board(device, SECRET) as board:
        site = Site(tmp_path, device)
        site.configure(connect_to(board), http_to(free_port()))
        raws = list(journal(device, 2))
        if lie == "ticks":
            device.ticks = (1 << 63) - 1
        else:
            said = {EventKey.UTC: (1 << 63) - 1, EventKey.UTC_ACCURACY: 62 if lie == "accuracy" else 0}
            raws.append(device.events((Event.TIME_SET, said)))
        raws += [device.status(), device.status()]
        async with site.running():
            board.send(*raws)
            await site.until(lambda: not board.journal)
    assert [entry.raw for event in site.of(Spooled) for entry in event.entries] == raws


@pytest.mark.asyncio
async def test_devices_that_know_the_time_lose_nothing_by_ours(tmp_path: Path) -> None:
    """While our clock is hours behind, what devices say of UTC seems to be the future; it is kept, and goes out."""
    device, port = FakeDevice("walk"), free_port()
    with Board(device, SECRET) as board:
        site = Site(tmp_path, device)
        site.configure(connect_to(board), http_to(port))
        device.utc_us = site.utc_us()
        raws = list(journal(device, 12))
        async with archive(port, lambda body: 200) as taken, site.running():
            board.send(*raws[:4])
            await site.until(lambda: b"".join(taken) == b"".join(raws[:4]))
            site.ahead_us = -5 * HOUR
            board.send(*raws[4:8])
            await site.until(lambda: not board.journal)
            await asyncio.sleep(0.2)
            assert b"".join(taken) == b"".join(raws[:4])
            site.ahead_us = 0
            board.send(*raws[8:])
            await site.until(lambda: sum(map(len, taken)) >= sum(map(len, raws)))
    assert {entry.raw for event in site.of(Delivered) for entry in event.entries} == set(raws)


def test_what_was_promised_and_kept_is_not_forgotten(tmp_path: Path) -> None:
    """A clock that was ahead for a while costs no counts; hours beyond those promised are forgotten by their number."""
    now = [1e9]
    objectives = Objectives(ObjectiveSettings(days=1), tmp_path / "counts", lambda: now[0])
    for seconds in (0, 400 * 86400, 0, -7200, 0):
        now[0] = 1e9 + seconds
        objectives(delivered(entry()))
        objectives.flush()
    now[0] = 1e9
    assert objectives.report()[0].total == 5
    for hour in range(100):
        now[0] = 1e9 + 401 * 86400 + 3600 * hour
        objectives(delivered(entry()))
        objectives.flush()
    assert objectives.report()[0].total <= 26
    objectives.close()


def test_the_audit_log_goes_by_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records keep their order and verify though the clock was set back between them."""
    log = AuditLog(tmp_path / "audit.jsonl")
    for time in ("2026-05-05T12:00:00Z", "2026-05-05T03:00:00Z", "2027-01-01T00:00:00Z", "2026-05-05T12:00:01Z"):
        monkeypatch.setattr("vitalwire.audit.log._now", lambda time=time: time)
        log.write("enrolled", device="00")
    assert check(log.lines()).count == 4
