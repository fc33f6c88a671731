"""Files and texts put to their readers: captures, addresses, board files, faults. Each raises only for a bug."""

from __future__ import annotations

import ast
import hashlib
import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from vitalwire import transports
from vitalwire.capture import Record, read
from vitalwire.capture.index import Index, select
from vitalwire.capture.reader import HEADER
from vitalwire.errors import InputError, TransportError, UsageError

from ..codegen.board import BoardError
from ..codegen.boardfile import parse as parse_board
from ..codegen.boardmodule import render
from ..folders import BOARDS
from ..virtual import faults
from . import corpus
from .known import story

TEMPORARY = Path(tempfile.gettempdir())


def try_capture(data: bytes) -> None:
    """Read a file whose own first note may be there for free, and with a foreign index beside it."""
    mode, sidecar = (data[0], data[1]) if len(data) > 1 else (0, 0)
    body = data[2:]
    beside, body = body[:sidecar], body[sidecar:]
    with tempfile.TemporaryDirectory(dir=TEMPORARY) as folder:
        path = Path(folder, "c")
        path.write_bytes(body if mode & 1 else HEADER + body)
        if sidecar:
            Path(folder, "c.index").write_bytes(beside + hashlib.sha256(beside).digest() if mode & 2 else beside)
        try:
            found = list(read(path))
        except InputError:
            with suppress(InputError):
                Index.open(path)
            return
        ends = [item.offset + (len(item.raw) if isinstance(item, Record) else item.length) for item in found]
        assert all(end <= item.offset for end, item in zip(ends, found[1:], strict=False)), "items overlap"
        everything = [item.raw for item in found if isinstance(item, Record)]
        chosen = [item.raw for item in select(path) if isinstance(item, Record)]
        assert sorted(chosen) == sorted(everything), "an index that hides frames"
        list(select(path, seq=(2, 4)))


def capture_seeds() -> list[bytes]:
    """Return inputs to begin with."""
    whole = [b"\1\0" + raw for raw in corpus.raw("capture")]
    return [*whole, b"\0\0" + b"".join(story()), b"\2\x50" + b"vwindex\1" + bytes(72) + b"".join(story()[:3])]


def try_url(data: bytes) -> None:
    """Take an address apart."""
    with suppress(UsageError, TransportError):
        transports.from_url(data.decode(errors="replace"))


URLS = (
    b"replay:/nowhere?speed=10&loss=0.1&reorder=0.2&duplicate=0.1&flip=1e-3&truncate=0&seed=7&pace=received",
    b"tcp://localhost:7000", b"tcp://[::1]:7?timeout=3", b"serial:///dev/ttyUSB0?baud=115200", b"replay:a%20b?speed=0",
)  # fmt: skip


def try_board(data: bytes) -> None:
    """Read a board file and render it."""
    try:
        found = parse_board(data.decode(errors="replace"))
    except BoardError:
        return
    *constants, sensors = ast.parse(render(found)).body
    for statement in constants:
        assert isinstance(statement, ast.Assign)
        ast.literal_eval(statement.value)
    assert isinstance(sensors, ast.FunctionDef)
    *drivers, _ = sensors.body
    assert all(isinstance(each, ast.ImportFrom) and str(each.module).startswith("sensors.") for each in drivers)


def try_faults(data: bytes) -> None:
    """Read a script of faults."""
    try:
        script: Any = json.loads(data.decode(errors="replace"))
    except (ValueError, RecursionError):
        return
    if isinstance(script, list) and all(isinstance(entry, dict) for entry in script):
        with suppress(faults.FaultError):
            faults.parse(script)


FAULTS = (
    b'[{"chip":"max30003","fault":"drift","ppm":100},{"chip":"board","fault":"stall","at_s":3,"for_s":0.5}]',
    b'[{"chip":"lsm6dso","fault":"jitter","us":10.5,"at_s":1e3},{"chip":"max30205","fault":"nak","for_s":1}]',
)


def board_seeds() -> list[bytes]:
    """Return the board files there are."""
    return [file.read_bytes() for file in sorted(BOARDS.glob("*/board.toml"))]
