"""Damaged flash costs what was there and no more, whatever numbers and acknowledgements come."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from tests.firmware.journal.device import Device


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
