"""CBOR on the device, against cbor2, against the SDK's decoder, and against each rule of SPEC section 1."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from typing import Any

import cbor2
import pytest

from vitalwire import cbor
from vitalwire.errors import CborError

Run = Callable[..., subprocess.CompletedProcess[str]]

PRELUDE = """
import json
import cbor
buf = memoryview(bytearray(8192))
put = lambda result: print(json.dumps(result))
def encode(item):
    return bytes(buf[:cbor.put(buf, 0, item)])
def verdict(data):
    try:
        return [encode(cbor.decode(data)).hex(), ""]
    except ValueError as e:
        return ["", e.args[0]]
cases = json.loads(%r)
"""
AT_ONCE = 50  # cases in a script, which is an argument of the process
EDGES = [0, 23, 24, 255, 256, 65535, 65536, 2**30 - 1, 2**30, 2**31, 2**32 - 1, 2**32, 2**62, 2**63, 2**64 - 1]


@pytest.fixture(params=["64 bit", "32 bit"])
def device(request: pytest.FixtureRequest) -> Callable[[str, list[Any]], list[Any]]:
    """Run a body with `cases` (JSON) defined under both widths of MicroPython; returns what it gave to `put`."""
    run: Run = request.getfixturevalue("micropython" if request.param == "64 bit" else "micropython32")

    def ask(body: str, cases: list[Any]) -> list[Any]:
        lines: list[str] = []
        for start in range(0, max(1, len(cases)), AT_ONCE):
            given = json.dumps(cases[start : start + AT_ONCE], ensure_ascii=False)
            lines += run(PRELUDE % given + body).stdout.splitlines()
        return [json.loads(line) for line in lines]

    return ask


def item(chance: random.Random, depth: int = 0) -> Any:
    """Return a random item within the limits, large and edge values included."""
    kind = chance.randrange(8 if depth < 5 else 5)
    if kind < 2:
        edge = chance.choice([*EDGES, chance.randrange(2 ** chance.randrange(1, 65))])
        return edge if chance.random() < 0.6 else -1 - min(edge, 2**63 - 1)
    if kind == 2:
        return chance.random() < 0.5
    if kind == 3:
        return chance.randbytes(chance.choice([0, 1, 23, 24, 60, 255, 256, 300]))
    if kind == 4:
        text = "".join(chance.choice("aZ0 \x00é߿ࠀ￿𐀀𝄞퟿") for _ in range(chance.randrange(30)))
        return text if len(text.encode()) <= 64 else "µ" * 32
    size = chance.choice([0, 1, 2, 3, 5, 24, 64] if depth < 2 else [0, 1, 2])
    if kind == 5:
        return [item(chance, depth + 1) for _ in range(size)]
    keys = {item_key(chance) for _ in range(size)}
    return {key: item(chance, depth + 1) for key in sorted(keys, key=cbor2.dumps)}


def item_key(chance: random.Random) -> int:
    """Return a random map key."""
    edge = chance.choice([*EDGES, *range(30)])
    return edge if chance.random() < 0.6 else -1 - min(edge, 2**63 - 1)


def sample(seed: int, count: int) -> list[bytes]:
    """Return random items as cbor2 encodes them, maps in bytewise order."""
    chance = random.Random(seed)
    return [data for data in (cbor2.dumps(item(chance)) for _ in range(count)) if len(data) < 4000]


def test_encodes_as_cbor2_does(device: Callable, long: bool) -> None:
    """What the device encodes, from the values themselves, equals cbor2's bytes with maps in bytewise key order."""
    items = [cbor2.loads(data) for data in sample(1, 5000 if long else 300) if len(data) < 600]
    shuffle = random.Random(1).sample
    shuffled = [dict(shuffle(list(each.items()), len(each))) if type(each) is dict else each for each in items]
    got = device("for text in cases:\n    put(encode(eval(text)).hex())\n", [repr(each) for each in shuffled])
    assert got == [cbor2.dumps(each).hex() for each in items]


def test_decodes_what_cbor2_encodes(device: Callable, long: bool) -> None:
    """What the device decodes and encodes again is what it was given."""
    cases = [data.hex() for data in sample(2, 5000 if long else 300)]
    got = device("for text in cases:\n    put(verdict(bytes.fromhex(text)))\n", cases)
    assert got == [[text, ""] for text in cases]


def test_every_truncation_is_refused(device: Callable) -> None:
    """Each proper prefix of an item is refused as truncated, and an item with a byte more as trailing."""
    datas = [data for data in sample(3, 40) if 1 < len(data) < 200]
    body = """
for text in cases:
    data = bytes.fromhex(text)
    put([verdict(data[:n])[1] for n in range(len(data))] + [verdict(data + b"\\0")[1]])
"""
    got = device(body, [data.hex() for data in datas])
    assert got == [["truncated"] * len(data) + ["trailing"] for data in datas]


def test_damaged_items_meet_the_verdict_of_the_sdk(device: Callable, long: bool) -> None:
    """Items with a few bytes changed: device and SDK accept the same ones, as the same value, and refuse the rest."""
    chance = random.Random(4)
    cases = []
    for data in sample(5, 4000 if long else 400):
        damaged = bytearray(data[:200])
        for _ in range(chance.randrange(1, 4)):
            byte = chance.choice([chance.randrange(256), 0xF5, 0x1F, 0x9F, 0xA1])
            damaged[chance.randrange(min(len(damaged), 40))] = byte
        cases.append(bytes(damaged))
    got = device("for text in cases:\n    put(verdict(bytes.fromhex(text)))\n", [data.hex() for data in cases])
    expected = []
    for data in cases:
        try:
            expected.append([cbor.encode(cbor.decode(data)).hex(), ""])
        except CborError as e:
            expected.append(["", e.reason])
    assert [(data.hex(), each) for data, each in zip(cases, got, strict=True)] == [
        (data.hex(), each) for data, each in zip(cases, expected, strict=True)
    ]
    assert sum(not reason for _, reason in expected) > 20


REFUSED = {
    "trailing": "0000 8000 f4f4",
    "truncated": "18 19ff 41 61 81 a1 a101 5bffffffffffffffff",
    "not-deterministic": "1817 1900ff 1a0000ffff 1b00000000ffffffff 3817 5800 780161 9800 b800",
    "indefinite": "5fff 7fff 9fff bfff ff 1f 3f df",
    "reserved": "1c 3d 5e 9c bd fc fe dc",
    "duplicate-key": "a201000100 a220002001 a3010002000200",
    "key-type": "a1f500 a1f400 a1410000 a1616100 a18000 a1a000",
    "depth": "818181818180 a101a101a101a101a101a0 8181818181a0",
    "items": "9841" + "00" * 65 + " b841 9affffffff bbffffffffffffffff",
    "text": "7841" + "61" * 65,
    "utf8": "61ff 6180 62c080 62c1bf 63e08080 63eda080 64f0808080 64f4908080 64f5808080 61c3 62c3c3",
    "float": "f90000 fa00000000 fb0000000000000000 81f97e00",
    "simple": "f6 f7 e0 f0 f818 f820 f8ff 81f6",
    "tag": "c000 d81800 da0000000000 c1f5 81c241ff",
    "range": "3b8000000000000000 3bffffffffffffffff",
}
UNORDERED = "a202000100 a220000100 a21818001700"


def test_every_other_form_is_refused_with_its_reason(device: Callable) -> None:
    """SPEC section 1: each form that is not the one allowed is refused, with the word the vectors use for it."""
    cases = [(data, ["", reason]) for reason, datas in REFUSED.items() for data in datas.split()]
    cases += [(data, ["", "not-deterministic"]) for data in UNORDERED.split()] + [("", ["", "truncated"])]
    got = device("for text, _ in cases:\n    put(verdict(bytes.fromhex(text)))\n", cases)
    assert [(data, each) for (data, _), each in zip(cases, got, strict=True)] == cases


def test_the_limits_themselves_are_allowed(device: Callable) -> None:
    """64 entries, 64 bytes of text and 5 levels pass; so does the smallest integer."""
    cases = ["9840" + "00" * 64, "7840" + "61" * 64, "8181818180", "3b7fffffffffffffff", "1bffffffffffffffff"]
    assert device("for text in cases:\n    put(verdict(bytes.fromhex(text)))\n", cases) == [
        [text, ""] for text in cases
    ]


def test_encoding_stays_in_its_buffer_and_range(device: Callable) -> None:
    """An item larger than the buffer and an integer beyond 64 bits raise, and no byte outside the buffer changes."""
    body = """
whole = bytearray(64)
small = memoryview(whole)[:16]
for item in (bytes(16), "x" * 17, [1] * 16, {1: bytes(20)}, 1 << 64, -(1 << 63) - 1):
    try:
        cbor.put(small, 0, item)
        put("accepted")
    except (ValueError, IndexError):
        pass
put(cbor.put(small, 0, bytes(15)))
put(len(whole) == 64 and not any(whole[16:]))
"""
    assert device(body, []) == [16, True]
