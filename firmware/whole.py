# The chip's spare partition as the place that a whole image's update is written to (SPEC.md section 14), as a Folder is
# for files. Flash is erased sector by sector as the image comes; a byte in a file of the slot for each sector that is
# whole says after a power cut how far it is. Loaded only when somebody sends such an update.
from micropython import const

_SECTOR = const(4096)
_ERASE = const(6)  # ioctl of a block device
_SECTORS = "sectors"


class Whole:
    # spare: a partition as esp32.Partition has them. slot: the Folder with the file that counts sectors. size: bytes of
    # the image.
    def __init__(self, spare, slot, size):
        self._spare = spare
        self._slot = slot
        self._size = size

    def there(self, name, size):
        return min(self._slot.size(_SECTORS) * _SECTOR, size)

    def read(self, name):
        return _Image(self._spare, self._slot, self._size, 0)

    def write(self, name, at):
        return _Image(self._spare, self._slot, self._size, at)

    def remove(self, name):
        self._slot.remove(_SECTORS)

    # The next start takes it, and goes back to the one before unless that was told to stay.
    def start(self, state, counter):
        state["image"] = counter
        state["spare"] = self._spare.info()[4]

    def switch(self):
        self._spare.set_boot()


class _Image:
    # the partition as a file, read and written one after the other from `at` on
    def __init__(self, spare, slot, size, at):
        self._spare = spare
        self._slot = slot
        self._size = size
        self._at = at

    def write(self, data):
        data = memoryview(data)
        while data:
            block, offset = divmod(self._at, _SECTOR)
            if not offset:
                self._spare.ioctl(_ERASE, block)
            n = min(len(data), _SECTOR - offset)
            self._spare.writeblocks(block, data[:n], offset)
            data = data[n:]
            self._at += n
            if offset + n == _SECTOR or self._at == self._size:
                with self._slot.write(_SECTORS, 1) as f:
                    f.write(b".")

    def read(self, n):
        data = bytearray(n)
        block, offset = divmod(self._at, _SECTOR)
        n = min(n, _SECTOR - offset)
        data = memoryview(data)[:n]
        self._spare.readblocks(block, data, offset)
        self._at += n
        return data

    def flush(self):
        pass

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass
