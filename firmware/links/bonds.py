# The bonds of Bluetooth LE: what the chip's stack asks to have kept about each central, beside the keys of this board.
# So many at most; a new one takes the place of the oldest. What is set goes to flash with save(), outside interrupts.
from micropython import const

_MOST = const(8)  # a central has two: its own and ours
_NAME = "bond%d"
_KEY = const(7)  # bytes: kind and number of an address
_LARGEST = const(120)  # bytes of a value


class Bonds:
    def __init__(self, hal):
        self._hal = hal
        self._rows = []  # kind, key, value; the oldest first
        for i in range(_MOST):
            row = hal.recall(_NAME % i)
            if row and len(row) > _KEY:
                self._rows.append((row[0], row[1 : 1 + _KEY], row[1 + _KEY :]))
        self._saved = len(self._rows)
        self._changed = False

    def get(self, kind, index, key):
        # the index-th of a kind, or the one with this key; None where there is none
        for row in self._rows:
            if row[0] == kind:
                if key is None and index:
                    index -= 1
                elif key is None or row[1] == key:
                    return row[2]
        return None

    def set(self, kind, key, value):
        # value None forgets it; whether that could be done
        if len(key) != _KEY or (value is not None and len(value) > _LARGEST):
            return False
        kept = [row for row in self._rows if row[0] != kind or row[1] != key]
        found = len(kept) < len(self._rows)
        if value is not None:
            kept.append((kind, bytes(key), bytes(value)))
        self._rows = kept[-_MOST:]
        self._changed = True
        return found or value is not None

    def save(self):
        if self._changed:
            self._changed = False
            rows = self._rows
            for i in range(max(len(rows), self._saved)):
                row = rows[i] if i < len(rows) else (0, b"", b"")
                self._hal.keep(_NAME % i, bytes((row[0],)) + row[1] + row[2])
            self._saved = len(rows)
