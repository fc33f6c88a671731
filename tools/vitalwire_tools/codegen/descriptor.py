"""How large a board's descriptor can get, from what its drivers say of their channels. Reads sources, runs none."""

from __future__ import annotations

from collections.abc import Iterable

from vitalwire import cbor
from vitalwire_protocol import spec
from vitalwire_protocol.spec import ChannelKey, CoseKey, Key, Limit

from ..folders import FIRMWARE
from . import parts

_WRAPPING = 12 + 2 + spec.SIGNATURE_SIZE  # bytes around a COSE_Sign1's payload, at most: in front, and the signature


def limit() -> int:
    """Return how many bytes a frame of the device may have (`firmware/boot.py`)."""
    value = parts.constants((FIRMWARE / "boot.py").read_text())["_LIMIT"]
    assert isinstance(value, int)
    return value


def largest(board: str, names: Iterable[str]) -> int:
    """Return the bytes of the largest descriptor frame a board of these drivers can make, whatever its identity."""
    channels: list[object] = []
    for stream, part in enumerate(names):
        driver = parts.driver(part)
        channel_names = driver["CHANNELS"]
        assert isinstance(channel_names, tuple)
        for name in channel_names:
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
    curve = [[cbor.MIN_INT, -int(Limit.MAX_EXPONENT)]] * Limit.MAX_COEFFICIENTS
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
        Key.DURABLE: int(spec.Durable.BROKER),
        Key.CALIBRATIONS: {spec.SIGNALS[name].mdc: curve for name in spec.CALIBRATED},
    }
    return len(cbor.encode(contents)) + _WRAPPING


def _pair(value: object) -> tuple[int, int]:
    assert isinstance(value, tuple)
    return value
