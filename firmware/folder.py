# The folder of the slot that does not run, as the place that an update's files are written to (SPEC.md section 14).
# Loaded only when somebody updates.
import os

_LONG = ("long", 0)  # erasing may follow


class Folder:
    # path: of the folder, whether it is there or not; its last letter is the slot's.
    def __init__(self, path):
        self._path = path

    def _of(self, name):
        return self._path + "/" + name

    # bytes that are there of a file
    def size(self, name):
        return os.stat(self._of(name))[6] if _exists(self._of(name)) else 0

    def there(self, name, size):
        return min(self.size(name), size)

    def contents(self, name):
        if not self.size(name):
            return b""
        with self.read(name) as f:
            return f.read(self.size(name))

    def read(self, name):
        return open(self._of(name), "rb")

    # A file to go on with, after the bytes that are there of it. A name may hold one folder beside the slot's own.
    def write(self, name, at):
        if "/" in name and not _exists(self._of(name.split("/")[0])):
            os.mkdir(self._of(name.split("/")[0]))
        return open(self._of(name), "ab" if at else "wb")

    def remove(self, name):
        os.remove(self._of(name))

    # Whether there is room for so many bytes more.
    def holds(self, n):
        stat = os.statvfs(self._path)
        return n <= stat[1] * stat[3]

    def make(self):
        os.mkdir(self._path)

    # nothing in place of what is there, in slices
    def clear(self):
        yield from _remove(self._path)

    # The next start takes it, on trial.
    def start(self, state, counter):
        state["try"] = self._path[-1]
        state["next"] = counter
        state["tried"] = False

    # what is to be done once that state is stored
    def switch(self):
        pass


def _exists(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def _remove(folder):
    if not _exists(folder):
        return
    for entry in list(os.ilistdir(folder)):
        yield _LONG
        path = folder + "/" + entry[0]
        if entry[1] == 0x4000:
            yield from _remove(path)
        else:
            os.remove(path)
    yield _LONG
    os.rmdir(folder)
