"""Reading one value out of a decoded map: present, of its type, within its bounds; nothing else.

The three reasons a value is refused for are the same for frames, replies and notes, so they are said here once.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from vitalwire.errors import FrameError
from vitalwire_protocol.spec import Limit


def _missing(key: IntEnum) -> FrameError:
    return FrameError(f"{key.name} is missing", reason="missing-key")


def _bounds(key: IntEnum, what: object) -> FrameError:
    return FrameError(f"{key.name} out of bounds: {what}", reason="range")


def integer(fields: Mapping[int, Any], key: IntEnum, least: int, most: int) -> int:
    """Return the integer `fields[key]` with least <= it <= most; `true` is not an integer. Raises `FrameError`."""
    value = fields.get(key)
    if type(value) is not int:
        raise FrameError(f"{key.name} is an integer", reason="type") if key in fields else _missing(key)
    if not least <= value <= most:
        raise _bounds(key, value)
    return value


def octets(fields: Mapping[int, Any], key: IntEnum, size: int | None = None) -> bytes:
    """Return the byte string `fields[key]`, of `size` bytes if given. Raises `FrameError`."""
    value = fields.get(key)
    if type(value) is not bytes:
        raise FrameError(f"{key.name} is a byte string", reason="type") if key in fields else _missing(key)
    if size is not None and len(value) != size:
        raise _bounds(key, f"{len(value)} bytes instead of {size}")
    return value


def text(fields: Mapping[int, Any], key: IntEnum) -> str:
    """Return the text string `fields[key]`; its length was bounded by the decoder. Raises `FrameError`."""
    value = fields.get(key)
    if type(value) is not str:
        raise FrameError(f"{key.name} is a text string", reason="type") if key in fields else _missing(key)
    return value


def array(fields: Mapping[int, Any], key: IntEnum, least: int = 0, most: int = Limit.MAX_ITEMS) -> list[Any]:
    """Return the array `fields[key]` of least to most entries. Raises `FrameError`."""
    value = fields.get(key)
    if type(value) is not list:
        raise FrameError(f"{key.name} is an array", reason="type") if key in fields else _missing(key)
    if len(value) > most:
        raise FrameError(f"{key.name} has {len(value)} entries, more than {most}", reason="items")
    if len(value) < least:
        raise _bounds(key, f"{len(value)} entries")
    return value


def mapping(fields: Mapping[int, Any], key: IntEnum) -> dict[int, Any]:
    """Return the map `fields[key]`. Raises `FrameError`."""
    value = fields.get(key)
    if type(value) is not dict:
        raise FrameError(f"{key.name} is a map", reason="type") if key in fields else _missing(key)
    return value
