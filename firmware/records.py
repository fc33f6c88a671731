# Records: the bytes of the journal's sectors (SPEC.md section 11), read and written through one small buffer.
# Knows where a record stands and whether it is intact, not what it means. Sector `number` stands at number modulo the
# count of sectors; records are written to the newest, `head`, at `pos`.
from array import array
from binascii import crc32
from hashlib import sha256
from struct import unpack_from

from micropython import const
from wire import (
    DROP_BODY_SIZE,
    JOURNAL_MAGIC,
    PREV_SIZE,
    RECORD_ALIGN,
    RECORD_ERASED,
    RECORD_HEADER,
    RECORD_HEADER_SIZE,
    SECTOR_HEADER,
    SECTOR_HEADER_SIZE,
    SECTOR_SIZE,
    STATE_BODY_SIZE,
    pack,
)

_TMP = const(256)
_PART = const(1024)  # bytes programmed in one slice
_CRC = const(4)
_MIN_SECTORS = const(8)

SECTOR_CHECKED = SECTOR_HEADER_SIZE - _CRC
RECORD_CHECKED = RECORD_HEADER_SIZE - _CRC


def size_of(length):
    # bytes of a record with its padding
    return (RECORD_HEADER_SIZE + length + RECORD_ALIGN - 1) & -RECORD_ALIGN


# A sector that begins with DROP and STATE has room for one frame of this size, or for one descriptor carried over.
MAX_KEPT = SECTOR_SIZE - SECTOR_HEADER_SIZE - size_of(DROP_BODY_SIZE) - size_of(STATE_BODY_SIZE) - RECORD_HEADER_SIZE


class Records:
    # device: readblocks(n, buf, offset), writeblocks(n, buf, offset) without erase, ioctl 4 count, 5 size, 6 erase.
    def __init__(self, device):
        self.sectors = n = device.ioctl(4, 0)
        if device.ioctl(5, 0) != SECTOR_SIZE or n < _MIN_SECTORS:
            raise ValueError("partition")
        self.device = device
        self.tmp = memoryview(bytearray(_TMP))
        self.end = array("H", bytes(2 * n))  # of each slot, the bytes in use
        self.head = -1
        self.pos = SECTOR_SIZE

    def part(self, number, pos, n):
        # the first of n bytes at pos, as many as the buffer takes
        part = self.tmp[: min(n, _TMP)]
        self.device.readblocks(number % self.sectors, part, pos)
        return part

    def body(self, number, pos, n):
        return self.part(number, pos + RECORD_HEADER_SIZE, n)

    def header(self, number, pos):
        # (type, flags, length, seq, crc) of the record at pos, None behind the last
        end = self.end[number % self.sectors]
        if pos + RECORD_HEADER_SIZE > end:
            return None
        header = unpack_from(RECORD_HEADER, self.part(number, pos, RECORD_HEADER_SIZE), 0)
        if header[0] == RECORD_ERASED or pos + RECORD_HEADER_SIZE + header[2] > end:
            return None
        return header

    def crc32(self, number, pos, n, crc=0):
        while n:
            part = self.part(number, pos, n)
            crc = crc32(part, crc)
            pos += len(part)
            n -= len(part)
        return crc

    def intact(self, number, pos, header):
        crc = self.crc32(number, pos, RECORD_CHECKED)
        return header[4] == self.crc32(number, pos + RECORD_HEADER_SIZE, header[2], crc)

    def digest(self, number, pos):
        # of the frame in the record at pos
        n = self.header(number, pos)[2]
        pos += RECORD_HEADER_SIZE
        h = sha256()
        while n:
            part = self.part(number, pos, n)
            h.update(part)
            pos += len(part)
            n -= len(part)
        return h.digest()[:PREV_SIZE]

    def load(self, number, pos, buf):
        # the frame in the record at pos into buf; returns its length, 0 if it is not what was written
        header = self.header(number, pos)
        if header is None or header[2] > len(buf):
            return 0
        n = header[2]
        body = memoryview(buf)[:n]
        crc = self.crc32(number, pos, RECORD_CHECKED)
        self.device.readblocks(number % self.sectors, body, pos + RECORD_HEADER_SIZE)
        return n if crc32(body, crc) == header[4] else 0

    def erase(self, number):
        self.device.ioctl(6, number % self.sectors)

    def _write(self, data, pos):
        self.device.writeblocks(self.head % self.sectors, data, pos)

    def _close(self, pos):
        self.pos = pos
        self.end[self.head % self.sectors] = pos

    def start(self, number, boot, acked):
        # open an erased sector
        tmp = self.tmp
        pack(SECTOR_HEADER, tmp, 0, JOURNAL_MAGIC, number, boot, acked, 0)
        pack(SECTOR_HEADER, tmp, 0, JOURNAL_MAGIC, number, boot, acked, crc32(tmp[:SECTOR_CHECKED]))
        self.head = number
        self._write(tmp[:SECTOR_HEADER_SIZE], 0)
        self._close(SECTOR_HEADER_SIZE)

    def small(self, type, seq, n):
        # a record whose n bytes stand in tmp behind the place of the header, in one go
        tmp = self.tmp[: RECORD_HEADER_SIZE + n]
        pack(RECORD_HEADER, tmp, 0, type, 0, n, seq, 0)
        crc = crc32(tmp[RECORD_HEADER_SIZE:], crc32(tmp[:RECORD_CHECKED]))
        pack(RECORD_HEADER, tmp, 0, type, 0, n, seq, crc)
        self._write(tmp, self.pos)
        self._close(self.pos + size_of(n))

    def large(self, type, flags, seq, body):
        # a record in slices
        n = len(body)
        tmp = self.tmp[:RECORD_HEADER_SIZE]
        pack(RECORD_HEADER, tmp, 0, type, flags, n, seq, 0)
        pack(RECORD_HEADER, tmp, 0, type, flags, n, seq, crc32(body, crc32(tmp[:RECORD_CHECKED])))
        pos = self.pos
        self._write(tmp, pos)
        pos += RECORD_HEADER_SIZE
        yield ("bytecode", 400)
        for i in range(0, n, _PART):
            self._write(body[i : i + _PART], pos + i)
            yield ("bytecode", 60)
        self._close(self.pos + size_of(n))

    def copy(self, type, seq, number, pos, n):
        # a record with the n bytes that stand in the one at pos, in slices
        tmp = self.tmp[:RECORD_HEADER_SIZE]
        pack(RECORD_HEADER, tmp, 0, type, 0, n, seq, 0)
        pos += RECORD_HEADER_SIZE
        crc = self.crc32(number, pos, n, crc32(tmp[:RECORD_CHECKED]))
        pack(RECORD_HEADER, tmp, 0, type, 0, n, seq, crc)
        to = self.pos
        self._write(tmp, to)
        to += RECORD_HEADER_SIZE
        yield ("bytecode", 600)
        for i in range(0, n, _TMP):
            self._write(self.part(number, pos + i, n - i), to + i)
            yield ("bytecode", 60)
        self._close(self.pos + size_of(n))
