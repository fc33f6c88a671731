"""What keys and values of a frame mean, in words: tables over the names of `spec`. Reads no bytes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import IntEnum

from vitalwire_protocol import spec
from vitalwire_protocol.spec import Key

_CODES = {name.upper(): spec.SIGNALS[name].mdc for name in spec.CALIBRATED}
_CALIBRATED = IntEnum("_CALIBRATED", _CODES)  # type: ignore[misc]
KEYS: dict[str, type[IntEnum]] = {
    "header": spec.Header,
    "frame": Key,
    "channel": spec.ChannelKey,
    "event": spec.EventKey,
    "counters": spec.Counter,
    "key": spec.CoseKey,
    "calibrations": _CALIBRATED,
}


def named(names: type[IntEnum]) -> Callable[[object], str]:
    """Return what tells a number's name."""
    known = {int(member): member.name for member in names}
    return lambda value: known[value] if type(value) is int and value in known else f"{value}, not known here"


def _utc(value: object) -> str:
    try:
        return f"{datetime.fromtimestamp(int(str(value)) / 1e6, UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{value} us"


def seconds(value: object) -> str:
    """Return microseconds as seconds."""
    return f"{value / 1e6:.6f} s" if isinstance(value, int) else str(value)


def _accuracy(value: object) -> str:
    known = isinstance(value, int) and 0 <= value < 64
    return f"error at most 2^{value} us = {2 ** int(str(value)) / 1e6:g} s" if known else str(value)


# What a value says, by map and key; others are shown as they are.
VALUES: dict[tuple[str, int], Callable[[object], str]] = {
    ("header", spec.Header.ALG): named(spec.Alg),
    ("frame", Key.KIND): named(spec.Kind),
    ("frame", Key.POLICY): named(spec.Policy),
    ("frame", Key.DURABLE): named(spec.Durable),
    ("frame", Key.TICKS): lambda value: f"{seconds(value)} since the boot",
    ("frame", Key.UTC): _utc,
    ("frame", Key.UTC_ACCURACY): _accuracy,
    ("event", spec.EventKey.CAUSE): named(spec.Cause),
    ("event", spec.EventKey.FAULT): named(spec.Fault),
    ("event", spec.EventKey.UTC): _utc,
    ("event", spec.EventKey.UTC_ACCURACY): _accuracy,
}
# What a byte string is, by map and key.
BYTES: dict[tuple[str, int], str] = {
    ("frame", Key.PREV): "of the SHA-256 of the frame before",
    ("frame", Key.DESCRIPTOR): "of the SHA-256 of the descriptor frame",
    ("event", spec.EventKey.DIGEST): "of the digest of the last durable, or dropped, frame",
    ("event", spec.EventKey.PREV): "PREV of the first dropped frame",
}
# What the entries of an array are: (map they are in, names of an array's places).
PLACES: dict[tuple[str, int], tuple[str, ...]] = {
    ("frame", Key.MARKS): ("channel", "mark", "first sample", "samples"),
    ("frame", Key.SCALARS): ("channel", "ticks from the frame's", "counts"),
    ("frame", Key.EVENTS): ("event", "ticks from the frame's", "details"),
    ("frame", Key.PRIVATE): ("protected header", "unprotected header", "ciphertext and tag, AES-CCM"),
    ("channel", spec.ChannelKey.RATE): ("numerator", "denominator"),
    ("channel", spec.ChannelKey.SCALE): ("mantissa", "exponent of ten"),
    ("channel", spec.ChannelKey.OFFSET): ("mantissa", "exponent of ten"),
    **{("calibrations", int(mdc)): ("mantissa", "exponent of ten") for mdc in _CALIBRATED},
}
# Which map stands in which value.
INSIDE: dict[tuple[str, int], str] = {
    ("frame", Key.PUBLIC_KEY): "key",
    ("frame", Key.CALIBRATIONS): "calibrations",
    ("frame", Key.CHANNELS): "channel",
    ("frame", Key.EVENTS): "event",
    ("frame", Key.COUNTERS): "counters",
    ("frame", Key.PRIVATE): "header",
}
IN_PLACE: dict[tuple[str, int, str], Callable[[object], str]] = {
    ("frame", Key.MARKS, "mark"): named(spec.Mark),
    ("frame", Key.EVENTS, "event"): named(spec.Event),
    ("frame", Key.EVENTS, "ticks from the frame's"): seconds,
    ("frame", Key.SCALARS, "ticks from the frame's"): seconds,
}
