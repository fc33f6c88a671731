# Runs under MicroPython: the journal on a flash of any contents. Whatever it finds, it mounts or says that there is
# none; what it writes afterwards is found again, and its counters never go back.
"""The target for the journal; see above."""
# ruff: noqa: D102

import struct
from binascii import crc32

import cbor
import cose
import records
import wire
from chance_mp import BORING
from journal import Journal


class Flash:
    """The flash as an array; a program may set no bit."""

    def __init__(self, data):
        self.data = bytearray(data)

    def readblocks(self, n, buf, offset=0):
        at = wire.SECTOR_SIZE * n + offset
        if offset < 0 or at + len(buf) > len(self.data):
            raise AssertionError("read outside")
        buf[:] = memoryview(self.data)[at : at + len(buf)]

    def writeblocks(self, n, buf, offset):
        at = wire.SECTOR_SIZE * n + offset
        if offset < 0 or at + len(buf) > len(self.data):
            raise AssertionError("programmed outside")
        for i in range(len(buf)):
            self.data[at + i] &= buf[i]

    def ioctl(self, op, n):
        if op == 4:
            return len(self.data) // wire.SECTOR_SIZE
        if op == 5:
            return wire.SECTOR_SIZE
        at = wire.SECTOR_SIZE * n
        self.data[at : at + wire.SECTOR_SIZE] = b"\xff" * wire.SECTOR_SIZE
        return 0


class Mount:
    """Flashes of eight sectors, out of journals that were used or of nothing, damaged; then used on."""

    SECTORS = 8

    def __init__(self):
        self.pool = [b"\xff" * wire.SECTOR_SIZE * self.SECTORS]
        self.frame = memoryview(bytearray(wire.MAX_FRAME))

    def use(self, journal, chance, rounds):
        journal.begin()
        for _ in range(rounds):
            keys = {
                wire.KEY_KIND: wire.KIND_DATA,
                wire.KEY_BOOT: journal.boot,
                wire.KEY_SEQ: journal.next,
                wire.KEY_PREV: journal.prev,
                wire.KEY_BLOCKS: b"\x55" * chance.below(2500),
            }
            end = cose.sign1_start(self.frame, cbor.put(self.frame, cose.PAYLOAD, keys))
            end = cose.sign1_end(self.frame, end, bytes(64))
            kind = wire.RECORD_FRAME if chance.below(4) else wire.RECORD_DESCRIPTOR
            for _ in journal.append(self.frame[:end], kind):
                pass
            if not chance.below(4):
                first = 1 + chance.below(journal.newest)
                journal.acknowledge(first, min(journal.newest, first + chance.below(4)))

    def right(self, flash):
        # make the checksums of all sectors and records right again, as far as lengths lead
        view = memoryview(flash)
        for start in range(0, len(flash), wire.SECTOR_SIZE):
            sector = view[start : start + wire.SECTOR_SIZE]
            crc = crc32(sector[: records.SECTOR_CHECKED])
            sector[records.SECTOR_CHECKED : wire.SECTOR_HEADER_SIZE] = crc.to_bytes(4, "little")
            pos = wire.SECTOR_HEADER_SIZE
            while pos + wire.RECORD_HEADER_SIZE <= wire.SECTOR_SIZE:
                type, _, length, _, _ = struct.unpack_from(wire.RECORD_HEADER, sector, pos)
                body = pos + wire.RECORD_HEADER_SIZE
                if type == wire.RECORD_ERASED or body + length > wire.SECTOR_SIZE:
                    break
                crc = crc32(sector[body : body + length], crc32(sector[pos : pos + records.RECORD_CHECKED]))
                sector[pos + records.RECORD_CHECKED : body] = crc.to_bytes(4, "little")
                pos += records.size_of(length)

    def damaged(self, chance):
        # (flash, whether damage has right checksums)
        if not chance.below(16):
            return bytearray(chance.some(64) * (wire.SECTOR_SIZE * self.SECTORS // 64)), False
        flash = bytearray(self.pool[chance.below(len(self.pool))])
        right = not chance.below(3)
        for _ in range(chance.below(12)):
            sector = wire.SECTOR_SIZE * chance.below(self.SECTORS)
            at = sector + chance.below((64, 256, wire.SECTOR_SIZE)[chance.below(3)])
            how = chance.below(6)
            if how < 2:
                flash[at] ^= 1 << chance.below(8)
            elif how == 2:
                flash[at] = BORING[chance.below(len(BORING))]
            elif how == 3:  # torn
                for i in range(at, sector + wire.SECTOR_SIZE):
                    flash[i] = 0xFF
            elif how == 4:
                other = wire.SECTOR_SIZE * chance.below(self.SECTORS)
                flash[sector : sector + wire.SECTOR_SIZE] = flash[other : other + wire.SECTOR_SIZE]
            else:
                n = min(1 + chance.below(32), sector + wire.SECTOR_SIZE - at)
                flash[at : at + n] = chance.some(n)
        if right:
            self.right(flash)
        return flash, right

    def input(self, chance):
        flash, right = self.damaged(chance)
        return bytes([right]) + bytes(flash)

    def attempt(self, chance, data):
        flash = Flash(data[1:])
        journal = Journal(flash)
        found = journal.mount()
        if data[0] or not (found or min(flash.data) == 0xFF):
            # Whoever computes checksums writes the flash: only mounting must bear it. And without counters the app
            # refuses to go on.
            return found
        before = (journal.boot, journal.next)
        self.use(journal, chance, 1 + chance.below(12))
        if journal.boot <= before[0] or journal.next <= before[1]:
            raise AssertionError("a counter went back")
        seq = 0
        for _ in range(1000):
            seq = journal.next_unacked(seq)
            if not seq:
                break
            journal.read(seq, self.frame)
        again = Journal(flash)
        if not again.mount() or (again.boot, again.newest, again.prev) != (journal.boot, journal.newest, journal.prev):
            raise AssertionError("what was written is not found again")
        if len(self.pool) < 24:
            self.pool.append(bytes(flash.data))
        return found
