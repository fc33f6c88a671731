"""What a full journal gives up or refuses, and that it says so."""

from __future__ import annotations

from tests.firmware.journal.device import Device


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
