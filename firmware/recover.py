# What a journal finds in its flash at boot, however the last one ended. Writes nothing. Needed once: Journal.mount()
# loads it and lets go of it again.
from binascii import crc32
from struct import unpack_from

from records import RECORD_CHECKED, SECTOR_CHECKED, size_of
from wire import (
    ACK_BODY,
    ACK_BODY_SIZE,
    DROP_BODY,
    DROP_BODY_SIZE,
    JOURNAL_MAGIC,
    RECORD_ACK,
    RECORD_COPY,
    RECORD_DESCRIPTOR,
    RECORD_DROP,
    RECORD_FRAME,
    RECORD_HEADER,
    RECORD_HEADER_SIZE,
    RECORD_STATE,
    RECORDFLAG_DECLARES,
    SECTOR_HEADER,
    SECTOR_HEADER_SIZE,
    SECTOR_SIZE,
    STATE_BODY,
    STATE_BODY_SIZE,
)

_BODIES = {RECORD_STATE: STATE_BODY_SIZE, RECORD_DROP: DROP_BODY_SIZE}


def parse_sector(buf):
    # (number, boot, acked)
    if len(buf) < SECTOR_HEADER_SIZE:
        raise ValueError("truncated")
    magic, number, boot, acked, crc = unpack_from(SECTOR_HEADER, buf, 0)
    if magic != JOURNAL_MAGIC:
        raise ValueError("magic")
    if crc != crc32(memoryview(buf)[:SECTOR_CHECKED]):
        raise ValueError("crc")
    return number, boot, acked


def parse_record(buf):
    # (type, flags, seq, body)
    if len(buf) < RECORD_HEADER_SIZE:
        raise ValueError("truncated")
    type, flags, length, seq, crc = unpack_from(RECORD_HEADER, buf, 0)
    buf = memoryview(buf)
    body = buf[RECORD_HEADER_SIZE : RECORD_HEADER_SIZE + length]
    if len(body) != length:
        raise ValueError("truncated")
    if crc != crc32(body, crc32(buf[:RECORD_CHECKED])):
        raise ValueError("crc")
    return type, flags, seq, body


def _sector(journal, slot):
    # (number, boot, acked) of the sector there, number -1 if there is none
    try:
        sector = parse_sector(journal.part(slot, 0, SECTOR_HEADER_SIZE))
        if sector[0] % journal.sectors == slot:
            return sector
    except ValueError:
        pass
    return (-1, 0, 0)


def _counts(journal, number):
    # whether opening this sector came to its end
    journal.end[number % journal.sectors] = SECTOR_SIZE
    pos = SECTOR_HEADER_SIZE
    while True:
        header = journal.header(number, pos)
        if header is None:
            return False
        if header[0] in (RECORD_STATE, RECORD_FRAME, RECORD_DESCRIPTOR) and journal.intact(number, pos, header):
            return True
        pos += size_of(header[2])


def _learn(journal, number, pos, header):
    type, flags, length, seq, _ = header
    if type == RECORD_FRAME or type == RECORD_DESCRIPTOR:
        journal.newest = seq
        journal.place = (number, pos)
        if flags & RECORDFLAG_DECLARES and journal.dropped:
            journal.told = (seq, journal.dropped)
            journal.dropped = None
    if type == RECORD_DESCRIPTOR or type == RECORD_COPY:
        pin = (seq, number, pos)
        if not journal.current or seq >= journal.current[0]:
            journal.current = pin
        if type == RECORD_COPY and (not journal.oldest or seq >= journal.oldest[0]):
            journal.oldest = pin
    elif type != RECORD_FRAME:
        body = journal.body(number, pos, length)
        if length < _BODIES.get(type, 0):
            return
        if type == RECORD_STATE:
            journal.boot, journal.prev = unpack_from(STATE_BODY, body, 0)
            journal.next = seq
            journal.place = None
        elif type == RECORD_DROP:
            journal.dropped = unpack_from(DROP_BODY, body, 0)
            journal.drop_in = number
        elif type == RECORD_ACK:
            for i in range(0, len(body) - ACK_BODY_SIZE + 1, ACK_BODY_SIZE):
                first, last = unpack_from(ACK_BODY, body, i)
                if first <= last:
                    journal.cover(first, last)


def _scan(journal, number):
    # Only the last record of a sector can be torn. One that must not be wrong is checked wherever it stands, and so is
    # a frame whose number is not the next: one flipped bit of it would acknowledge all frames up to that number.
    slot = number % journal.sectors
    journal.end[slot] = SECTOR_SIZE
    pos = SECTOR_HEADER_SIZE
    header = journal.header(number, pos)
    while header:
        after = pos + size_of(header[2])
        following = journal.header(number, after)
        if following and header[0] == RECORD_FRAME and not header[1] and header[3] == journal.newest + 1:
            journal.newest = header[3]
            journal.place = (number, pos)
        elif journal.intact(number, pos, header):
            _learn(journal, number, pos, header)
        elif following is None:
            break
        pos = after
        header = following
    journal.end[slot] = pos


def _clean(journal, number, pos):
    while pos < SECTOR_SIZE:
        part = journal.part(number, pos, SECTOR_SIZE - pos)
        if min(part) != 0xFF:
            return False
        pos += len(part)
    return True


def mount(journal):
    n = journal.sectors
    head = -1
    for slot in range(n):
        number = _sector(journal, slot)[0]
        journal.first[slot] = number + 1
        head = max(head, number)
    if head >= 0 and not _counts(journal, head):
        head -= 1
    if head < 0:
        return False
    number, boot, acked = _sector(journal, head % n)
    if number != head:
        return False
    journal.head = head
    journal.tail = max(0, head + 2 - n)
    for number in range(journal.tail, head + 1):
        slot = number % n
        there = journal.first[slot] == number + 1
        journal.first[slot] = journal.newest + 1
        journal.end[slot] = 0
        if there:
            _scan(journal, number)
    if journal.place:
        journal.prev = journal.digest(*journal.place)
    journal.boot = max(journal.boot, boot)
    journal.acked = acked
    journal.newest = max(journal.newest, acked)
    journal.next = max(journal.next, journal.newest + 1)
    pos = journal.end[head % n]
    journal.pos = pos if _clean(journal, head, pos) else SECTOR_SIZE
    journal.settle()
    journal.due = bool(journal.oldest and journal.oldest[0] != journal.current[0])
    return True
