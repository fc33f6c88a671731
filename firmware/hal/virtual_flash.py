# NOR flash on a region of a file: programming clears bits and never sets one, erasing sets 4 KiB to 0xFF.
# Speaks the block protocol of esp32.Partition, simple and extended, so the journal and VfsLfs2 both run on it.
# Work is charged as flash_read and flash_program (bytes) and flash_erase (sectors). What is written stays, whenever the
# process dies; a Cut makes it die in the middle of an operation and leaves what a chip without power would.
import os

import micropython
from micropython import const
from wire import SECTOR_SIZE

_CHUNK = const(256)
_chunk = bytearray(_CHUNK)


def kill():
    # at once and without a word, as a power failure does
    os.system("kill -9 $PPID")
    while True:
        pass


class Cut:
    # Counts programs and erases of all flash it is given to; does the at-th by half, then calls end.
    def __init__(self, at, seed=1, end=kill):
        self.left = at
        self.seed = seed
        self.end = end

    def due(self):
        self.left -= 1
        return self.left == 0

    def random(self, n):
        # the linear congruential generator of Numerical Recipes; its low bits are poor
        self.seed = (self.seed * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.seed >> 8) % n


@micropython.viper
def _clear(old: ptr8, new: ptr8, start: int, n: int) -> int:
    # old &= new; 1 if new has a bit that old has not
    sets = 0
    for i in range(n):
        b = new[start + i]
        if b & ~old[i]:
            sets = 1
        old[i] = old[i] & b
    return sets


class FlashFile:
    def __init__(self, path, offset, size, charge, cut=None):
        self._file = open(path, "r+b")
        self._offset = offset
        self._size = size
        self.charge = charge
        self._cut = cut

    def _seek(self, block, offset, n):
        at = block * SECTOR_SIZE + offset
        if not 0 <= at <= at + n <= self._size:
            raise OSError(22)
        self._file.seek(self._offset + at)
        return self._offset + at

    def readblocks(self, block, buf, offset=0):
        self._seek(block, offset, len(buf))
        self.charge("flash_read", len(buf))
        if self._file.readinto(buf) != len(buf):
            raise OSError(5)

    def writeblocks(self, block, buf, offset=-1):
        if offset < 0:
            for i in range((len(buf) + SECTOR_SIZE - 1) // SECTOR_SIZE):
                self._erase(block + i)
            offset = 0
        n = len(buf)
        at = self._seek(block, offset, n)
        cut = self._cut and self._cut.due()
        if cut:
            n = self._cut.random(n + 1)
        self.charge("flash_program", n)
        old = memoryview(_chunk)
        for i in range(0, n, _CHUNK):
            part = old[: min(_CHUNK, n - i)]
            self._file.seek(at + i)
            self._file.readinto(part)
            if _clear(part, buf, i, len(part)):
                raise ValueError("programming would set a bit")
            self._file.seek(at + i)
            self._file.write(part)
        if cut:
            if n < len(buf):
                part = old[:1]
                self._file.seek(at + n)
                self._file.readinto(part)
                part[0] &= buf[n] | self._cut.random(256)
                self._file.seek(at + n)
                self._file.write(part)
            self._cut.end()

    def _erase(self, block):
        at = self._seek(block, 0, SECTOR_SIZE)
        cut = self._cut and self._cut.due()
        self.charge("flash_erase", 1)
        part = memoryview(_chunk)
        # any share of the bits may have reached 1
        share = self._cut.random(5) if cut else 4
        for i in range(0, SECTOR_SIZE, _CHUNK):
            if cut:
                self._file.seek(at + i)
                self._file.readinto(part)
            for k in range(_CHUNK):
                if share == 4:
                    part[k] = 0xFF
                elif self._cut.random(4) < share:
                    part[k] |= self._cut.random(256)
            self._file.seek(at + i)
            self._file.write(part)
        if cut:
            self._cut.end()

    def ioctl(self, op, arg):
        if op == 4:
            return self._size // SECTOR_SIZE
        if op == 5:
            return SECTOR_SIZE
        if op == 6:
            self._erase(arg)
        return 0
