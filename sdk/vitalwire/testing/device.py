"""A device that exists only as a key and a chain: makes the frames a real one would, from arrays, without waiting.

It never loses or damages anything by itself; a test does that with what it gets (and with `tamper`).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from numpy.typing import ArrayLike, NDArray

from vitalwire import cbor, crypto, encryption
from vitalwire.codec.encode import encode_block
from vitalwire.messages import Calibration, Channel, Decimal10
from vitalwire_protocol import spec
from vitalwire_protocol.spec import ChannelKey, Event, EventKey, Key, Kind


def _channel(place: int, name: str, part: str, stream: int | None, rate: int | None, bits: int, scale: str) -> Channel:
    mantissa, exponent = scale.split("e")
    signal = spec.SIGNALS[name]
    return Channel(
        place,
        name,
        signal.mdc,
        signal.unit,
        part,
        stream,
        None if rate is None else Fraction(rate),
        bits,
        Decimal10(int(mantissa), int(exponent)),
        Decimal10(0, 0),
    )


# What the drivers of these chips say (firmware/sensors), but that the temperature is a reading and no stream.
STANDARD: tuple[Channel, ...] = (
    _channel(0, "ecg_lead_i", "MAX30003", 0, 256, 18, "3814697265625e-16"),
    _channel(1, "ppg_red", "MAX30102", 1, 100, 19, "1e0"),
    _channel(2, "ppg_ir", "MAX30102", 1, 100, 19, "1e0"),
    _channel(3, "accel_x", "LSM6DSO", 2, 52, 16, "11964113e-10"),
    _channel(4, "accel_y", "LSM6DSO", 2, 52, 16, "11964113e-10"),
    _channel(5, "accel_z", "LSM6DSO", 2, 52, 16, "11964113e-10"),
    _channel(6, "temperature_skin", "MAX30205", None, None, 16, "390625e-8"),
)


class FakeDevice:
    """Makes signed frames in one unbroken chain; every method that makes a frame returns its bytes.

    `seq` and `boot` are those of the last frame made, `digest` is its SHA-256, `ticks` the device's clock now. Under
    `Policy.SEAL` every `group`-th frame is signed; `secret` is what a registry needs for MACs and private contents.
    """

    def __init__(
        self,
        name: str = "fake",
        *,
        channels: Sequence[Channel] = STANDARD,
        private_key: crypto.PrivateKey | None = None,
        seed: int = 0,
        policy: spec.Policy = spec.Policy.SIGN,
        group: int = 8,
        calibrations: Sequence[Calibration] = (),
        durable: spec.Durable | None = None,
    ) -> None:
        self.name = name
        self.channels = tuple(channels)
        self.calibrations = tuple(calibrations)
        self.durable = durable
        self.policy = policy
        self.secret = secrets.token_bytes(spec.SECRET_SIZE)
        self.private_key = private_key or ec.generate_private_key(ec.SECP256R1())
        self.point = crypto.public_point(self.private_key)
        self.thumbprint = crypto.thumbprint(self.point)
        self.boot = 1
        self.seq = 0
        self.digest = bytes(32)
        self.ticks = 1_000_000
        self.utc_us: int | None = None
        self.firmware = "1.0.0"
        self._descriptor = b""
        self._group = group
        self._sealed = (0, 0)  # boot and seq of the last signed frame that is no descriptor
        self._noise = np.random.default_rng(seed)

    # ------------------------------------------------------------ frames

    def make(self, kind: int, fields: Mapping[int, object], *, alg: spec.Alg = spec.Alg.ES256) -> bytes:
        """Make the next frame of the chain with these fields beside the ones every frame has, as the policy says."""
        self.seq += 1
        common: dict[int, object] = {
            Key.KIND: int(kind),
            Key.BOOT: self.boot,
            Key.SEQ: self.seq,
            Key.PREV: self.digest[: spec.PREV_SIZE],
            Key.TICKS: self.ticks,
        }
        if kind != Kind.DESCRIPTOR:
            common[Key.DESCRIPTOR] = hashlib.sha256(self.descriptor()).digest()[: spec.DIGEST_SIZE]
        if self.utc_us is not None:
            common |= {Key.UTC: self.utc_us, Key.UTC_ACCURACY: 14}
        if self.policy == spec.Policy.PRIVATE:
            fields = self._hidden(kind, fields)
        payload = cbor.encode(common | dict(fields))
        if self._seals(kind, fields):
            raw = crypto.sign1(self.private_key, payload, alg)
        else:
            raw = crypto.mac0(crypto.frame_key(self.secret, self.thumbprint), payload, spec.AAD_FRAME)
        self.digest = hashlib.sha256(raw).digest()
        return raw

    def _seals(self, kind: int, fields: Mapping[int, object]) -> bool:
        """Return whether the frame in the making is signed."""
        if self.policy != spec.Policy.SEAL or kind == Kind.DESCRIPTOR:
            return True
        boot, seq = self._sealed
        drops = kind == Kind.EVENT and Event.DROPPED in (row[0] for row in fields[Key.EVENTS])  # type: ignore[attr-defined]
        seals = boot != self.boot or self.seq - seq >= self._group or drops
        if seals:
            self._sealed = self.boot, self.seq
        return seals

    def _hidden(self, kind: int, fields: Mapping[int, object]) -> Mapping[int, object]:
        """Return the fields with those in PRIVATE that policy `private` keeps there."""
        outside, inside = dict(fields), dict[int, object]()
        if kind == Kind.DATA:
            outside, inside = {}, outside
        elif kind == Kind.EVENT:
            rows: list[list[object]] = outside.pop(Key.EVENTS)  # type: ignore[assignment]
            for place, told in ((outside, True), (inside, False)):
                some = [row for row in rows if (row[0] in (Event.BOOT, Event.DROPPED)) == told]
                if some:
                    place[Key.EVENTS] = some
        if inside:
            key = crypto.encryption_key(self.secret, self.thumbprint)
            outside[Key.PRIVATE] = encryption.encrypt(key, self.boot, self.seq, cbor.encode(inside))
        return outside

    def descriptor(self, firmware: str | None = None) -> bytes:
        """Return the descriptor frame: the same bytes each time, a new frame at first and for another `firmware`."""
        if not self._descriptor or firmware not in (None, self.firmware):
            self.firmware = firmware or self.firmware
            self._descriptor = self.make(Kind.DESCRIPTOR, self._description())
        return self._descriptor

    def _description(self) -> dict[int, object]:
        key = {-3: self.point[33:], -2: self.point[1:33], -1: spec.CRV_P256, 1: spec.KTY_EC2}
        curves = {each.mdc: [[c.mantissa, c.exponent] for c in each.coefficients] for each in self.calibrations}
        return {
            **({Key.CALIBRATIONS: curves} if curves else {}),
            **({Key.DURABLE: int(self.durable)} if self.durable else {}),
            Key.VERSION: spec.VERSION,
            Key.DEVICE: self.name,
            Key.PUBLIC_KEY: key,
            Key.BOARD: "none",
            Key.FIRMWARE: self.firmware,
            Key.POLICY: int(self.policy),
            Key.CHANNELS: [_describe(channel) for channel in self.channels],
        }

    def data(
        self,
        samples: Mapping[str, ArrayLike],
        *,
        marks: Iterable[tuple[int, int, int, int]] = (),
        scalars: Iterable[tuple[int, int, int]] = (),
    ) -> bytes:
        """Make a data frame of integer samples by channel name; channels of one stream need equally many.

        Ticks go on by the longest stream's duration first, so that they are those of the newest samples.
        """
        arrays = {name: np.asarray(values) for name, values in samples.items()}
        rates = {channel.name: channel.rate for channel in self.channels}
        durations = [len(values) / (rates[name] or 1) for name, values in arrays.items()]
        self._advance(int(1_000_000 * max(durations, default=Fraction(0))))
        fields: dict[int, object] = {}
        if arrays:
            fields[Key.BLOCKS] = self._blocks(arrays)
        for key, entries in ((Key.MARKS, marks), (Key.SCALARS, scalars)):
            if listed := [list(map(int, entry)) for entry in entries]:
                fields[key] = listed
        return self.make(Kind.DATA, fields)

    def _blocks(self, arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
        out = b""
        streams = sorted({channel.stream for channel in self.channels if channel.stream is not None})
        first = True
        for stream in streams:
            members = [channel for channel in self.channels if channel.stream == stream]
            counts = {len(arrays.get(channel.name, ())) for channel in members}
            if len(counts) != 1:
                raise ValueError(f"channels of stream {stream} differ in their number of samples")
            count = counts.pop()
            out += varint(count)
            if count:
                out += b"" if first else varint(0)
                first = False
                for channel in members:
                    coding, body = encode_block(arrays[channel.name], channel.bits)
                    out += varint(len(body) << spec.CODING_BITS | coding) + body
        return out

    def sampled(self, seconds: float = 2.0) -> bytes:
        """Make a data frame with synthetic samples of every stream and one reading of every scalar."""
        samples = {c.name: self._synthetic(c, seconds) for c in self.channels if c.rate is not None}
        scalars = [(c.id, 0, 8192) for c in self.channels if c.rate is None]
        return self.data(samples, scalars=scalars)

    def _synthetic(self, channel: Channel, seconds: float) -> NDArray[np.int64]:
        assert channel.rate is not None
        time = self.ticks / 1e6 + np.arange(int(seconds * channel.rate)) / float(channel.rate)
        top = 2.0 ** (channel.bits - 4)
        wave = np.sin(7.1 * time + channel.id) + 0.3 * np.sin(31.0 * time) ** 9
        noise = self._noise.normal(0, top / 4000, len(time))
        return np.rint(top * wave + noise).astype(np.int64)

    def events(self, *events: tuple[int, Mapping[int, object]]) -> bytes:
        """Make an event frame of (code, details), all happening now."""
        return self.make(Kind.EVENT, {Key.EVENTS: [[int(code), 0, dict(details)] for code, details in events]})

    def status(self, counters: Mapping[int, int] | None = None) -> bytes:
        """Make a status frame."""
        return self.make(Kind.STATUS, {Key.COUNTERS: dict(counters) if counters else {spec.Counter.FRAMES: self.seq}})

    # ------------------------------------------------------------ what happens to a device

    def _advance(self, us: int) -> None:
        self.ticks += us
        if self.utc_us is not None:
            self.utc_us += us

    def reboot(self, burn: int = 0, cause: int = spec.Cause.POWER_ON) -> bytes:
        """Begin the next boot, burning that many sequence numbers, and return the boot event's frame."""
        first = self.seq + 1
        self.boot += 1
        self.seq += burn
        self.ticks = 50_000
        details: dict[int, object] = {EventKey.CAUSE: int(cause), EventKey.DIGEST: self.digest[: spec.PREV_SIZE]}
        if burn:
            details |= {EventKey.FIRST: first, EventKey.LAST: self.seq}
        return self.events((Event.BOOT, details))

    def dropped(self, frames: Sequence[bytes]) -> bytes:
        """Make the event frame that declares these consecutive frames erased."""
        first, last = (cbor.decode(crypto.frame_payload(raw)) for raw in (frames[0], frames[-1]))
        assert isinstance(first, dict)
        assert isinstance(last, dict)
        details: dict[int, object] = {
            EventKey.FIRST: first[Key.SEQ],
            EventKey.LAST: last[Key.SEQ],
            EventKey.PREV: first[Key.PREV],
            EventKey.DIGEST: hashlib.sha256(frames[-1]).digest()[: spec.PREV_SIZE],
        }
        return self.events((Event.DROPPED, details))


def _describe(channel: Channel) -> dict[int, object]:
    entry: dict[int, object] = {
        ChannelKey.ID: channel.id,
        ChannelKey.NAME: channel.name,
        ChannelKey.UNIT: channel.unit,
        ChannelKey.PART: channel.part,
        ChannelKey.BITS: channel.bits,
        ChannelKey.SCALE: [channel.scale.mantissa, channel.scale.exponent],
    }
    if channel.mdc is not None:
        entry[ChannelKey.MDC] = channel.mdc
    if channel.stream is not None and channel.rate is not None:
        entry[ChannelKey.STREAM] = channel.stream
        entry[ChannelKey.RATE] = [channel.rate.numerator, channel.rate.denominator]
    if channel.offset.mantissa:
        entry[ChannelKey.OFFSET] = [channel.offset.mantissa, channel.offset.exponent]
    return entry


def varint(value: int) -> bytes:
    """Return an unsigned LEB128 number (SPEC section 1)."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])
