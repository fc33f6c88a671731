"""Refused frames: the map, damaged key by key and signed anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cbor2

from .independent import ALICE, Vector, encode, refuse, sign1

GONE = object()
DATA = "data with marks and scalars"
DESCRIPTOR, EVENT, STATUS = "first descriptor of a device", "first boot event", "status, integers of every width"
CHANNEL = {0: 0, 1: "x", 3: "1", 4: "", 7: 8, 8: [1, 0]}
FIFO = {**CHANNEL, 5: 0, 6: [1, 1]}
KEY = ALICE.cose_key

Rows = list[tuple[str, str, dict[int, Any]]]
MAPS: dict[str, Rows] = {
    "missing-key": [
        *[(DATA, f"key {key}", {key: GONE}) for key in (1, 2, 3, 4, 5, 6)],
        *[(DESCRIPTOR, f"key {key} of a descriptor", {key: GONE}) for key in (16, 17, 18, 19, 20, 21, 22)],
        (EVENT, "events", {12: GONE}),
        (STATUS, "counters", {13: GONE}),
        (DATA, "accuracy of UTC", {7: 1}),
        (DATA, "UTC of an accuracy", {8: 1}),
        ("a kind that is not known", "descriptor of an unknown kind", {5: GONE}),
        *[
            (DESCRIPTOR, f"key {key} of a channel", {22: [{k: v for k, v in CHANNEL.items() if k != key}]})
            for key in CHANNEL
        ],
    ],
    "type": [
        (DATA, "true for 1 as boot", {2: True}),
        (DATA, "seq as text", {3: "4"}),
        (DATA, "kind as bytes", {1: b"\2"}),
        (DATA, "prev as text", {4: "x" * 16}),
        (DATA, "ticks as array", {6: [1]}),
        (DATA, "blocks as array", {9: []}),
        (DATA, "marks as map", {10: {}}),
        (DATA, "a run as map", {10: [{}]}),
        (DATA, "a run of three", {10: [[0, 1, 0]]}),
        (DATA, "a run of five", {10: [[0, 1, 0, 1, 0]]}),
        (DATA, "true in a run", {10: [[0, True, 0, 1]]}),
        (DATA, "a scalar of two", {11: [[6, 0]]}),
        (DATA, "false as counts", {11: [[6, 0, False]]}),
        (DATA, "scalars as bytes", {11: b""}),
        (EVENT, "events as map", {12: {}}),
        (EVENT, "an event of two", {12: [[1, 0]]}),
        (EVENT, "details as array", {12: [[1, 0, []]]}),
        (EVENT, "estimated as 1", {12: [[9, 0, {2: 0, 7: 1, 8: 1}]]}),
        (EVENT, "a channel as text", {12: [[2, 0, {1: "0"}]]}),
        (STATUS, "counters as array", {13: []}),
        (STATUS, "a counter as text", {13: {1: "1"}}),
        (STATUS, "a counter as true", {13: {1: True}}),
        (DESCRIPTOR, "device as bytes", {17: b"x"}),
        (DESCRIPTOR, "channels as map", {22: {}}),
        (DESCRIPTOR, "a channel as array", {22: [[]]}),
        (DESCRIPTOR, "a rate of one", {22: [{**FIFO, 6: [1]}]}),
        (DESCRIPTOR, "a scale as integer", {22: [{**CHANNEL, 8: 1}]}),
        (DESCRIPTOR, "a name as integer", {22: [{**CHANNEL, 1: 1}]}),
        (DESCRIPTOR, "version as text", {16: "1"}),
        (DESCRIPTOR, "a public key as bytes", {18: b"\4" + KEY[-2] + KEY[-3]}),
    ],
    "range": [
        (DATA, "kind 0", {1: 0}),
        (DATA, "kind 256", {1: 256}),
        (DATA, "kind -1", {1: -1}),
        (DATA, "boot 0", {2: 0}),
        (DATA, "boot 2^32-1", {2: 2**32 - 1}),
        (DATA, "seq 0", {3: 0}),
        (DATA, "seq 2^32-1", {3: 2**32 - 1}),
        (DATA, "seq 2^64-1", {3: 2**64 - 1}),
        (DATA, "prev of 15 bytes", {4: bytes(15)}),
        (DATA, "prev of 17 bytes", {4: bytes(17)}),
        (DATA, "prev of 32 bytes", {4: bytes(32)}),
        (DATA, "descriptor of 7 bytes", {5: bytes(7)}),
        (DATA, "descriptor of 16 bytes", {5: bytes(16)}),
        (DATA, "ticks 2^63", {6: 2**63}),
        (DATA, "ticks -1", {6: -1}),
        (DATA, "UTC -1", {7: -1, 8: 1}),
        (DATA, "UTC 2^63", {7: 2**63, 8: 1}),
        (DATA, "accuracy 64", {7: 1, 8: 64}),
        (DATA, "accuracy -1", {7: 1, 8: -1}),
        (DATA, "a run of channel 32", {10: [[32, 1, 0, 1]]}),
        (DATA, "mark 0", {10: [[0, 0, 0, 1]]}),
        (DATA, "mark 256", {10: [[0, 256, 0, 1]]}),
        (DATA, "a run from -1", {10: [[0, 1, -1, 2]]}),
        (DATA, "a run of 0", {10: [[0, 1, 0, 0]]}),
        (DATA, "a run to 8193", {10: [[0, 1, 8192, 1]]}),
        (DATA, "a scalar of channel 32", {11: [[32, 0, 1]]}),
        (DATA, "a scalar before boot", {11: [[6, -12_345_679, 1]]}),
        (DATA, "a scalar after the end of ticks", {11: [[6, 2**63 - 1, 1]]}),
        (DATA, "counts of 25 bits", {11: [[6, 0, 2**23]]}),
        (DATA, "negative counts of 25 bits", {11: [[6, 0, -(2**23) - 1]]}),
        (EVENT, "an event to come", {12: [[4, 1, {}]]}),
        (EVENT, "an event before boot", {12: [[4, -1_001, {}]]}),
        (EVENT, "code 0", {12: [[0, 0, {}]]}),
        (EVENT, "code 256", {12: [[256, 0, {}]]}),
        (EVENT, "no event", {12: []}),
        (EVENT, "first of 0", {12: [[10, 0, {4: 0, 5: 1, 6: bytes(16), 13: bytes(16)}]]}),
        (EVENT, "digest of 8 bytes", {12: [[1, 0, {3: 1, 4: 1, 5: 2, 6: bytes(8)}]]}),
        (STATUS, "a negative counter", {13: {1: -1}}),
        (DESCRIPTOR, "policy 0", {21: 0}),
        (DESCRIPTOR, "no channel", {22: []}),
        (DESCRIPTOR, "0 bits", {22: [{**CHANNEL, 7: 0}]}),
        (DESCRIPTOR, "25 bits", {22: [{**CHANNEL, 7: 25}]}),
        (DESCRIPTOR, "rate 0", {22: [{**FIFO, 6: [0, 1]}]}),
        (DESCRIPTOR, "rate by 0", {22: [{**FIFO, 6: [1, 0]}]}),
        (DESCRIPTOR, "rate 2^32", {22: [{**FIFO, 6: [2**32, 1]}]}),
        (DESCRIPTOR, "stream 16", {22: [{**FIFO, 5: 16}]}),
        (DESCRIPTOR, "MDC 2^32", {22: [{**CHANNEL, 2: 2**32}]}),
        (DESCRIPTOR, "exponent 25", {22: [{**CHANNEL, 8: [1, 25]}]}),
        (DESCRIPTOR, "exponent -25", {22: [{**CHANNEL, 9: [1, -25]}]}),
        (DESCRIPTOR, "mantissa 2^63", {22: [{**CHANNEL, 8: [2**63, 0]}]}),
        (DESCRIPTOR, "id 32", {22: [{**CHANNEL, 0: 32}]}),
    ],
    "items": [
        (EVENT, "17 events", {12: [[4, 0, {}]] * 17}),
        (DATA, "33 runs", {10: [[0, 1, each, 1] for each in range(33)]}),
        (DATA, "33 scalars", {11: [[6, each, 0] for each in range(33)]}),
        (DESCRIPTOR, "33 channels", {22: [{**CHANNEL, 0: each} for each in range(33)]}),
        (DATA, "65 keys", dict.fromkeys(range(1000, 1065), 0)),
    ],
    "text": [(DESCRIPTOR, "a name of 65 bytes", {17: "x" * 65}), (DATA, "under an unknown key", {30: "x" * 65})],
    "version": [(DESCRIPTOR, "0", {16: 0}), (DESCRIPTOR, "2", {16: 2})],
    "public-key": [
        (DESCRIPTOR, "another type", {18: {**KEY, 1: 1}}),
        (DESCRIPTOR, "another curve", {18: {**KEY, -1: 2}}),
        (DESCRIPTOR, "x of 31 bytes", {18: {**KEY, -2: KEY[-2][1:]}}),
        (DESCRIPTOR, "no y", {18: {1: 2, -1: 1, -2: KEY[-2]}}),
        (DESCRIPTOR, "y by its sign", {18: {**KEY, -3: True}}),
        (DESCRIPTOR, "not on the curve", {18: {**KEY, -3: KEY[-2]}}),
        (DESCRIPTOR, "zeros", {18: {**KEY, -2: bytes(32), -3: bytes(32)}}),
        (DESCRIPTOR, "a key id beside", {18: {**KEY, 2: b"1"}}),
        (DESCRIPTOR, "true as curve", {18: {**KEY, -1: True}}),
        (DESCRIPTOR, "the private part beside", {18: {**KEY, -4: bytes(32)}}),
    ],
    "channels": [
        (DESCRIPTOR, "ids from 1", {22: [{**CHANNEL, 0: 1}]}),
        (DESCRIPTOR, "an id twice", {22: [CHANNEL, {**CHANNEL, 1: "y"}]}),
        (DESCRIPTOR, "a name twice", {22: [CHANNEL, {**CHANNEL, 0: 1}]}),
        (DESCRIPTOR, "a stream without rate", {22: [{**CHANNEL, 5: 0}]}),
        (DESCRIPTOR, "a rate without stream", {22: [{**CHANNEL, 6: [1, 1]}]}),
        (DESCRIPTOR, "streams from 1", {22: [{**FIFO, 5: 1}]}),
        (DESCRIPTOR, "a gap in the streams", {22: [FIFO, {**FIFO, 0: 1, 1: "y", 5: 2}]}),
        (DESCRIPTOR, "streams out of order", {22: [{**FIFO, 5: 1}, {**FIFO, 0: 1, 1: "y"}]}),
        (DESCRIPTOR, "a stream in two places", {22: [FIFO, {**FIFO, 0: 1, 1: "y", 5: 1}, {**FIFO, 0: 2, 1: "z"}]}),
        (DESCRIPTOR, "a scalar inside a stream", {22: [FIFO, {**CHANNEL, 0: 1, 1: "y"}, {**FIFO, 0: 2, 1: "z"}]}),
        (DESCRIPTOR, "two rates in a stream", {22: [FIFO, {**FIFO, 0: 1, 1: "y", 6: [2, 1]}]}),
    ],
    "marks": [
        (DATA, "runs that overlap", {10: [[0, 1, 0, 5], [0, 1, 4, 5]]}),
        (DATA, "runs out of order", {10: [[0, 1, 5, 5], [0, 1, 0, 5]]}),
        (DATA, "the same run twice", {10: [[0, 1, 0, 5], [0, 1, 0, 5]]}),
        (DATA, "runs that overlap with others between", {10: [[0, 1, 0, 5], [0, 2, 0, 5], [1, 1, 0, 5], [0, 1, 3, 1]]}),
    ],
}


def refused(accepted: dict[str, bytes], key: Any) -> Iterator[Vector]:
    """Sections 3, 4, 5 and 7."""
    for error, changes in MAPS.items():
        for base, name, change in changes:
            keys = {**cbor2.loads(cbor2.loads(accepted[base]).value[2]), **change}
            payload = encode({number: value for number, value in keys.items() if value is not GONE})
            yield refuse(name, "frame", sign1(payload), error, key)
    payload = cbor2.loads(accepted[DATA]).value[2]
    for name, data, error in (
        ("a map that is an array", encode([1, 2]), "type"),
        ("an empty map", b"\xa0", "missing-key"),
        ("an empty payload", b"", "truncated"),
        ("two maps", payload + payload, "trailing"),
        ("half a map", payload[:-3], "truncated"),
    ):
        yield refuse(name, "frame", sign1(data), error, key)
