# Journal: a ring of flash sectors that keeps every frame until it is acknowledged, and with them the device's counters:
# boot, next, newest and prev are counted here and nowhere else. Knows frames only as bytes.
#
# Sectors tail..head hold records; the one after head is kept erased. Opening it reclaims the one after: what that still
# holds is first declared (DROP) or carried over (COPY), then STATE makes the new sector count, then the old one is
# erased. So a power cut finds either the old state or the new one. Slices are yielded as frame.py says; the flash
# charges for itself.
# mount() returns whether there is a journal: False beside an existing key means that counters were lost, and nothing
# may be signed with that key again. begin() makes the new boot durable. An exception out of append() or begin() leaves
# the object unusable until the next mount.
import sys
from array import array
from hashlib import sha256

from frame import prev_of
from micropython import const
from records import MAX_KEPT, Records, size_of
from wire import (
    ACK_BODY,
    ACK_BODY_SIZE,
    DROP_BODY,
    DROP_BODY_SIZE,
    MAX_RANGES,
    MAX_SEQ,
    PREV_SIZE,
    RECORD_ACK,
    RECORD_COPY,
    RECORD_DESCRIPTOR,
    RECORD_DROP,
    RECORD_FRAME,
    RECORD_HEADER_SIZE,
    RECORD_STATE,
    RECORDFLAG_DECLARES,
    SECTOR_HEADER_SIZE,
    SECTOR_SIZE,
    STATE_BODY,
    STATE_BODY_SIZE,
    TAG_SIGN1,
    pack,
)

_BATCH = const(32)  # newly acknowledged frames worth a record
_BEGIN = const(64)  # bytes of a frame in which its prev stands
_ENOSPC = const(28)
_STATE = const(1)  # sectors a boot may take; what frames leave besides (see frame.py) is enough for some 250 boots


class Journal(Records):
    # stop: when full, refuse (see fits) instead of giving up the oldest sector. append() is a generator of slices.
    def __init__(self, device, stop=False):
        super().__init__(device)
        self.stop = stop
        self.groups = False  # give up whole groups only: up to a frame that is signed
        self.boot = 0
        self.next = 1  # seq of the next frame
        self.newest = 0  # seq of the last durable frame
        self.prev = bytes(PREV_SIZE)  # of its digest
        self.burned = None  # (first, last, digest of the last durable frame), for this boot's event
        self.acked = 0  # nobody waits for a frame up to this one
        self.dropped = None  # (first, last, prev, digest): given up, not declared yet
        self.told = None  # (seq, the same): declared by this frame
        self.lost = 0  # frames given up since boot
        self.tail = 0
        self.first = array("I", bytes(4 * self.sectors))  # of each slot: no frame in it is older
        self.current = None  # (seq, number, pos) of the newest descriptor
        self.oldest = None  # of the one the oldest frames need, if all that is left of it is a copy
        self.due = False  # that one was given up unacknowledged, so it must be sent again
        self.drop_in = -1  # the sector with the DROP record
        self.place = None  # where find() found it: (number, pos)
        self._ranges = []  # acknowledged out of order: first, last, first, last, ...
        self._fresh = 0  # acknowledged since the last ACK record
        self._erased = False  # whether the sector after head surely is
        self._busy = True

    def mount(self):
        import recover

        found = recover.mount(self)
        sys.modules["recover"] = recover = None  # a deleted entry would still hold it
        del sys.modules["recover"]
        return found

    def starts(self):
        # whether there is room to begin a boot
        return self.fits(STATE_BODY_SIZE, _STATE)

    def begin(self):
        # Make this boot durable and return its number. 0: full under "stop", nothing was done; acknowledgements help.
        if not self.starts():
            return 0
        if self.head >= 0:
            last = max(self.newest + 1, self.next)
            self.burned = (self.newest + 1, last, self.prev)
            self.next = last + 1
        self.boot += 1
        if self.pos + size_of(STATE_BODY_SIZE) <= SECTOR_SIZE:
            self._state()
        else:
            for _ in self._open():
                pass
        self._busy = False
        return self.boot

    # ------------------------------------------------------------ reading

    def find(self, seq):
        # the first frame from seq on, 0 if there is none
        low = self.tail
        high = self.head
        while low < high:
            middle = (low + high + 1) >> 1
            if self.first[middle % self.sectors] <= seq:
                low = middle
            else:
                high = middle - 1
        while low <= self.head:
            last = self._last(low)
            pos = SECTOR_HEADER_SIZE
            while True:
                header = self.header(low, pos)
                if header is None:
                    break
                # a number that cannot stand here is a damaged one
                if seq <= header[3] <= last and (header[0] == RECORD_FRAME or header[0] == RECORD_DESCRIPTOR):
                    self.place = (low, pos)
                    return header[3]
                pos += size_of(header[2])
            low += 1
        return 0

    def _last(self, number):
        # no frame in this sector is newer
        return self.newest if number == self.head else self.first[(number + 1) % self.sectors] - 1

    def _unacked(self, after):
        seq = max(after, self.acked) + 1
        ranges = self._ranges
        while seq <= self.newest:
            seq = self.find(seq)
            if not seq:
                break
            for i in range(0, len(ranges), 2):
                if ranges[i] <= seq <= ranges[i + 1]:
                    seq = ranges[i + 1] + 1
                    break
            else:
                return seq
        return 0

    def next_unacked(self, after):
        # seq of the first frame after this one that nobody acknowledged; 0: none
        if self.due and after < self.oldest[0]:
            return self.oldest[0]
        return self._unacked(after)

    def read(self, seq, buf):
        # the frame into buf; returns its length, 0 if it is gone
        for pin in (self.current, self.oldest):
            if pin and pin[0] == seq:
                return self.load(pin[1], pin[2], buf)
        return self.load(*self.place, buf) if seq and self.find(seq) == seq else 0

    def read_descriptor(self, buf):
        # the newest descriptor; 0 if none was ever made
        return self.read(self.current[0], buf) if self.current else 0

    # ------------------------------------------------------------ how full it is

    def unacked(self):
        # frames nobody acknowledged, burned numbers among them included
        ranges = self._ranges
        n = self.newest - self.acked
        for i in range(0, len(ranges), 2):
            n -= ranges[i + 1] + 1 - ranges[i]
        return n

    def used(self):
        # how many of `sectors` hold frames that nobody acknowledged
        return self.head + 1 - self.place[0] if self._unacked(0) else 0

    def fits(self, n, spare):
        # Whether a frame of n bytes may be made now. Under "stop": leaving `spare` sectors for more important ones.
        if self.next > MAX_SEQ:
            return False
        if not self.stop or self.pos + size_of(n) <= SECTOR_SIZE:
            return True
        reclaimed = self.head + 1 + spare - self.sectors
        if reclaimed < self.tail:
            return True
        oldest = self._unacked(0)
        return not oldest or oldest >= self.first[(reclaimed + 1) % self.sectors]

    # ------------------------------------------------------------ acknowledging

    def acknowledge(self, first, last):
        # These frames are durable elsewhere. Returns False, and does nothing, if they were never made.
        if not 0 < first <= last <= self.newest:
            return False
        if self.due and first <= self.oldest[0] <= last:
            self.due = False
        before = self.unacked()
        self.cover(first, last)
        self.settle()
        self._fresh += before - self.unacked()
        return True

    def cover(self, first, last):
        ranges = self._ranges
        i = 0
        while i < len(ranges) and ranges[i + 1] + 1 < first:
            i += 2
        while i < len(ranges) and ranges[i] <= last + 1:
            first = min(first, ranges.pop(i))
            last = max(last, ranges.pop(i))
        ranges.insert(i, last)
        ranges.insert(i, first)
        if len(ranges) > 2 * MAX_RANGES:
            # forgotten, so these will be sent again
            ranges.pop()
            ranges.pop()

    def settle(self):
        # move acked up over what is acknowledged or was burned
        ranges = self._ranges
        oldest = self._unacked(0)
        self.acked = max(self.acked, oldest - 1 if oldest else self.newest)
        while ranges and ranges[1] <= self.acked:
            ranges.pop(0)
            ranges.pop(0)

    def flush(self):
        # Write down what was acknowledged; losing it costs nothing but frames sent twice.
        if self._fresh and not self._busy:
            self._acks()

    def _acks(self):
        ranges = self._ranges
        n = ACK_BODY_SIZE * (1 + len(ranges) // 2)
        if self.pos + size_of(n) > SECTOR_SIZE:
            return
        pos = RECORD_HEADER_SIZE
        pack(ACK_BODY, self.tmp, pos, 1, self.acked)
        for i in range(0, len(ranges), 2):
            pos += ACK_BODY_SIZE
            pack(ACK_BODY, self.tmp, pos, ranges[i], ranges[i + 1])
        self.small(RECORD_ACK, 0, n)
        self._fresh = 0

    # ------------------------------------------------------------ writing

    def append(self, frame, type, declares=0):
        # Make a frame (a memoryview) durable under seq `next`. `declares`: the last number its DROPPED event names.
        if self._busy:
            raise RuntimeError("journal")
        if len(frame) > MAX_KEPT:
            raise ValueError("frame")
        self._busy = True
        while self.pos + size_of(len(frame)) > SECTOR_SIZE:
            yield from self._open()
        flags = RECORDFLAG_DECLARES if self.dropped and self.dropped[1] == declares else 0
        seq = self.next
        pin = (seq, self.head, self.pos)
        yield from self.large(type, flags, seq, frame)
        self.prev = sha256(frame).digest()[:PREV_SIZE]
        self.newest = seq
        self.next = seq + 1
        if flags:
            self.told = (seq, self.dropped)
            self.dropped = None
        if type == RECORD_DESCRIPTOR:
            self.current = pin
        if self._fresh >= _BATCH:
            self._acks()
        self._busy = False
        yield ("sha", len(frame) >> 6)
        yield ("bytecode", 300)

    def _state(self):
        pack(STATE_BODY, self.tmp, RECORD_HEADER_SIZE, self.boot, self.prev)
        self.small(RECORD_STATE, self.next, STATE_BODY_SIZE)

    def _open(self):
        n = self.sectors
        number = self.head + 1
        if not self._erased:
            yield ("long", 0)
            self.erase(number)
            yield ("bytecode", 50)
        old = number + 1 - n  # what stands where the sector after this one will be
        oldest = self._unacked(0)
        declare = self.drop_in == old and self._undeclared()
        if old < self.tail or not oldest or oldest >= self.first[(old + 1) % n]:
            oldest = 0
        else:
            if self.stop:
                raise OSError(_ENOSPC)
            yield from self._give_up(oldest)
            declare = self.dropped
        self.first[number % n] = self.newest + 1
        self.start(number, self.boot, self.acked)
        if declare:
            pack(DROP_BODY, self.tmp, RECORD_HEADER_SIZE, *declare)
            self.small(RECORD_DROP, 0, DROP_BODY_SIZE)
            self.drop_in = number
        yield ("bytecode", 600)
        if old >= self.tail:
            yield from self._carry(old, oldest)
            self.tail = old + 1
        self._state()
        self._fresh = _BATCH if self._ranges else 0  # the header said the rest
        yield ("bytecode", 400)
        yield ("long", 0)
        self.erase(number + 1)
        self._erased = True
        yield ("bytecode", 50)

    def _undeclared(self):
        # What no reader may know yet that it was given up: the frame that says so may be given up itself.
        told = self.told
        return self.dropped or (told and self._unacked(told[0] - 1) == told[0] and told[1])

    def _give_up(self, oldest):
        # The oldest unacknowledged frame and all behind it in its sector, and in the next ones to the end of a group.
        # Damaged ones at either end are not declared: what would prove it is gone.
        before = self._undeclared()
        self.find(oldest)
        number, pos = self.place
        full = number
        sealed = not self.groups
        prev = None
        yield ("bytecode", 500)
        while True:
            header = self.header(number, pos)
            if header is None:
                if sealed or number == self.head:
                    break
                number += 1
                pos = SECTOR_HEADER_SIZE
                continue
            if header[0] == RECORD_FRAME or header[0] == RECORD_DESCRIPTOR:
                if number != full and (sealed or header[0] == RECORD_DESCRIPTOR):
                    break
                self.lost += 1
                if self.intact(number, pos, header):
                    last = header[3]
                    at = number, pos
                    if not prev:
                        oldest = last
                        prev = prev_of(self.body(number, pos, _BEGIN))
                    if self.groups:
                        sealed = self.body(number, pos, 1)[0] == 0xC0 | TAG_SIGN1
            pos += size_of(header[2])
            yield ("bytecode", 200)
        if prev:
            if before:
                oldest, _, prev, _ = before
            self.dropped = (oldest, last, prev, self.digest(*at))
            self.acked = max(self.acked, last)
        elif before:
            self.dropped = before  # what told of it may be among the damaged
        self.acked = max(self.acked, self._last(full))
        self.settle()
        yield ("sha", SECTOR_SIZE >> 6)

    def _carry(self, old, given_up):
        # The frames behind sector `old` need the last descriptor in it. There is never a second one to keep: a newer
        # one stands in a later sector, and will be carried when it is the last in such a sector itself.
        pos = SECTOR_HEADER_SIZE
        while True:
            header = self.header(old, pos)
            if header is None:
                break
            if header[0] == RECORD_DESCRIPTOR:
                self.oldest = (header[3], old, pos)
                self.due = 0 < given_up <= header[3]
            pos += size_of(header[2])
            yield ("bytecode", 50)
        if not self.oldest or self.oldest[1] != old:
            return
        seq, _, pos = self.oldest
        header = self.header(old, pos)
        pin = None
        if self.intact(old, pos, header):
            pin = (seq, self.head, self.pos)
            yield ("bytecode", 400)
            yield from self.copy(RECORD_COPY, seq, old, pos, header[2])
        else:
            self.due = False
        if self.current and self.current[0] == seq:
            self.current = pin
        self.oldest = pin
