# The module `esp32` as ESP-IDF lets MicroPython have it: NVS, whose handles are never closed, and partitions of flash.
import os

import board
from begin import FOLDER
from hal import virtual

HEAP_DATA = 4
_HANDLES = 4  # more are taken for a leak
_NAME = 15  # bytes
_NOT_FOUND = -0x1102
_INVALID_LENGTH = -0x110C
_NAME_TOO_LONG = -0x1109
_opened = 0


def idf_heap_info(kind):
    if kind != HEAP_DATA:
        raise ValueError
    return [(16_000, 0, 0, 0), (300_000, 90_000, 50_000, 80_000)]


class NVS:
    def __init__(self, space):
        global _opened
        _opened += 1
        if _opened > _HANDLES:
            raise OSError(12)
        self._space = self._checked(space)

    def _checked(self, name):
        if not isinstance(name, str):
            raise TypeError
        if not 0 < len(name.encode()) <= _NAME:
            raise OSError(_NAME_TOO_LONG, "ESP_ERR_NVS_KEY_TOO_LONG")
        return name

    def _path(self, name):
        return "%s/nvs/%s.%s" % (FOLDER, self._space, self._checked(name))

    def get_blob(self, name, buffer):
        try:
            with open(self._path(name), "rb") as f:
                value = f.read()
        except OSError:
            raise OSError(_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        if len(value) > len(buffer):
            raise OSError(_INVALID_LENGTH, "ESP_ERR_NVS_INVALID_LENGTH")
        memoryview(buffer)[: len(value)] = value
        return len(value)

    def set_blob(self, name, value):
        memoryview(value)  # whatever has a buffer
        with open(self._path(name), "wb") as f:
            f.write(value)

    def commit(self):
        pass


class Partition:
    TYPE_APP = 0
    TYPE_DATA = 1
    BOOT = 0
    RUNNING = 1

    def __init__(self, which):
        if which not in (Partition.BOOT, Partition.RUNNING):
            raise ValueError
        self._label = "factory"

    @classmethod
    def find(cls, type=0, subtype=0xFF, label=None, block_size=4096):
        if type != cls.TYPE_DATA or label in os.getenv("VITALWIRE_CHIP_WITHOUT", "").split():
            return []
        return [_Data(row[0]) for row in board.PARTITIONS if label in (None, row[0])]

    def get_next_update(self):
        raise OSError(2)

    def info(self):
        return (0, 0, 0x10000, 0x1F0000, self._label, False)

    @classmethod
    def mark_app_valid_cancel_rollback(cls):
        raise OSError(-0x1503, "ESP_ERR_OTA_ROLLBACK_INVALID_STATE")


class _Data:
    def __init__(self, label):
        self._flash = virtual.partition(label)

    def readblocks(self, block, buffer, offset=0):
        self._flash.readblocks(block, buffer, offset)

    def writeblocks(self, block, buffer, offset=None):
        if offset is None:
            raise NotImplementedError("a write that erases")
        self._flash.writeblocks(block, buffer, offset)

    def ioctl(self, operation, argument):
        if operation not in (1, 2, 3, 4, 5, 6):
            return None
        return self._flash.ioctl(operation, argument)
