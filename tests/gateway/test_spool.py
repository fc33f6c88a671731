"""The spool: each entry once, in order, until every sink has it; within its bound; through cuts and full disks."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.sinks.entries import entries_of

from vitalwire.errors import SpoolError, UsageError
from vitalwire.messages import Trust
from vitalwire.spool import Bound, Entry, Full, Lost, Spool, Store
from vitalwire.testing import FakeDevice

MEGABYTE = 1_000_000


def made(count: int, *names: str) -> list[Entry]:
    """Return entries as they come to a spool: without a place."""
    return [
        replace(entry, position=0) for entry in entries_of([FakeDevice(name) for name in names or ("walk",)], count)
    ]


def numbered(count: int, first: int = 0) -> list[Entry]:
    """Return entries that differ in their number only: much cheaper to make."""
    (entry,) = made(1)
    return [replace(entry, seq=seq + 1, digest=seq.to_bytes(32), raw=bytes(700)) for seq in range(first, first + count)]


@contextmanager
def spooling(path: Path, *sinks: str, **options: object) -> Iterator[Spool]:
    """Open a spool and close it."""
    spool = Spool(path, sinks or ("one",), **options)  # type: ignore[arg-type]
    try:
        yield spool
    finally:
        spool.close()


def test_entries_come_back_as_they_were(tmp_path: Path) -> None:
    """What was appended is read in order, equal but for its position, also after the spool was opened again."""
    given = made(3, "walk", "run")
    given[1] = replace(given[1], time_us=None, accuracy_us=None, kind=99)
    with spooling(tmp_path / "spool") as spool:
        stored = spool.append(given).result()
    with spooling(tmp_path / "spool") as spool:
        found = spool.read(0, 100)
        assert spool.read(found[1].position, 2) == found[2:4]
    assert found == stored
    assert [replace(entry, position=0) for entry in found] == given
    assert [entry.position for entry in found] == sorted({entry.position for entry in found})


def test_what_is_there_by_digest_is_not_stored_again(tmp_path: Path) -> None:
    """The future has only the entries that were new."""
    given = made(4)
    with spooling(tmp_path / "spool") as spool:
        assert len(spool.append(given[:3]).result()) == 3
        (new,) = spool.append(given).result()
        assert new.digest == given[3].digest
        assert len(spool.read(0, 10)) == 4


def test_entries_stay_until_every_sink_has_them(tmp_path: Path) -> None:
    """The slowest sink decides what is removed, and positions are never used again."""
    with spooling(tmp_path / "spool", "fast", "slow") as spool:
        stored = spool.append(numbered(20)).result()
        spool.advance("fast", stored[-1].position).result()
        assert len(spool.read(0, 100)) == 20
        spool.advance("slow", stored[9].position).result()
        assert spool.read(0, 100) == stored[10:]
        assert spool.state().waiting == {"fast": 0, "slow": 10}
        spool.advance("slow", stored[-1].position).result()
        assert spool.read(0, 100) == []
    with spooling(tmp_path / "spool", "fast", "slow") as spool:
        (more,) = spool.append(numbered(1, 20)).result()
        assert more.position > stored[-1].position
        assert spool.cursor("slow") == stored[-1].position


def test_a_cursor_never_goes_back(tmp_path: Path) -> None:
    """A late word of a sink changes nothing."""
    with spooling(tmp_path / "spool") as spool:
        spool.append(numbered(3)).result()
        spool.advance("one", 3)
        spool.advance("one", 1).result()
        assert spool.cursor("one") == 3


def test_a_sink_that_has_not_everything_is_not_forgotten_by_mistake(tmp_path: Path) -> None:
    """A spool does not open without a sink that entries wait for; one that has all may go."""
    with spooling(tmp_path / "spool", "one", "two") as spool:
        spool.append(numbered(2)).result()
        spool.advance("two", 2).result()
    with pytest.raises(UsageError, match="2 entries wait for the sink one"):
        Spool(tmp_path / "spool", ["two", "three"])
    with spooling(tmp_path / "spool", "one", "three") as spool:
        assert spool.cursor("three") == 0  # a new sink gets what is there


def test_a_dead_letter_keeps_what_the_spool_gave_up(tmp_path: Path) -> None:
    """An entry that had to go while a sink still had it in hand becomes a dead letter with its frame all the same."""
    with spooling(tmp_path / "spool", bound=Bound(MEGABYTE, Full.DROP_OLDEST)) as spool:
        first = spool.append(made(1)).result()[0]
        for start in range(10, 3000, 100):
            spool.append(numbered(100, start)).result()
        assert spool.read(0, 1)[0].position > first.position
        spool.bury("one", first, "too big", 77).result()
    store = Store(tmp_path / "spool")
    (letter,) = store.dead("one")
    store.close()
    assert (letter.entry, letter.why, letter.died_us) == (first, "too big", 77)


def test_a_spool_is_of_one_process(tmp_path: Path) -> None:
    """Two gateways never share one, which would deliver everything twice; the lock goes with whoever has it."""
    with spooling(tmp_path / "spool") as spool:
        spool.append(made(1)).result()
        with pytest.raises(UsageError, match="another process uses"):
            Spool(tmp_path / "spool", ("one",))
        assert len(spool.append(made(2)).result()) == 2
    with spooling(tmp_path / "spool") as spool:
        assert len(spool.read(0, 9)) == 3


def test_dead_letters_keep_frame_and_reason(tmp_path: Path) -> None:
    """A buried entry outlives its removal, can be tried again, and is buried again or raised."""
    with spooling(tmp_path / "spool") as spool:
        stored = spool.append(made(3)).result()
        spool.bury("one", stored[1], "too big", 0)
        spool.advance("one", stored[-1].position).result()
        assert spool.read(0, 10) == []
        assert spool.state().dead == {"one": 1}
        assert spool.redriven("one", 10) == []
        store = Store(tmp_path / "spool", must_exist=True)  # as another process would
        (letter,) = store.dead()
        assert (letter.entry, letter.sink, letter.why, letter.again) == (stored[1], "one", "too big", False)
        assert store.redrive("one") == 1
        assert store.redrive("one") == 0
        assert spool.redriven("one", 10) == [stored[1]]
        spool.bury("one", stored[1], "still too big", 0).result()
        assert spool.redriven("one", 10) == []
        assert [each.why for each in store.dead("one")] == ["still too big"]
        assert store.redrive(None, stored[1].position) == 1
        spool.raise_dead("one", stored[1].position).result()
        assert list(store.dead()) == []
        store.close()


def test_full_refuses_by_default(tmp_path: Path) -> None:
    """At its bound a spool takes nothing, keeps what it has, has alarmed before, and goes on after room was made."""
    alarmed = []
    with spooling(tmp_path / "spool", bound=Bound(MEGABYTE)) as spool:
        first = 0
        while (refused := spool.append(numbered(50, first)).exception()) is None:
            first += 50
            alarmed.append(spool.state().alarm)
        assert isinstance(refused, SpoolError)
        assert refused.reason == "spool"
        assert alarmed == sorted(alarmed)  # first no alarm, then alarm
        assert set(alarmed) == {False, True}
        assert len(spool.read(0, 1 << 20)) == first
        assert spool.state().used <= MEGABYTE
        spool.advance("one", first // 2).result()
        assert len(spool.append(numbered(50, first)).result()) == 50


def test_full_may_drop_the_oldest_and_says_so(tmp_path: Path) -> None:
    """With that policy everything is taken, the oldest go, and each sink's loss is named exactly."""
    lost: list[Lost] = []
    with spooling(
        tmp_path / "spool", "ahead", "behind", bound=Bound(MEGABYTE, Full.DROP_OLDEST), on_lost=lost.append
    ) as spool:
        spool.append(numbered(100)).result()
        spool.advance("ahead", 90).result()
        for first in range(100, 3000, 100):
            spool.append(numbered(100, first)).result()
            spool.advance("ahead", first).result()
        left = spool.read(0, 1 << 20)
        assert spool.state().used <= MEGABYTE
    assert [entry.seq for entry in left] == list(range(left[0].seq, 3001))
    behind = [position for each in lost if each.sink == "behind" for position in range(each.first, each.last + 1)]
    assert behind == list(range(1, left[0].position))
    assert not [each for each in lost if each.sink == "ahead"]


def test_space_is_given_back(tmp_path: Path) -> None:
    """After a long outage the file shrinks again to about what is in it."""
    path = tmp_path / "spool"
    with spooling(path) as spool:
        for first in range(0, 10_000, 1000):
            spool.append(numbered(1000, first)).result()
        large = path.stat().st_size
        for position in range(1000, 10_001, 1000):
            spool.advance("one", position).result()
        spool.advance("one", 10_000).result()
    assert large > 7_000_000
    assert path.stat().st_size < large / 4


def test_many_may_ask_at_once(tmp_path: Path) -> None:
    """Appends of several threads share commits: each future holds its own entries, all are there."""
    got: list[Entry] = []

    def work(spool: Spool, first: int) -> None:
        for at in range(first, first + 200, 10):
            got.extend(spool.append(numbered(10, at)).result())

    with spooling(tmp_path / "spool") as spool:
        threads = [threading.Thread(target=work, args=(spool, first)) for first in range(0, 800, 200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got, key=lambda entry: entry.position) == spool.read(0, 1000)
        assert len(got) == 800


def test_a_closed_spool_takes_nothing(tmp_path: Path) -> None:
    """What was asked before closing is done; afterwards nothing can be."""
    with spooling(tmp_path / "spool") as spool:
        late = spool.append(numbered(5))
    assert len(late.result()) == 5
    with pytest.raises(SpoolError):
        spool.append(numbered(1, 5))
    spool.close()


# ---------------------------------------------------------------- what happens to disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 32 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_costs_nothing(small_disk: Path) -> None:
    """When the disk is full, be it by somebody else, nothing durable is lost, and all goes on once there is room."""
    with spooling(small_disk / "spool") as spool:
        stored = 0
        while (refused := spool.append(numbered(1000, stored)).exception()) is None:
            stored += 1000
        assert isinstance(refused, SpoolError)
        assert refused.reason == "disk"
        assert spool.state().alarm
        other = small_disk / "other"
        with contextlib.suppress(OSError), other.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        with pytest.raises(SpoolError):
            spool.append(numbered(100, stored)).result()
        assert [entry.seq for entry in spool.read(0, 1 << 20)] == list(range(1, stored + 1))
        other.unlink()
        while spool.state().entries:
            spool.advance("one", stored).result()
        assert len(spool.append(numbered(100, stored)).result()) == 100
    with spooling(small_disk / "spool") as spool:
        assert [entry.seq for entry in spool.read(0, 1 << 20)] == list(range(stored + 1, stored + 101))


def test_a_power_cut_takes_nothing_durable(tmp_path: Path, long: bool, results: Callable[..., None]) -> None:
    """Whatever unsynced sectors a cut leaves: all that futures called durable is there, once, in order."""
    powercut = pytest.importorskip("tests.gateway.powercut", reason="needs apsw")
    cuts = survived = 0
    for seed in range(40 if long else 2):
        chance = random.Random(seed)
        disk = powercut.Disk(f"cut{seed}")
        folder = tmp_path / str(seed)
        folder.mkdir()
        durable = done = 0
        with spooling(folder / "spool", opened=disk.opened) as spool:
            for turn in range(60):
                waiting = spool.append(numbered(chance.randrange(1, 40), durable))
                if chance.random() < 0.5:
                    done = chance.randrange(done, durable + 1)
                    spool.advance("one", done)
                time.sleep(chance.random() / 500)  # the commit is somewhere
                sure = durable + (len(waiting.result()) if waiting.done() else 0)
                left = folder / f"left{turn}"
                disk.cut(left, chance)
                durable += len(waiting.result())
                with spooling(left / "spool") as found:
                    numbers = [entry.seq for entry in found.read(0, 1 << 20)]
                    assert numbers == list(range(numbers[0], numbers[-1] + 1)) if numbers else sure <= done
                    assert not numbers or (numbers[-1] >= sure and numbers[0] <= done + 1)
                    assert len(found.append(numbered(1, 100_000)).result()) == 1
                shutil.rmtree(left)
                cuts += 1
                survived += len(numbers)
    results("spool, power cuts", cuts=cuts, entries=survived)


def test_the_disk_of_the_cuts_forgets(tmp_path: Path) -> None:
    """Without syncing, entries called durable are lost to a cut: the test before can see it."""
    powercut = pytest.importorskip("tests.gateway.powercut", reason="needs apsw")
    disk = powercut.Disk("careless")

    def careless(path: Path | str) -> sqlite3.Connection:
        return _Careless(disk.opened(path))  # type: ignore[return-value]

    with spooling(tmp_path / "spool", opened=careless) as spool:
        spool.append(numbered(200)).result()
        disk.cut(tmp_path / "left", random.Random(1))
    with contextlib.suppress(UsageError), spooling(tmp_path / "left" / "spool") as found:
        assert len(found.read(0, 1000)) < 200


class _Careless:
    """A connection that never syncs."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, query: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        return self._connection.execute(query.replace("synchronous = FULL", "synchronous = OFF"), values)

    def close(self) -> None:
        self._connection.close()


def test_authentic_entries_wait_for_their_seal(tmp_path: Path) -> None:
    """What only a MAC proves is kept over a restart and read by nobody until it is sealed; then it comes in order,
    before what was appended later; what is disproved never comes."""
    given = [replace(entry, trust=Trust.AUTHENTIC) for entry in numbered(5)]
    with spooling(tmp_path / "spool") as spool:
        assert spool.append(given[::-1]).result() == []
        assert spool.append(given).result() == []
        assert spool.read(0, 10) == []
        assert spool.state().unsealed == 5
    with spooling(tmp_path / "spool") as spool:
        spool.disprove(given[4].thumbprint, 5, given[4].digest[:16]).result()
        spool.disprove(given[3].thumbprint, 4, b"\1" * 16).result()
        assert spool.seal(bytes(32), 1, 5).result() == []
        sealed = spool.seal(given[0].thumbprint, 2, 9)
        (seal,) = numbered(1, 5)
        spool.append([seal]).result()
        assert [entry.seq for entry in sealed.result()] == [2, 3, 4]
        assert [(entry.seq, entry.trust) for entry in spool.read(0, 10)] == [
            (2, Trust.SEALED), (3, Trust.SEALED), (4, Trust.SEALED), (6, Trust.SIGNED)
        ]  # fmt: skip
        proven = replace(given[0], trust=Trust.SEALED)
        assert [entry.seq for entry in spool.append([proven]).result()] == [1]
        assert spool.state().unsealed == 0
