"""The journal under the real MicroPython, on flash that only clears bits and loses power in the middle of things."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).resolve().parent
FIRMWARE = HERE.parents[1] / "firmware"
SECTORS = 8
PROFILES = ("mixed", "nobody listens", "largest", "smallest")  # as in journal_mp
SERIES = {"every": "a cut at every operation: ", "often": "lives cut short", "stop": "lives cut short, stop when full"}

Device = Callable[..., str]


class Seen(NamedTuple):
    """What a series met with."""

    cuts: int
    frames: int
    dropped: int
    torn: int
    refused: int


@pytest.fixture
def device(micropython: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> Device:
    """Run statements on the device beside `journal_mp`; `path` is a blank chip of 8 sectors, `put` prints a line."""
    prelude = "import sys\nfrom journal_mp import *\npath = sys.argv[1]\nput = print\nblank(path, 8)\n"
    modules = Path(f"{FIRMWARE}:{HERE}")

    def run(body: str, *arguments: object) -> str:
        return micropython(
            prelude + body, str(tmp_path / "flash"), *map(str, arguments), heap="32m", path=modules
        ).stdout

    return run


@pytest.fixture
def series(device: Device, results: Callable[..., None]) -> Callable[..., Seen]:
    """Run a series of lives (`journal_mp.main`), note and return what it met with."""

    def run(mode: str, seed: int, steps: int, first: int, last: int, stride: int = 1) -> Seen:
        out = device(
            "main(path, sys.argv[2], *map(int, sys.argv[3:]))", mode, SECTORS, seed, steps, first, last, stride
        )
        seen = Seen(*map(int, out.split()))
        results(f"journal, {SERIES[mode]}{PROFILES[seed] if mode == 'every' else ''}", **seen._asdict())
        return seen

    return run


@pytest.mark.parametrize("profile", range(4), ids=PROFILES)
def test_a_cut_at_every_operation(series: Callable[..., Seen], profile: int, long: bool) -> None:
    """Whichever program or erase the power fails in: no frame, counter, descriptor or drop is lost or used twice."""
    seen = series("every", profile, 150, 1, 100_000, 1 if long else 7)
    assert seen.cuts > 20
    assert seen.torn > 20
    assert seen.dropped > 0 or profile in (0, 3)


def test_many_lives_cut_short(series: Callable[..., Seen], long: bool) -> None:
    """The same over lives of random length one after another, recovery itself cut short included."""
    seen = series("often", 0, 300, 0, 1000 if long else 16)
    assert min(seen.cuts, seen.dropped, seen.torn) > 100


def test_many_lives_of_a_device_that_stops_when_full(series: Callable[..., Seen], long: bool) -> None:
    """Under the policy `stop` nothing is ever given up, however the lives end, and acknowledgements open it again."""
    seen = series("stop", 0, 300, 0, 200 if long else 12)
    assert seen.dropped == 0
    assert min(seen.cuts, seen.torn, seen.refused) > 50


def test_a_full_journal_gives_up_the_oldest_sector_and_says_so_until_it_is_declared(device: Device) -> None:
    """The drop's range, PREV and DIGEST are exact; it is pending, over reboots too, until a frame declares it."""
    body = """
model = Model(0); random = Random(1)
journal = boot(path, 8, model, None, False)
while not journal.dropped:
    append(journal, model, random, 500)
first, last, prev, digest = journal.dropped
put(first, last, prev == bytes(16), digest == model.digest(last), journal.next_unacked(0), journal.lost)
put(journal.used() >= 6, journal.unacked() == journal.newest - last)
journal = boot(path, 8, model, None, False)
put(journal.dropped == (first, last, prev, digest))
def add(declares):
    data = frame(random, journal, 100)
    model.making = (journal.next, bytes(data), 1, (first, last) if declares else None)
    for _ in journal.append(data, 1, declares): pass
    model.settle()
add(last - 1)
put(bool(journal.dropped))
add(last)
put(bool(journal.dropped))
put(bool(boot(path, 8, model, None, False).dropped))
"""
    assert device(body) == "1 6 True True 7 6\nTrue True\nTrue\nTrue\nFalse\nFalse\n"


def test_an_acknowledgement_in_the_middle_of_a_drop_holds(device: Device) -> None:
    """While a full journal gives a sector up, slice by slice, an acknowledgement of everything is not undone."""
    body = """
for after in range(8):
    blank(path, 8)
    model = Model(0); random = Random(1)
    journal = boot(path, 8, model, None, False)
    while not journal.lost:
        newest = journal.newest
        slices = 0
        for _ in journal.append(frame(random, journal, 500), 1):
            slices += journal.lost > 0
            if slices == after + 1:
                journal.acknowledge(1, newest)
    put(newest, journal.acked, journal.next_unacked(0) == journal.newest == newest + 1)
"""
    lines = device(body).splitlines()
    assert len(set(lines)) == 1
    newest, acked, rest = lines[0].split()
    assert (newest, rest) == (acked, "True")


def test_an_undeclared_drop_outlives_its_sector(device: Device) -> None:
    """While nobody declares it, a drop is carried along as the ring turns."""
    body = """
model = Model(0); random = Random(1)
journal = boot(path, 8, model, None, False)
def add():
    data = frame(random, journal, 500)
    model.making = (journal.next, bytes(data), 1, None)
    for _ in journal.append(data, 1): pass
    model.settle()
while not journal.dropped:
    add()
before = journal.dropped
for _ in range(150):
    add()
    journal.acknowledge(1, journal.newest)
model.acked.update(model.frames)
put(journal.dropped == before, boot(path, 8, model, None, False).dropped == before)
"""
    assert device(body) == "True True\n"


def test_a_drop_whose_declaration_is_damaged_is_declared_again(device: Device) -> None:
    """Where nothing can be read of the sector with the frame that declares a drop, that counts as not declared."""
    body = """
model = Model(0); random = Random(1)
journal = boot(path, 8, model, None, False)
def add(size):
    data = frame(random, journal, size)
    for _ in journal.append(data, 1, journal.dropped[1] if journal.dropped and size < 200 else 0): pass
while not journal.dropped:
    add(2500)
drop = journal.dropped
add(100)
number = journal.head
journal.acknowledge(drop[1] + 1, journal.newest - 2)
put(journal.dropped)
with open(path, "r+b") as file:
    for pos in 1000, journal.pos - 20:
        file.seek(4096 * (number % 8) + pos)
        file.write(bytes(4))
while journal.tail < number:
    add(2500)
    journal.acknowledge(journal.newest, journal.newest)
put(journal.dropped)
while journal.tail <= number:
    add(2500)
put(journal.dropped == drop)
journal = Journal(Chip(path, 8))
put(journal.mount(), journal.dropped == drop)
"""
    assert device(body) == "None\nNone\nTrue\nTrue True\n"


def test_stop_leaves_room_for_hundreds_of_boots_and_waits_after_them(device: Device) -> None:
    """A full journal that stops takes boots without frames; then one waits, harmlessly, for an acknowledgement."""
    body = """
model = Model(0); random = Random(1)
journal = boot(path, 8, model, None, True)
while journal.fits(700, 3):
    append(journal, model, random, 500)
boots = 0
while True:
    journal = Journal(Chip(path, 8), True)
    assert journal.mount()
    if not journal.begin():
        break
    boots += 1
    model.begun(journal)
    model.verify(journal)
put(200 < boots < 300, journal.begin(), journal.boot == boots + 1, journal.device.operations)
model.verify(journal)
try:
    append(journal, model, random, 100)
except RuntimeError:
    put("refused")
model.making = None
first = journal.next_unacked(0)
while not journal.begin():
    seq = journal.next_unacked(0)
    put(journal.acknowledge(seq, seq), journal.newest - seq > 20)
    model.acked.add(seq)
model.begun(journal)
append(journal, model, random, 100)
model.verify(journal)
"""
    first, refused, *acknowledged = device(body).splitlines()
    assert (first, refused) == ("True 0 True 0", "refused")
    assert 0 < len(acknowledged) < 10
    assert set(acknowledged) == {"True True"}


def test_stop_leaves_room_for_events_and_opens_again(device: Device) -> None:
    """A full journal that stops refuses data first, then everything, and takes frames again once some are durable."""
    body = """
model = Model(0); random = Random(1)
journal = boot(path, 8, model, None, True)
counts = []
for spare in 4, 3:
    while journal.fits(700, spare):
        append(journal, model, random, 500)
    counts.append(len(model.frames))
model.verify(journal)
put(counts[0] > 12, counts[1] > counts[0] + 4, journal.lost)
journal.acknowledge(1, counts[0]); model.acked.update(range(1, counts[0] + 1))
put(journal.fits(700, 4))
append(journal, model, random, 500)
model.verify(journal)
"""
    assert device(body) == "True True 0\nTrue\n"


def test_the_ring_turns_and_wears_evenly(device: Device, long: bool) -> None:
    """Over many turns each sector is erased as often as any other, but for one erase a boot."""
    body = """
model = Model(30); random = Random(1)
journal = boot(path, 8, model, None, False)
for turn in range(int(sys.argv[2])):
    for _ in range(100):
        append(journal, model, random, 600)
        journal.acknowledge(1, journal.newest)
    model.acked.update(model.frames)
    model.verify(journal)
    for seq in range(1, journal.newest - 50):
        model.frames.pop(seq, None)
erases = journal.device.erases
put(min(erases) > 2 * int(sys.argv[2]), max(erases) - min(erases))
"""
    flat, spread = device(body, 300 if long else 30).split()
    assert flat == "True"
    assert int(spread) <= 1


def test_a_descriptor_is_carried_along_for_the_frames_that_need_it(device: Device) -> None:
    """The newest descriptor and that of the oldest kept frames stay readable for turns of the ring and over boots."""
    body = """
model = Model(0); random = Random(1)
journal = boot(path, 8, model, None, False)
append(journal, model, random, 700, RECORD_DESCRIPTOR)
for turn in range(40):
    append(journal, model, random, 900)
append(journal, model, random, 800, RECORD_DESCRIPTOR)
append(journal, model, random, 900)
put(journal.lost > 1, journal.next_unacked(0))  # the first descriptor was given up, so it is sent again
model.verify(journal)
journal = boot(path, 8, model, None, False)
put(journal.next_unacked(0), journal.acknowledge(1, 1), journal.next_unacked(0) > 1)
for turn in range(100):
    append(journal, model, random, 900)
model.verify(journal)
journal = boot(path, 8, model, None, False)
n = journal.read_descriptor(back)
put(bytes(back[:n]) == model.frames[42])
"""
    assert device(body) == "True 1\n1 True True\nTrue\n"


@pytest.mark.parametrize("damage", ["cut", "body", "length", "type"])
def test_a_torn_record_costs_itself_alone(device: Device, damage: str) -> None:
    """A last record that is cut off or has a wrong bit is ignored, its number burned, nothing written behind it."""
    body = """
model = Model(0); random = Random(1)
journal = boot(path, 8, model, None, False)
for _ in range(3):
    append(journal, model, random, 300)
end = journal.pos
pos = end - ((12 + len(model.frames[3]) + 3) & -4)
with open(path, "r+b") as file:
    file.seek(pos)
    record = bytearray(file.read(end - pos))
    damage = sys.argv[2]
    if damage == "cut":
        record[40:] = b"\\xff" * (len(record) - 40)
    elif damage == "body":
        record[100] ^= 1
    elif damage == "length":
        record[2] ^= 0x80
    else:
        record[0] = 0x80
    file.seek(pos)
    file.write(record)
journal = Journal(Chip(path, 8))
put(journal.mount(), journal.newest, journal.begin(), journal.burned[:2], journal.next, journal.head)
put(journal.read(3, back), bytes(back[:journal.read(2, back)]) == model.frames[2], journal.prev == model.digest(2))
"""
    assert device(body, damage) == "True 2 2 (3, 3) 4 1\n0 True True\n"


def test_lost_counters_are_noticed(device: Device) -> None:
    """A blank, foreign or resized journal is none: whoever holds a key that has signed must not go on with it."""
    body = """
model = Model(0); random = Random(1)
put(Journal(Chip(path, 8)).mount())
journal = boot(path, 8, model, None, False)
append(journal, model, random, 300)
put(Journal(Chip(path, 8)).mount())
with open(path, "r+b") as file:
    for sector in range(8):
        file.seek(4096 * sector)
        file.write(bytes(range(256)) * 16)
put(Journal(Chip(path, 8)).mount())
for device in Chip(path, 7), type("Small", (), {"ioctl": lambda self, op, arg: 512})():
    try:
        Journal(device)
    except ValueError as e:
        put(e)
"""
    assert device(body) == "False\nTrue\nFalse\npartition\npartition\n"


def test_acknowledgements_are_bounded_and_only_of_what_exists(device: Device) -> None:
    """Ranges beyond the newest frame, empty or backwards change nothing; out of order ones are kept up to a bound."""
    body = """
model = Model(0); random = Random(1)
journal = boot(path, 8, model, None, False)
for _ in range(100):
    append(journal, model, random, 30)
put([journal.acknowledge(*r) for r in ((0, 1), (1, 101), (5, 4), (-1, 1), (101, 101))], journal.unacked())
for seq in range(99, 1, -2):
    put(journal.acknowledge(seq, seq)) if seq > 95 else journal.acknowledge(seq, seq)
put(journal.unacked(), len(journal._ranges) // 2)
left = []
seq = 0
while True:
    seq = journal.next_unacked(seq)
    if not seq:
        break
    left.append(seq)
put(len(left), left[:3], left[-1])
journal.flush()
journal = Journal(Chip(path, 8))
put(journal.mount(), journal.unacked(), journal.next_unacked(34), journal.next_unacked(2))
put(journal.acknowledge(1, 100), journal.acknowledge(1, 100), journal.unacked(), journal.acked, journal.next_unacked(0))
"""
    assert device(body).splitlines() == [
        "[False, False, False, False, False] 100",
        "True",
        "True",
        "84 16",
        "84 [1, 2, 4] 100",
        "True 84 35 4",
        "True True 0 100 0",
    ]


def test_an_acknowledgement_passes_burned_numbers(device: Device) -> None:
    """Numbers a boot has burned do not hold back the rest: acknowledging around them leaves nothing to send."""
    body = """
model = Model(0); random = Random(1)
for _ in range(5):
    journal = boot(path, 8, model, None, False)
    append(journal, model, random, 30)
put(sorted(model.frames))
for seq in sorted(model.frames):
    journal.acknowledge(seq, seq)
put(journal.acked, journal._ranges, journal.unacked())
"""
    assert device(body) == "[1, 3, 5, 7, 9]\n9 [] 0\n"


def test_slices_are_short(device: Device) -> None:
    """Between two yields of an append stands one erase and nothing else programmed, or at most two small programs."""
    body = """
model = Model(0); random = Random(1)
journal = boot(path, 8, model, None, False)
work = {}
def charge(kind, n):
    work.setdefault(kind, []).append(n)
journal.device.charge = charge
append(journal, model, random, 900, RECORD_DESCRIPTOR)
worst = {}
for i in range(60):
    data = frame(random, journal, 3000 if i % 3 else 100)
    for kind, n in journal.append(data, RECORD_FRAME):
        erases = len(work.get("flash_erase", ()))
        if erases:
            assert erases == 1 and "flash_program" not in work, work
        for name in work:
            worst[name] = max(worst.get(name, 0), sum(work[name]))
        work.clear()
put(worst["flash_erase"], worst["flash_program"] <= 1100, worst["flash_read"] < 10000)
"""
    assert device(body) == "1 True True\n"


def test_a_failed_write_ends_the_journal_until_the_next_mount(device: Device) -> None:
    """After an exception nothing is appended any more, so no number is used twice; a new mount finds all in order."""
    body = """
model = Model(0); random = Random(1)
journal = boot(path, 8, model, None, False)
append(journal, model, random, 300)
data = frame(random, journal, 300)
model.making = (journal.next, bytes(data), 1, None)
model.tried = journal.next
def broken(block, buf, offset):
    raise OSError(5)
steps = journal.append(data, 1)
next(steps)
journal.device.writeblocks = broken
for attempt in steps, journal.append(data, 1):
    try:
        next(attempt)
    except (OSError, RuntimeError) as e:
        put(repr(e).split("(")[0])
boot(path, 8, model, None, False)
"""
    assert device(body) == "OSError\nRuntimeError\n"


def test_the_states_of_a_power_cut_are_met(device: Device) -> None:
    """The flash model cuts programs to a prefix with a partial byte and leaves half-erased sectors, as NOR does."""
    body = r"""
import os
seen = []
for seed in range(40):
    blank(path, 8)
    with open(path, "r+b") as file:
        file.write(bytes(4096))
    for what in "program", "erase":
        chip = Chip(path, 8, Cut(1, seed, fail_power))
        try:
            chip.writeblocks(1, b"\x5a" * 64, 8) if what == "program" else chip.ioctl(6, 0)
        except PowerCut:
            pass
    with open(path, "rb") as file:
        erased = file.read(4096)
        programmed = file.read(4096)[8:72]
    whole = 0
    while whole < 64 and programmed[whole] == 0x5A:
        whole += 1
    rest = programmed[whole:]
    check(not rest or rest[0] & 0x5A == 0x5A and set(rest[1:]) <= {0xFF}, rest)
    seen.append((whole, bool(rest) and rest[0] != 0xFF, min(erased), max(erased)))
put(len(set([s[0] for s in seen])) > 15, any([s[1] for s in seen]))
put(any([s[2] == 0 for s in seen]), any([s[3] == 255 for s in seen]), any([s[3] == 0 for s in seen]))
"""
    assert device(body) == "True True\nTrue True True\n"


def test_the_series_names_its_failure(device: Device) -> None:
    """A journal that forgets a frame fails the series, with the seed to repeat it."""
    body = """
def forget(self):
    self._ranges.clear()
    self.acked = self.newest
Journal.settle = forget
main(path, "often", 8, 0, 100, 0, 4, 1)
"""
    with pytest.raises(AssertionError, match=re.compile(r"failed often seed \d+ at \d+.*lost", re.DOTALL)):
        device(body)


RAM = """
from journal import Journal
from records import MAX_KEPT
from cose import PAYLOAD, sign1_end, sign1_start
from cbor import put_bytes, put_head, put_int
from wire import MAX_SEQ
class Ram:
    # NOR flash without a file system and without viper, which this build lacks
    def __init__(self, sectors):
        self.data = memoryview(bytearray(4096 * sectors))
        self.sectors = sectors
        for i in range(sectors):
            self.ioctl(6, i)
    def ioctl(self, op, arg):
        if op == 6:
            self.data[4096 * arg : 4096 * arg + 4096] = b"\\xff" * 4096
        return self.sectors if op == 4 else 4096
    def readblocks(self, block, buf, offset):
        buf[:] = self.data[4096 * block + offset : 4096 * block + offset + len(buf)]
    def writeblocks(self, block, buf, offset):
        at = 4096 * block + offset
        for i in range(len(buf)):
            if buf[i] & ~self.data[at + i]:
                raise ValueError("programming would set a bit")
            self.data[at + i] = buf[i]
work = memoryview(bytearray(1024))
back = bytearray(1024)
def add(journal):
    pos = put_head(work, PAYLOAD, 5, 5)
    for key, value in ((1, 2), (2, journal.boot), (3, journal.next)):
        pos = put_int(work, put_int(work, pos, key), value)
    pos = put_bytes(work, put_int(work, pos, 4), journal.prev)
    pos = put_bytes(work, put_int(work, pos, 9), bytes(400 + journal.next % 100))
    end = sign1_end(work, sign1_start(work, pos), bytes([journal.next % 251]) * 64)
    for _ in journal.append(work[:end], 1, journal.dropped[1] if journal.dropped else 0):
        pass
    return bytes(work[:end])
device = Ram(8)
"""


@pytest.mark.parametrize("width", ["64 bit", "32 bit"])
@pytest.mark.parametrize("start", [2**30 - 30, 2**31 - 30])
def test_numbers_beyond_small_integers(request: pytest.FixtureRequest, width: str, start: int) -> None:
    """Over 2^30 and 2^31, on both widths of MicroPython, numbers rise, ranges and drops hold, and a mount agrees."""
    run = request.getfixturevalue("micropython" if width == "64 bit" else "micropython32")
    body = f"""
journal = Journal(device)
journal.newest = {start} - 1
journal.next = {start}
journal.begin()
frames = {{}}
for i in range(120):
    seq = journal.next
    frames[seq] = add(journal)
    if i % 5 == 0 and i < 60:
        journal.acknowledge(journal.newest, journal.newest)
for again in range(2):
    seq = journal.acked
    kept = 0
    while True:
        seq = journal.next_unacked(seq)
        if not seq:
            break
        kept += 1
        assert bytes(back[:journal.read(seq, back)]) == frames[seq], seq
    print(kept > 20, journal.newest == max(frames), journal.lost > 60 or again)
    journal = Journal(device)
    assert journal.mount()
journal.begin()
print(journal.boot, journal.next - max(frames), journal.burned[1] - max(frames))
"""
    assert run(RAM + body).stdout == "True True True\nTrue True 1\n2 2 1\n"


def test_the_numbers_end_without_wrapping(micropython: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The last number there is is used, and after it nothing fits any more."""
    body = """
journal = Journal(device)
journal.newest = MAX_SEQ - 3
journal.next = MAX_SEQ - 2
journal.begin()
while journal.fits(600, 4):
    add(journal)
print(journal.newest == MAX_SEQ)
journal = Journal(device)
print(journal.mount(), journal.fits(600, 4))
"""
    assert micropython(RAM + body).stdout == "True\nTrue False\n"
