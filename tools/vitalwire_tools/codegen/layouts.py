"""Reads flat `construct` structs: the struct-module format and the field names they amount to."""

from __future__ import annotations

from typing import Any

import construct as c

# What a device file may hold: struct letter -> the largest value it takes.
MAXIMA = {"B": 0xFF, "H": 0xFFFF, "L": 0xFFFFFFFF, "Q": 0xFFFFFFFFFFFFFFFF}


def fields(struct: Any) -> list[tuple[str, str]]:
    """Return (name, struct letter) of each field of a flat little-endian struct; TypeError for any other."""
    found = []
    for renamed in struct.subcons:
        field = renamed.subcon
        if isinstance(field, c.Bytes) and isinstance(field.length, int):
            found.append((renamed.name, f"{field.length}s"))
            continue
        if not isinstance(field, c.FormatField) or field.fmtstr[0] != "<" or field.fmtstr[1] not in MAXIMA:
            raise TypeError(f"{renamed.name}: only unsigned little-endian integers and byte strings can be packed")
        found.append((renamed.name, field.fmtstr[1]))
    return found


def struct_format(struct: Any) -> str:
    """Return the `struct` module's format of a flat struct."""
    return "<" + "".join(letter for _, letter in fields(struct))
