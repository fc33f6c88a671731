# The chip's spare partition as the file that a whole image's update writes (SPEC.md section 14). Flash is erased sector
# by sector as the image comes; a byte in a file of the slot for each sector that is whole says after a power cut how
# far it is. Loaded only when somebody sends such an update.
import os

from micropython import const

_SECTOR = const(4096)
_ERASE = const(6)  # ioctl of a block device


class Whole:
    # spare: a partition as esp32.Partition has them. path: of the file that counts sectors. size: bytes of the image.
    def __init__(self, spare, path, size):
        self._spare = spare
        self._path = path
        self._size = size
        self._at = 0

    def there(self):
        try:
            return min(os.stat(self._path)[6] * _SECTOR, self._size)
        except OSError:
            return 0

    def open(self, at):
        self._at = at
        return self

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
                with open(self._path, "ab") as f:
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

    def remove(self):
        os.remove(self._path)

    # The next start takes it, and goes back to the one before unless that was told to stay.
    def start(self, state):
        state["spare"] = self._spare.info()[4]
        return self._spare.set_boot
