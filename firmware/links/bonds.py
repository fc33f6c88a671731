# The bonds of Bluetooth LE: what the chip's stack asks to have kept about each central, beside the keys of this board.
# So many at most; a new one takes the place of the oldest. What is set goes to flash with save(), outside interrupts.
# A stack forgets a bond as soon as somebody at that address asks to pair, whoever it is: so what it deletes is kept
# aside until a new bond is there, and comes back with restore() if none comes.
from micropython import const

OWN = const(10)  # the kind of this board's own identity key, which MicroPython has made at its first start
_MOST = const(8)  # a central has two: its own and ours
_NAME = "bond%d"
_OWN_NAME = "irk"
_KEY = const(7)  # bytes: kind and number of an address
_LARGEST = const(120)  # bytes of a value


class Bonds:
    def __init__(self, hal):
        self._hal = hal
        self._rows = []  # kind, key, value; the oldest first
        self._aside = []
        for i in range(_MOST):
            row = hal.recall(_NAME % i)
            if row and len(row) > _KEY:
                self._rows.append((row[0], row[1 : 1 + _KEY], row[1 + _KEY :]))
        self._own = hal.recall(_OWN_NAME)
        self._saved = len(self._rows)
        self._changed = self._made = False

    def get(self, kind, index, key):
        # the index-th of a kind, or the one with this key; None where there is none
        if kind == OWN:
            return self._own
        for row in self._rows:
            if row[0] == kind:
                if key is None and index:
                    index -= 1
                elif key is None or row[1] == key:
                    return row[2]
        return None

    def set(self, kind, key, value):
        # value None forgets it; whether that could be done
        if value is not None and len(value) > _LARGEST:
            return False
        if kind == OWN and value:
            self._own = bytes(value)
            self._made = True
            return True
        if len(key) != _KEY:
            return False
        rows = [row for row in self._rows if row[0] != kind or row[1] != key]  # another list: save() may be at work
        if value is None:
            found = len(rows) < len(self._rows)
            self._aside += [row for row in self._rows if row not in rows]
            self._rows = rows
            return found
        self._aside = [row for row in self._aside if row[1] != key]
        rows.append((kind, bytes(key), bytes(value)))
        self._rows = rows[-_MOST:]
        self._changed = True
        return True

    def restore(self):
        # nobody took the place of what is aside
        self._rows = (self._aside + self._rows)[-_MOST:]
        self._aside = []

    def save(self):
        if self._made:
            self._made = False
            self._hal.keep(_OWN_NAME, self._own)
        if self._changed:
            self._changed = False
            rows = self._rows
            for i in range(max(len(rows), self._saved)):
                row = rows[i] if i < len(rows) else (0, b"", b"")
                self._hal.keep(_NAME % i, bytes((row[0],)) + row[1] + row[2])
            self._saved = len(rows)
