"""Accepted frames: the whole history of a device, one frame a vector, each linked to the one before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from .block import blocks
from .blocks import PARTIAL, READOUTS, STREAMS, TICKS, WIDE_STREAMS
from .independent import ALICE, BOB, ESP256, Device, Vector, accept, encode, sign1
from .numbers import INTEGERS

UTC = 1_767_225_600_000_000


def channel_of(
    number: int, name: str, unit: str, part: str, bits: int, scale: list[int], **more: Any
) -> dict[int, Any]:
    """Return a channel's map; `stream`, `rate`, `mdc`, `offset` where given."""
    places = {"mdc": 2, "stream": 5, "rate": 6, "offset": 9}
    return {
        0: number,
        1: name,
        3: unit,
        4: part,
        7: bits,
        8: scale,
        **{places[key]: value for key, value in more.items()},
    }


CHANNELS = [
    channel_of(0, "ecg_lead_i", "mV", "MAX30003", 18, [381469727, -12], mdc=131329, stream=0, rate=[256, 1]),
    channel_of(1, "ppg_red", "1", "MAX30102", 19, [1, 0], mdc=150452, stream=1, rate=[100, 1]),
    channel_of(2, "ppg_ir", "1", "MAX30102", 19, [1, 0], mdc=150452, stream=1, rate=[100, 1]),
    channel_of(3, "accel_x", "m/s2", "LSM6DSO", 16, [598205650, -12], stream=2, rate=[52, 1]),
    channel_of(4, "accel_y", "m/s2", "LSM6DSO", 16, [598205650, -12], stream=2, rate=[52, 1]),
    channel_of(5, "accel_z", "m/s2", "LSM6DSO", 16, [598205650, -12], stream=2, rate=[52, 1]),
    channel_of(6, "temperature_skin", "Cel", "MAX30205", 16, [390625, -8], mdc=150388),
    channel_of(7, "battery", "%", "ADC", 8, [1, 0], mdc=67996),
]


def descriptor(**more: Any) -> dict[int, Any]:
    """Return a descriptor's own keys, the ones in `more` (as `k22=`) changed."""
    keys: dict[int, Any] = {
        16: 1,
        17: "vital-0001",
        18: ALICE.cose_key,
        19: "virtual",
        20: "0.1.0",
        21: 1,
        22: CHANNELS,
    }
    keys.update({int(name[1:]): value for name, value in more.items()})
    return keys


WIDE = [
    channel_of(
        each, "c" * each, "1", "p" * (each % 3), 1 + each % 24, [1, 0], stream=each // 2, rate=[1 + each // 2, 1]
    )
    for each in range(32)
]
EXTREME = [
    channel_of(
        0, "𝄞" * 16, "", "", 24, [2**63 - 1, 24], mdc=2**32 - 1, offset=[-(2**63), -24], stream=0, rate=[2**32 - 1, 1]
    ),
    channel_of(1, "", "x" * 64, "x" * 64, 1, [-(2**63), -24], mdc=0, offset=[0, 24], stream=1, rate=[1, 2**32 - 1]),
    {**channel_of(2, "unknown keys", "1", "", 8, [1, 0]), 10: "kept", -1: [True], 1000: {-5: b"kept"}},
]
EVERY_EVENT = [
    [1, -1, {3: 3, 4: 17, 5: 900, 6: bytes(range(16))}],
    [2, 0, {1: 0}],
    [3, 0, {1: 31}],
    [4, -5_000, {}],
    [5, -(2**40), {10: 3300}],
    [6, -70_000, {99: "unknown keys are kept", -1: [1]}],
    [7, 0, {2: 1, 9: 2}],
    [8, 0, {2: 15}],
    [9, -1_000, {2: 0, 7: 31, 8: False}],
    [9, -1_000, {2: 2, 7: 2**32, 8: True}],
    [10, -2, {4: 1, 5: 2**32 - 2, 6: bytes(16), 13: b"\xff" * 16}],
    [11, 0, {}],
    [12, 0, {11: 2**63 - 1, 12: 63}],
    [13, 0, {3: 2, 7: 1}],
    [14, 0, {1: 3}],
    [255, -(2**63) + 1, {}],
]


MARKS = [[0, 1, 0, 10], [0, 1, 12, 5], [0, 2, 5, 20], [1, 3, 11, 1], [5, 4, 0, 6], [5, 200, 0, 1]]
TIMES = [[6, sign * 4**each, (-sign) ** each * (2**each - each % 2)] for each in range(16) for sign in (-1, 1)]
SCALARS = [[6, -1_000_000, 9_344], [6, 0, -1], [7, 999, 87]]


class History:
    """One device's frames, each linked to the one before."""

    def __init__(self) -> None:
        self.prev = bytes(16)
        self.seq = 0
        self.boot = 1
        self.named = b""
        self.frames: list[bytes] = []

    def frame(
        self, kind: int, keys: dict[int, Any], *, ticks: int = TICKS, step: int = 1, **options: Any
    ) -> tuple[bytes, dict[int, Any]]:
        """Return the next frame and its map; options are those of `sign1`, and `protected`."""
        self.seq += step
        full = {
            1: kind,
            2: self.boot,
            3: self.seq,
            4: self.prev,
            6: ticks,
            **({5: self.named} if kind != 1 else {}),
            **keys,
        }
        full = dict(sorted(full.items(), key=lambda pair: encode(pair[0])))
        raw = sign1(encode(full), **options)
        digest = hashlib.sha256(raw).digest()
        self.prev = digest[:16]
        if kind == 1:
            self.named = digest[:8]
        self.frames.append(raw)
        return raw, full


def accepted(history: History) -> Iterator[Vector]:
    """Sections 2 to 7: the whole history of a device, one frame a vector."""

    def of(name: str, kind: int, keys: dict[int, Any], device: Device = ALICE, **options: Any) -> Vector:
        raw, full = history.frame(kind, keys, device=device, **options)
        algorithm = -9 if options.get("protected") == ESP256 else -7
        return accept(name, "frame", raw, full, {**device.keys, "algorithm": algorithm})

    yield of("first descriptor of a device", 1, descriptor(), ticks=0)
    yield of("first boot event", 3, {12: [[1, -1_000, {3: 1}]]}, ticks=1_000)
    yield of("data of all streams", 2, {9: blocks(TICKS, READOUTS, STREAMS)})
    yield of("data with marks and scalars", 2, {9: blocks(TICKS, READOUTS, STREAMS), 10: MARKS, 11: SCALARS})
    yield of("data of one stream", 2, {9: blocks(TICKS, PARTIAL, STREAMS)})
    yield of("data of no stream", 2, {9: b"\0\0\0"})
    yield of("data of scalars only", 2, {11: SCALARS})
    yield of("data with nothing at all", 2, {})
    yield of("data with empty arrays", 2, {9: b"\0\0\0", 10: [], 11: []})
    yield of("32 runs of marks", 2, {9: blocks(TICKS, READOUTS, STREAMS), 10: [[0, 1, each, 1] for each in range(32)]})
    yield of("32 scalars", 2, {11: TIMES}, ticks=2**40)
    yield of("UTC known", 2, {7: UTC, 8: 10, 11: SCALARS})
    yield of("UTC and accuracy at their ends", 2, {7: 2**63 - 1, 8: 63})
    yield of("UTC of 1970", 2, {7: 0, 8: 0})
    yield of("signed with ESP256", 2, {11: SCALARS}, protected=ESP256)
    yield of("unknown keys", 2, {0: 1, 14: "kept", 15: {1: [2]}, 23: b"", 24: True, 1000: [[[[]]]], -1: False, -25: -1})
    yield of("keys of another kind are unknown keys", 2, {12: "not an event", 13: [], 17: 1})
    yield of("every event, 16 of them", 3, {12: EVERY_EVENT}, ticks=2**63 - 1)
    yield of("status with no counter", 4, {13: {}})
    yield of("status, integers of every width", 4, {13: dict(enumerate(INTEGERS, start=1))})
    yield of("status with unknown counters", 4, {13: {1: 60, 18: 1, 1000: 2, -1: 3}})
    yield of("a kind that is not known", 200, {9: "whatever", 300: [1]})
    yield of("descriptor of 32 channels in 16 streams", 1, descriptor(k22=WIDE))
    yield of(
        "data of 16 streams",
        2,
        {9: blocks(TICKS, [(TICKS + each, [[each % 2 - 1]] * 2) for each in range(16)], WIDE_STREAMS)},
    )
    yield of(
        "descriptor at the bounds, with unknown keys",
        1,
        descriptor(k17="", k19="x" * 64, k20="✓", k21=255, k22=EXTREME, k99=[{5: []}]),
    )
    yield of("descriptor of one scalar", 1, descriptor(k22=[channel_of(0, "battery", "%", "ADC", 8, [1, 0])]))
    room = 4032 - len(history.frame(2, {30: bytes(1000)})[0])
    history.frames.pop()
    history.seq -= 1
    history.prev = hashlib.sha256(history.frames[-1]).digest()[:16]
    yield of("a frame of exactly 4032 bytes", 2, {30: bytes(1000 + room)})
    history.boot = 2
    yield of(
        "boot event that names burned numbers",
        3,
        {12: [[1, -2_000, {3: 3, 4: history.seq + 1, 5: history.seq + 64, 6: history.prev}]]},
        ticks=2_000,
        step=65,
    )
    yield of("dropped frames", 3, {12: [[10, 0, {4: 3, 5: 9, 6: b"\x11" * 16, 13: b"\x22" * 16}]]})
    history.boot, history.seq = 2**32 - 2, 2**32 - 3
    yield of("the last frame a device can make", 2, {}, ticks=2**63 - 1)
    lonely = History()
    lonely.named = bytes(8)
    raw, full = lonely.frame(4, {13: {1: 1}}, device=BOB)
    yield accept("another device", "frame", raw, full, {**BOB.keys, "algorithm": -7})
