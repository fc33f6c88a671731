"""The body of a descriptor frame: who a device is and what its channels mean (SPEC section 4).

Reads a decoded map into a `Descriptor`; whether the device is to be trusted is asked elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from vitalwire.crypto import point_of, thumbprint
from vitalwire.errors import FrameError
from vitalwire.frame.fields import array, integer, mapping, text
from vitalwire.messages import Calibration, Channel, Decimal10, Descriptor
from vitalwire_protocol import spec
from vitalwire_protocol.spec import ChannelKey, Key, Limit

_UINT32 = 0xFFFFFFFF
_INT64 = 1 << 63


def read_descriptor(fields: Mapping[int, Any], digest: bytes) -> Descriptor:
    """Return the descriptor in a descriptor frame's map; `digest` is the frame's. Raises `FrameError`."""
    version = integer(fields, Key.VERSION, 0, _UINT32)
    if version != spec.VERSION:
        raise FrameError(f"version {version}, this reader knows {spec.VERSION}", reason="version")
    point = point_of(mapping(fields, Key.PUBLIC_KEY))
    entries = array(fields, Key.CHANNELS, 1, Limit.MAX_CHANNELS)
    return Descriptor(
        digest=digest[: spec.DIGEST_SIZE],
        version=version,
        device=text(fields, Key.DEVICE),
        public_key=point,
        thumbprint=thumbprint(point),
        board=text(fields, Key.BOARD),
        firmware=text(fields, Key.FIRMWARE),
        policy=integer(fields, Key.POLICY, 1, 255),
        channels=_agree(tuple(_channel(entry) for entry in entries)),
        calibrations=_calibrations(fields) if Key.CALIBRATIONS in fields else (),
        durable=integer(fields, Key.DURABLE, 1, 255) if Key.DURABLE in fields else int(spec.Durable.READER),
    )


def _channel(entry: Any) -> Channel:
    if type(entry) is not dict:
        raise FrameError("a channel is a map", reason="type")
    stream = rate = mdc = None
    if ChannelKey.MDC in entry:
        mdc = integer(entry, ChannelKey.MDC, 0, _UINT32)
    if ChannelKey.STREAM in entry:
        stream = integer(entry, ChannelKey.STREAM, 0, Limit.MAX_STREAMS - 1)
    if ChannelKey.RATE in entry:
        numerator, denominator = _pair(entry, ChannelKey.RATE)
        if not (1 <= numerator <= _UINT32 and 1 <= denominator <= _UINT32):
            raise FrameError("RATE out of bounds", reason="range")
        rate = Fraction(numerator, denominator)
    if (stream is None) != (rate is None):
        raise FrameError("STREAM and RATE of a channel stand together", reason="channels")
    return Channel(
        id=integer(entry, ChannelKey.ID, 0, Limit.MAX_CHANNELS - 1),
        name=text(entry, ChannelKey.NAME),
        mdc=mdc,
        unit=text(entry, ChannelKey.UNIT),
        part=text(entry, ChannelKey.PART),
        stream=stream,
        rate=rate,
        bits=integer(entry, ChannelKey.BITS, 1, Limit.MAX_BITS),
        scale=_decimal(entry, ChannelKey.SCALE),
        offset=_decimal(entry, ChannelKey.OFFSET) if ChannelKey.OFFSET in entry else Decimal10(0, 0),
    )


def _calibrations(fields: Mapping[int, Any]) -> tuple[Calibration, ...]:
    key, found = Key.CALIBRATIONS, []
    for mdc, curve in mapping(fields, key).items():
        if not 0 <= mdc <= _UINT32:
            raise FrameError(f"{key.name} of the code {mdc}", reason="range")
        terms = array({key: curve}, key, 1, Limit.MAX_COEFFICIENTS)
        found.append(Calibration(mdc, tuple(_decimal({key: term}, key) for term in terms)))
    return tuple(found)


def _pair(entry: Mapping[int, Any], key: ChannelKey | Key) -> tuple[int, int]:
    value = array(entry, key)
    if len(value) != 2 or any(type(each) is not int for each in value):
        raise FrameError(f"{key.name} is an array of two integers", reason="type")
    return value[0], value[1]


def _decimal(entry: Mapping[int, Any], key: ChannelKey | Key) -> Decimal10:
    mantissa, exponent = _pair(entry, key)
    if not (-_INT64 <= mantissa < _INT64 and abs(exponent) <= Limit.MAX_EXPONENT):
        raise FrameError(f"{key.name} out of bounds", reason="range")
    return Decimal10(mantissa, exponent)


def _agree(channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
    """Return the channels if they do not contradict each other."""
    if any(channel.id != place for place, channel in enumerate(channels)):
        raise FrameError("a channel's ID is not its place in CHANNELS", reason="channels")
    if len({channel.name for channel in channels}) != len(channels):
        raise FrameError("two channels have the same NAME", reason="channels")
    rates: list[Fraction | None] = []
    last: int | None = None
    for channel in channels:
        if channel.stream is not None and channel.stream == last:
            if channel.rate != rates[-1]:
                raise FrameError(f"the channels of stream {channel.stream} differ in RATE", reason="channels")
        elif channel.stream is not None:
            if channel.stream != len(rates):
                raise FrameError("streams are not numbered in order, or a stream is in two places", reason="channels")
            rates.append(channel.rate)
        last = channel.stream
    return channels
