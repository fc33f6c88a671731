"""Vectors of sections 11 and 12: journal records, captures."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .frames import UTC
from .independent import Table, Vector, accept, encode, record, refuse_all, sector


def accepted(frames: list[bytes]) -> Iterator[Vector]:
    """Sections 11 and 12."""
    for number, boot, acked in ((1, 1, 0), (2**32 - 1, 2**32 - 2, 2**32 - 2), (77, 3, 5_000)):
        fields = {"magic": 0x314A5756, "number": number, "boot": boot, "acked": acked}
        yield accept(f"sector {number}", "sector", sector(number, boot, acked), fields)
    largest = next(raw for raw in frames if len(raw) == 4032)
    bodies = {
        "of a frame": (1, 0, 2, frames[1]),
        "of a frame that declares a drop": (1, 1, 3, frames[2]),
        "of the largest frame": (1, 0, 2**32 - 2, largest),
        "of a descriptor": (2, 0, 1, frames[0]),
        "of an acknowledgement": (3, 0, 0, struct.pack("<LL", 1, 2**32 - 2)),
        "of acknowledged ranges": (3, 0, 0, struct.pack("<6L", 1, 5, 7, 7, 100, 2**32 - 2)),
        "of the counters": (4, 0, 901, struct.pack("<L", 2**32 - 2) + bytes(range(16))),
        "of a drop": (5, 0, 0, struct.pack("<LL", 3, 9) + b"\x22" * 16 + b"\x11" * 16),
        "of a copied descriptor": (6, 0, 1, frames[0]),
    }
    for name, (kind, flags, seq, body) in bodies.items():
        parts = {"type": kind, "flags": flags, "length": len(body), "seq": seq, "body": body}
        yield accept(f"record {name}", "record", record(kind, seq, body, flags), parts)

    head = encode({1: "vitalwire-capture", 2: 1})
    one, two, three = frames[:3]
    notes = encode({3: UTC}), encode({3: UTC + 1, 9: "unknown"}), encode({50: 1})
    whole = head + one + notes[0] + two + notes[1] + notes[2] + three
    found = [[None, one], [UTC, two], [UTC + 1, three]]
    damaged = head + one + b"\xd1" + two[1:] + three
    at = len(head + one)
    for name, data, items, torn, damage in (
        ("capture of nothing", head, [], 0, []),
        ("capture", whole, found, 0, []),
        ("capture with its last byte torn off", whole[:-1], found[:-1], len(three) - 1, []),
        ("capture with one byte of its last frame", whole[: 1 - len(three)], found[:-1], 1, []),
        ("capture torn in a note", head + notes[0][:5], [], 5, []),
        ("capture torn in its first note", head[:9], [], 9, []),
        ("capture of no byte", b"", [], 0, []),
        ("capture that ends with a note", head + one + notes[0], found[:1], 0, []),
        ("capture with the last frame twice", whole + three, [*found, [None, three]], 0, []),
        ("capture with a damaged frame", damaged, [found[0], [None, three]], 0, [[at, len(two)]]),
    ):
        yield accept(name, "capture", data, {"frames": items, "torn": torn, "damaged": damage})


def refused(accepted: dict[str, bytes]) -> Iterator[Vector]:
    """Sections 11 and 12."""
    head, kept = accepted["sector 77"], accepted["record of an acknowledgement"]
    sectors: Table = {
        "magic": {"erased flash": b"\xff" * 20, "another magic": sector(1, 1, 0, 0x324A5756), "zeros": bytes(20)},
        "crc": {
            "a bit of the number": head[:4] + bytes([head[4] ^ 1]) + head[5:],
            "a bit of the CRC": head[:-1] + bytes([head[-1] ^ 0x80]),
            "torn": head[:16] + b"\xff" * 4,
        },
        "truncated": {"19 bytes": head[:19]},
    }
    records: Table = {
        "crc": {
            "a bit of the body": kept[:-1] + bytes([kept[-1] ^ 1]),
            "a bit of the seq": kept[:4] + bytes([kept[4] ^ 1]) + kept[5:],
            "torn": kept[:14] + b"\xff" * 6,
            "a body of nothing, erased": record(1, 5, b"")[:8] + b"\xff" * 4,
        },
        "truncated": {"a header of 11 bytes": kept[:11], "a body cut": kept[:-1]},
    }
    note, captured = encode({1: "vitalwire-capture", 2: 1}), accepted["capture"]
    captures: Table = {
        "format": {
            "no note in front": accepted["first descriptor of a device"],
            "another format": encode({1: "vitalwire-captive", 2: 1}),
            "a text": b"not a capture at all, and long enough",
            "another key in the note": encode({1: "vitalwire-capture", 2: 1, 3: 1}) + captured[len(note) :],
        },
        "version": {"2": encode({1: "vitalwire-capture", 2: 2}) + captured[len(note) :]},
    }
    yield from refuse_all("sector", sectors)
    yield from refuse_all("record", records)
    yield from refuse_all("capture", captures)
