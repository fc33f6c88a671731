"""Puts one flash image together: stock MicroPython, a partition table with a journal, the firmware, an identity.

The same input gives the same bytes. The table is its own, because the stock one has no journal. What MicroPython
itself needs (its application, nvs, phy_init) stays where it was, and its application runs with any table that has a
partition labelled `vfs`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from esptool.cmds import merge_bin
from esptool.logger import log

from vitalwire.errors import UsageError

from ..codegen.board import Board
from ..littlefs_image import pack
from ..provision import CONFIG_FILE, KEY_FILE, SECRET_FILE, Identity, check_settings
from ..signers import NOBODY, Signers
from . import nvs, table
from .device import device_files
from .stock import Stock


@dataclass(frozen=True, slots=True)
class Image:
    """The whole flash from offset 0, and where its parts are: (offset, name, bytes)."""

    data: bytes
    parts: tuple[tuple[int, str, int], ...]


def partitions(stock: Stock, board: Board) -> list[table.Partition]:
    """Return the image's partitions: the stock ones but `vfs`, and the board's `vfs` and `journal`.

    Raises UsageError where they overlap or the stock table lacks NVS.
    """
    kept = [row for row in stock.partitions if row.label != "vfs"]
    if not any(row.kind == table.DATA and row.subtype == table.NVS for row in kept):
        raise UsageError("this MicroPython has no nvs partition, where a device keeps its key")
    own = [
        table.Partition(name, table.DATA, table.FAT if name == "vfs" else table.UNDEFINED, offset, size)
        for name, (offset, size) in board.partitions.items()
    ]
    for row in own:
        for other in kept:
            if row.offset < other.end and other.offset < row.end:
                where = f"{row.label} at 0x{row.offset:X} overlaps {other.label} of this MicroPython"
                raise UsageError(
                    f"{board.name}: partition {where}, which ends at 0x{other.end:X}",
                    advice="move it in board.toml, or take the plain build of MicroPython, without OTA",
                )
    return sorted(kept + own, key=lambda row: row.offset)


def build(
    stock: Stock,
    board: Board,
    settings: Mapping[str, object],
    identity: Identity | None = None,
    signers: Signers = NOBODY,
) -> Image:
    """Return a board's flash, with the keys of `signers`; without an identity the device makes its own key later.

    Raises UsageError for a board of another chip, one that MicroPython does not fit, or a setting no device takes.
    """
    if stock.chip.name != board.chip:
        raise UsageError(f"{board.name} has an {board.chip}, this MicroPython is for {stock.chip.name}")
    rows = partitions(stock, board)
    vfs = next(row for row in rows if row.label == "vfs")
    config = {"device": identity.device, **settings} if identity else dict(settings)
    check_settings(config)
    files = device_files(board, stock.chip.arch) | {CONFIG_FILE: json.dumps(config, sort_keys=True).encode()}
    try:
        pieces = [
            (stock.chip.bootloader, "bootloader", stock.bootloader),
            (table.OFFSET, "partition table", table.render(rows)),
            (stock.app_at, "MicroPython {}.{}.{}".format(*stock.version), stock.app),
            (vfs.offset, "vfs", pack(files, vfs.size)),
        ]
    except ValueError as error:
        raise UsageError(f"{board.name}: {error}") from None
    held = signers.kept
    if identity:
        held |= {KEY_FILE: identity.key, SECRET_FILE: identity.secret}
    if held:
        row = next(row for row in rows if row.kind == table.DATA and row.subtype == table.NVS)
        pieces.append((row.offset, "nvs", nvs.write(held, row.size)))
    pieces.sort()
    size = f"{board.flash >> 20}MB"
    log.set_verbosity("silent")
    data = merge_bin([(at, content) for at, _, content in pieces], board.chip, flash_size=size, pad_to_size=size)
    assert data is not None
    return Image(data, tuple((at, name, len(content)) for at, name, content in pieces))
