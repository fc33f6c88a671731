"""How large a board's descriptor can get, from what its drivers say of their channels. Reads sources, runs none."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from vitalwire import cbor
from vitalwire_protocol import spec
from vitalwire_protocol.spec import ChannelKey, CoseKey, Key, Limit

from ..folders import FIRMWARE

_WRAPPING = 12 + 2 + spec.SIGNATURE_SIZE  # bytes around a COSE_Sign1's payload, at most: in front, and the signature


def _literals(path: Path) -> dict[str, object]:
    """Return the constants a source assigns, `const(...)` or bare, in its module or in a class."""
    found: dict[str, object] = {}
    for statement in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            value = statement.value
            if isinstance(value, ast.Call) and ast.unparse(value.func) == "const":
                value = value.args[0]
            try:
                found.setdefault(statement.targets[0].id, ast.literal_eval(value))
            except ValueError:
                continue
    return found


def limit() -> int:
    """Return how many bytes a frame of the device may have (`firmware/boot.py`)."""
    value = _literals(FIRMWARE / "boot.py")["_LIMIT"]
    assert isinstance(value, int)
    return value


def largest(board: str, parts: Iterable[str]) -> int:
    """Return the bytes of the largest descriptor frame a board of these drivers can make, whatever its identity."""
    channels: list[object] = []
    for stream, part in enumerate(parts):
        driver = _literals(FIRMWARE / "sensors" / f"{part}.py")
        names = driver["CHANNELS"]
        assert isinstance(names, tuple)
        for name in names:
            signal = spec.SIGNALS[name]
            row: dict[int, object] = {
                ChannelKey.ID: len(channels),
                ChannelKey.NAME: name,
                ChannelKey.UNIT: signal.unit,
                ChannelKey.PART: driver["PART"],
                ChannelKey.STREAM: stream,
                ChannelKey.RATE: list(_pair(driver["RATE"])),
                ChannelKey.BITS: driver["BITS"],
                ChannelKey.SCALE: list(_pair(driver["SCALE"])),
            }
            channels.append(row | ({ChannelKey.MDC: signal.mdc} if signal.mdc else {}))
    point = bytes(32)
    contents: dict[int, object] = {
        Key.KIND: int(spec.Kind.DESCRIPTOR),
        Key.BOOT: int(Limit.MAX_BOOT),
        Key.SEQ: int(Limit.MAX_SEQ),
        Key.PREV: bytes(spec.PREV_SIZE),
        Key.TICKS: cbor.MAX_INT,
        Key.UTC: cbor.MAX_INT,
        Key.UTC_ACCURACY: int(Limit.MAX_ACCURACY),
        Key.VERSION: spec.VERSION,
        Key.DEVICE: "x" * Limit.MAX_TEXT,
        Key.PUBLIC_KEY: {CoseKey.KTY: spec.KTY_EC2, CoseKey.CRV: spec.CRV_P256, CoseKey.X: point, CoseKey.Y: point},
        Key.BOARD: board,
        Key.FIRMWARE: "x" * Limit.MAX_TEXT,
        Key.POLICY: int(spec.Policy.SIGN),
        Key.CHANNELS: channels,
    }
    return len(cbor.encode(contents)) + _WRAPPING


def _pair(value: object) -> tuple[int, int]:
    assert isinstance(value, tuple)
    return value
