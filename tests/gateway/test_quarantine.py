"""What is not believed is kept: acknowledged once it is, within its bound, judged anew when its time has come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path

import pytest
from tests.fakeboard import Board
from tests.gateway.site import SECRET, Site, connect_to, journal

from vitalwire.audit import AuditLog, check, parse
from vitalwire.cli import main
from vitalwire.errors import UsageError
from vitalwire.gateway import QuarantineChanged, Spooled
from vitalwire.registry import Registry
from vitalwire.spool import Choice, Quarantine, Suspect
from vitalwire.testing import FakeDevice

NOWHERE = '[sink.nowhere]\nkind = "http"\nurl = "http://127.0.0.1:9/"\n'  # nobody listens there
HOUR = 3_600_000_000


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the gateway look into its quarantine more often."""
    monkeypatch.setattr("vitalwire.gateway.quarantine.LOOK", 0.05)
    monkeypatch.setattr("vitalwire.registry._FRESH_SECONDS", 0.0)


@contextmanager
def kept(folder: Path, size: int = 1_000_000) -> Iterator[Quarantine]:
    """Open a site's quarantine."""
    quarantine = Quarantine(folder / "spool.db", size)
    try:
        yield quarantine
    finally:
        quarantine.close()


def suspects(folder: Path) -> dict[str, list[bytes]]:
    """Return what is in quarantine, by reason."""
    found: dict[str, list[bytes]] = {}
    with kept(folder) as quarantine:
        for each in quarantine.find():
            found.setdefault(each.why, []).append(each.raw)
    return found


def spooled(site: Site) -> list[bytes]:
    """Return the frames that sinks get."""
    return [entry.raw for event in site.of(Spooled) for entry in event.entries]


@pytest.mark.asyncio
async def test_frames_from_the_future_wait_for_their_time(tmp_path: Path) -> None:
    """They are kept and acknowledged, no sink gets them, over a restart too; when their time has come they go out."""
    device = FakeDevice("walk")
    with Board(device, SECRET) as board:
        site = Site(tmp_path, device)
        site.configure(connect_to(board), NOWHERE)
        raws = list(journal(device, 2))
        device.utc_us = site.utc_us() + HOUR
        ahead = [device.sampled() for _ in range(3)]
        async with site.running():
            board.send(*raws, *ahead)
            await site.until(lambda: not board.journal)
        assert spooled(site) == raws
        assert suspects(tmp_path) == {"future": ahead}
        async with site.running():
            await asyncio.sleep(0.3)
            assert spooled(site) == raws
            site.ahead_us = HOUR + 60_000_000
            await site.until(lambda: len(spooled(site)) == 5)
            await site.until(lambda: not suspects(tmp_path))
        assert spooled(site) == raws + ahead


@pytest.mark.asyncio
async def test_both_of_two_that_contradict_each_other_are_there(tmp_path: Path) -> None:
    """Of two frames with one number the second is kept beside; judged anew it is still not believed, and stays."""
    device = FakeDevice("walk")
    with Board(device, SECRET) as board:
        site = Site(tmp_path, device)
        site.configure(connect_to(board), NOWHERE)
        raws = list(journal(device, 3))
        other = copy(device)
        raws.append(device.sampled())
        rival = other.status()
        async with site.running():
            board.send(*raws)
            await site.until(lambda: not board.journal)
            board.send(rival)
            await site.until(lambda: not board.journal)
            assert suspects(tmp_path) == {"conflict": [rival]}
            assert main(["gateway", "quarantine", "release", str(site.file)]) == 0
            await site.until(lambda: not _again(tmp_path))
        assert suspects(tmp_path) == {"conflict": [rival]}
        assert spooled(site) == raws


def _again(folder: Path) -> bool:
    with kept(folder) as quarantine:
        return any(each.again for each in quarantine.find())


@pytest.mark.asyncio
async def test_a_strangers_frames_are_believed_once_it_is_enrolled(tmp_path: Path) -> None:
    """Frames of a device that nobody enrolled are kept, unacknowledged, and go out in order once it is and they are."""
    device = FakeDevice("walk")
    with Board(device, SECRET) as board:
        site = Site(tmp_path)
        site.configure(connect_to(board), NOWHERE)
        raws = list(journal(device, 4))
        async with site.running():
            await site.until(lambda: board.connections)
            await asyncio.sleep(0.2)
            board.send(*raws, keep=False)
            await site.until(lambda: suspects(tmp_path) == {"foreign": raws})
            assert not board.acknowledged
            with Registry(site.registry) as registry:
                registry.enrol(device.thumbprint, device.name, secret=SECRET)
            assert main(["gateway", "quarantine", "release", str(site.file), "--why", "foreign"]) == 0
            await site.until(lambda: spooled(site) == raws)
            await site.until(lambda: not suspects(tmp_path))


@pytest.mark.asyncio
async def test_what_finds_no_room_stays_with_its_device(tmp_path: Path) -> None:
    """A full quarantine takes no more, says so, and gives nothing up; once there is room, what comes again is kept."""
    device = FakeDevice("walk")
    with Board(device, SECRET) as board:
        site = Site(tmp_path, device, spool="quarantine_mb = 0.06")
        site.configure(connect_to(board), NOWHERE)
        raws = list(journal(device, 1))
        device.utc_us = site.utc_us() + HOUR
        ahead = [device.sampled() for _ in range(30)]
        async with site.running():
            board.send(*raws, *ahead)
            await site.until(lambda: [event.keeps for event in site.of(QuarantineChanged)] == [False])
            await site.until(lambda: 0 < len(board.journal) < 30)
            await asyncio.sleep(0.3)
            there = [raw for raw in ahead if raw not in board.journal.values()]
            left = dict(board.journal)
            assert sorted(suspects(tmp_path)["future"]) == sorted(there)
            discarded = ["gateway", "quarantine", "discard", str(site.file), "--device", "walk", "--yes"]
            assert main(discarded) == 0
            while board.journal.keys() == left.keys():
                board.send(*left.values())
                await asyncio.sleep(0.1)
            assert suspects(tmp_path)["future"]
        assert spooled(site) == raws
    words = [parse(line) for line in AuditLog(tmp_path / "audit.jsonl").lines()]
    assert [(word.what, word.details["frames"]) for word in words] == [("quarantine-discarded", len(there))]


def _suspect(number: int, why: str, size: int = 1000, due_us: int | None = None) -> Suspect:
    return Suspect(0, why, "walk", bytes(32), 1, number, number.to_bytes(32), bytes(size), 0, due_us)


def test_it_is_bounded_and_strangers_have_a_part_of_it_only(tmp_path: Path) -> None:
    """Whoever makes frames of devices that nobody enrolled fills a quarter; full is full, and room comes back."""
    with kept(tmp_path, 200_000) as quarantine:
        strange = [_suspect(number, "foreign") for number in range(400)]
        assert 25 <= len(quarantine.keep(strange).result()) <= 50
        own = [_suspect(number, "conflict") for number in range(1000, 1400)]
        assert 50 <= len(quarantine.keep(own).result()) <= 150
        assert quarantine.keep([strange[3], own[5]]).result() == {strange[3].digest, own[5].digest}  # they are there
        assert quarantine.keep(own[-1:]).result() == set()
        assert (tmp_path / "spool.db.quarantine").stat().st_size <= 200_000
        quarantine.discard(Choice(why="conflict"))
        assert quarantine.keep(own[-1:]).result() == {own[-1].digest}
        assert quarantine.counts()["conflict"] == 1


def test_what_is_judged_anew(tmp_path: Path) -> None:
    """Those released, and those whose time has come; one that is refused for another reason comes no more by itself."""
    with kept(tmp_path) as quarantine:
        future = [_suspect(1, "future", due_us=500), _suspect(3, "future", due_us=900)]
        quarantine.keep([future[0], _suspect(2, "conflict"), future[1]]).result()
        assert [each.seq for each in quarantine.to_judge(100, 9)] == []
        assert [each.seq for each in quarantine.to_judge(600, 9)] == [1]
        quarantine.release(Choice(why="conflict"))
        assert [each.seq for each in quarantine.to_judge(600, 9)] == [1, 2]
        quarantine.remains(2, "conflict")
        quarantine.remains(1, "conflict")
        assert [each.seq for each in quarantine.to_judge(600, 9)] == []
        assert [each.seq for each in quarantine.to_judge(900, 9)] == [3]


def test_the_command_shows_and_audits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`list` and `show` say what is there, `--save` writes the frame; what is done to frames is in the audit log."""
    site = Site(tmp_path)
    site.configure(NOWHERE)
    file = str(site.file)
    assert main(["gateway", "quarantine", "list", file]) == UsageError.exit_code  # there is none yet
    with kept(tmp_path) as quarantine:
        quarantine.keep([_suspect(1, "future"), _suspect(2, "old"), _suspect(3, "old")._replace(device="")]).result()
    capsys.readouterr()
    assert main(["gateway", "quarantine", "list", file, "--json"]) == 0
    listed = [(each["seq"], each["why"]) for each in json.loads(capsys.readouterr().out)]
    assert listed == [(1, "future"), (2, "old"), (3, "old")]
    assert main(["gateway", "quarantine", "list", file]) == 0
    assert "stranger 00000000" in capsys.readouterr().out
    assert main(["gateway", "quarantine", "show", file, "2", "--save", str(tmp_path / "frame")]) == 0
    assert (tmp_path / "frame").read_bytes() == bytes(1000)
    assert main(["gateway", "quarantine", "show", file, "9"]) == UsageError.exit_code
    assert main(["gateway", "quarantine", "release", file, "--position", "1"]) == 0
    assert main(["gateway", "quarantine", "release", file, "--device", "nobody"]) == UsageError.exit_code
    assert main(["gateway", "quarantine", "discard", file, "--why", "old", "--yes"]) == 0
    with kept(tmp_path) as quarantine:
        assert [(each.seq, each.again) for each in quarantine.find()] == [(1, True)]
    lines = list(AuditLog(tmp_path / "audit.jsonl").lines())
    assert check(lines).count == 2
    noted = [(record.what, record.details["frames"]) for record in map(parse, lines)]
    assert noted == [("quarantine-released", 1), ("quarantine-discarded", 2)]
