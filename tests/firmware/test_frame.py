"""Frames as the device makes them: read with cbor2, verified by OpenSSL, linked by their digests."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.openssl import openssl_verifies, public

from vitalwire.frame import parse
from vitalwire.registry import Registry
from vitalwire.verdict import verify

HERE = Path(__file__).resolve().parent
FIRMWARE = HERE.parents[1] / "firmware"
AAD = b"vitalwire/1 frame"
LARGEST = 3980  # a frame, so that every sector has room for one
# at most, about 10 ms of an ESP32 each
SLICE = {"long": 0, "bytecode": 700, "sha": 70, "modmul": 40, "viper": 1}

Device = Callable[[str], list[Any]]
KEY = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value


@pytest.fixture
def device(micropython: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> Device:
    """Run statements on the device beside `frame_mp`; returns what they printed, line by line."""

    def run(body: str) -> list[Any]:
        modules = Path(f"{FIRMWARE}:{HERE}")
        script = "import sys\nfrom frame_mp import *\n" + body
        done = micropython(script, str(tmp_path / "flash"), f"{KEY:064x}", heap="256k", path=modules)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def opened(raw: bytes) -> dict[int, Any]:
    """Return the map of a frame, its form and signature checked against SPEC section 2 without any code of ours."""
    message = cbor2.loads(raw)
    assert message.tag == 18
    protected, unprotected, payload, signature = message.value
    assert (protected, unprotected) == (bytes.fromhex("a10126"), {})
    assert cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature])) == raw
    signed = cbor2.dumps(["Signature1", protected, AAD, payload])
    assert openssl_verifies(public(KEY), hashlib.sha256(signed).digest(), signature)
    fields = cbor2.loads(payload)
    assert cbor2.dumps(dict(sorted(fields.items(), key=lambda pair: cbor2.dumps(pair[0])))) == payload
    return fields


def chain(lines: list[Any]) -> list[dict[int, Any]]:
    """Return the maps of the frames printed, after checking each against the one before."""
    frames = [(line, bytes.fromhex(line["frame"])) for line in lines if type(line) is dict and line["seq"]]
    prev, seq = bytes(16), 0
    maps = []
    for line, raw in frames:
        fields = opened(raw)
        assert fields[3] == line["seq"] > seq
        assert (fields[2], fields[4]) == (line["boot"], prev)
        prev, seq = hashlib.sha256(raw).digest()[:16], fields[3]
        maps.append(fields)
    return maps


def test_every_kind_is_signed_and_linked(device: Device) -> None:
    """Descriptor, event, data and status frames have their keys in order, link to each other and verify."""
    body = """
maker = boot(utc=(1767225600000000, 12))
made(maker, maker.describe(5, contents()))
made(maker, maker.events(1000, [(wire.EVENT_BOOT, 10, maker.boot_details(1)), (wire.EVENT_LEAD_OFF, 1000, {1: 0})]))
made(maker, maker.data(2000000, [Stream(500, 2000000, 400), Stream(0, 0, 0), Stream(9, 1999000, 30)],
    [(0, 1, 0, 4), (0, 2, 7, 1)], [(9, 1500000, 87)]))
made(maker, maker.data(3000000, (), (), [(9, 3000000, 88)]))
made(maker, maker.status(1 << 40, {1: 7, 12: 1 << 20}))
"""
    lines = device(body)
    descriptor, events, data, scalars, status = chain(lines)
    digest = hashlib.sha256(bytes.fromhex(lines[0]["frame"])).digest()[:8]
    assert [each[1] for each in (descriptor, events, data, scalars, status)] == [1, 3, 2, 2, 4]
    assert 5 not in descriptor
    assert {each[5] for each in (events, data, scalars, status)} == {digest}
    assert (events[6], events[7], events[8]) == (1000, 1767225600000000, 12)
    assert events[12] == [[1, -990, {3: 1}], [2, 0, {1: 0}]]
    assert data[10] == [[0, 1, 0, 4], [0, 2, 7, 1]]
    assert data[11] == [[9, -500000, 87]]
    assert 9 not in scalars
    assert (status[6], status[13]) == (1 << 40, {1: 7, 12: 1 << 20})
    assert len(descriptor[22]) == 12


def block(length: int, coding: int) -> bytes:
    """Return the block that a `Stream` of frame_mp writes."""
    head = length << 3 | coding
    return bytes([head] if head < 128 else [head & 127 | 128, head >> 7]) + bytes(1 + i & 255 for i in range(length))


@pytest.mark.parametrize("length", [0, 4, 11, 15, 16, 60, 123, 124, 300])
def test_readouts_stand_in_order_behind_the_shortest_head(device: Device, length: int) -> None:
    """Readouts have count, ticks relative to the one before, and blocks, whatever the length of the byte string."""
    body = f"""
maker = boot()
made(maker, maker.describe(5, contents()))
made(maker, maker.data(700, [Stream(0, 0, 0), Stream(3, 700, {length}), Stream(0, 0, 0), Stream(200, 650, {length})]))
"""
    pair = block(length, 0) + block(length, 1)
    readouts = b"\x00\x03" + pair + b"\x00\xc8\x01" + bytes([2 * 50 - 1]) + pair
    assert chain(device(body))[1][9] == readouts


def test_a_repeated_descriptor_is_no_new_frame(device: Device) -> None:
    """A boot with the same descriptor takes the one in the journal; another content makes a new one."""
    body = """
maker = boot()
made(maker, maker.describe(5, contents()))
made(maker, maker.status(6, {1: 1}))
maker = boot()
made(maker, maker.describe(7, contents()))
made(maker, maker.status(8, {1: 1}))
maker = boot()
made(maker, maker.describe(9, contents("vital-0002")))
made(maker, maker.status(10, {1: 1}))
"""
    lines = device(body)
    first, one, two, second, three = chain(lines)
    assert lines[2]["seq"] == 0
    assert one[5] == two[5] != three[5]
    assert (first[17], second[17]) == ("vital-0001", "vital-0002")
    assert [each[3] for each in (first, one, two, second, three)] == [1, 2, 4, 6, 7]


def test_the_boot_event_names_what_was_burned(device: Device) -> None:
    """From the second boot on: the burned numbers and the digest that the boot's first frame links to."""
    body = """
maker = boot()
made(maker, maker.describe(5, contents()))
made(maker, maker.events(6, [(1, 6, maker.boot_details(1))]))
boot()
maker = boot()
made(maker, maker.describe(5, contents("other")))
made(maker, maker.events(6, [(1, 6, maker.boot_details(3))]))
"""
    _, first, descriptor, second = chain(device(body))
    assert first[12] == [[1, 0, {3: 1}]]
    assert second[12] == [[1, 0, {3: 3, 4: 3, 5: 4, 6: descriptor[4]}]]
    assert descriptor[3] == 5


def test_a_drop_is_declared_by_the_next_event_frame(device: Device) -> None:
    """Once the ring is full, an event frame carries range, PREV and DIGEST of what was given up, once."""
    body = """
maker = boot()
made(maker, maker.describe(5, contents()))
while not maker.journal.dropped:
    made(maker, maker.data(700, [Stream(3, 700, 600)]))
made(maker, maker.events(800, []))
put(bool(maker.journal.dropped))
made(maker, maker.events(900, [(4, 900, {})]))
"""
    lines = device(body)
    raws = {line["seq"]: bytes.fromhex(line["frame"]) for line in lines if type(line) is dict}
    *_, declared, after = chain(lines)
    ((code, _, details),) = declared[12]
    assert (code, details[4]) == (10, 1)
    assert details[13] == bytes(16)
    assert details[6] == hashlib.sha256(raws[details[5]]).digest()[:16]
    assert opened(raws[details[5] + 1])[4] == details[6]
    assert lines[-2] is False
    assert after[12] == [[4, 0, {}]]


def test_what_does_not_fit_uses_no_number(device: Device) -> None:
    """Too many samples, marks, scalars or events for one frame are refused, and the next frame has the next number."""
    body = """
maker = boot()
made(maker, maker.describe(5, contents()))
for work in (
    lambda: maker.data(700, [Stream(3, 700, 2100)]),
    lambda: maker.data(701, [Stream(3, 700, 1)]),
    lambda: maker.data(700, (), [(0, 1, 0, 1)] * 33),
    lambda: maker.data(700, (), (), [(0, 1, 1)] * 33),
    lambda: maker.events(700, [(2, 700, {1: 0})] * 17),
    lambda: maker.status(-(1 << 64), {}),
    lambda: maker.describe(5, encoded({16: 1, 22: [{1: "x" * 64}] * 60})),
):
    try:
        made(maker, work())
        put("made")
    except (ValueError, IndexError):
        pass
made(maker, maker.data(700, [Stream(3, 700, 1870)], [(0, 1, 0, 1)] * 2))
"""
    lines = device(body)
    assert [line["seq"] for line in lines] == [1, 2]
    chain(lines)
    assert LARGEST - 150 < len(lines[1]["frame"]) // 2 <= LARGEST


def test_a_full_journal_that_stops_makes_nothing(device: Device) -> None:
    """Under `stop` data is refused first and events still pass; nothing is signed in vain and no number is missing."""
    body = """
maker = boot(stop=True)
made(maker, maker.describe(5, contents()))
while made(maker, maker.data(700, [Stream(3, 700, 600)])):
    pass
made(maker, maker.events(800, [(11, 800, {})]))
newest = maker.journal.newest
maker.journal.acknowledge(1, newest)
made(maker, maker.data(900, [Stream(3, 900, 600)]))
"""
    lines = device(body)
    refused = [line for line in lines if not line["seq"]]
    assert len(refused) == 1
    assert "modmul" not in refused[0]["work"]
    maps = chain(lines)
    assert [each[3] for each in maps] == list(range(1, len(maps) + 1))
    assert maps[-2][12] == [[11, 0, {}]]


def test_one_at_a_time_and_only_what_is_durable_is_there(device: Device) -> None:
    """While one maker runs a second is refused and nobody finds the frame; work comes in short slices."""
    body = """
maker = boot()
try:
    made(maker, maker.status(1, {}))
except RuntimeError:
    put("no descriptor yet")
made(maker, maker.describe(5, contents()))
work = maker.data(700, [Stream(3, 700, 1500)], [(0, 1, 0, 1)] * 20)
buf = bytearray(4032)
most = {}
for kind, n in work:
    most[kind] = max(n, most.get(kind, 0))
    if maker.journal.newest < 2:
        assert not maker.journal.read(2, buf) and not maker.journal.next_unacked(1)
    for other in maker.status(701, {}), maker.events(702, []), maker.describe(703, b"\\xa0"):
        try:
            next(other)
            put("began")
        except RuntimeError:
            pass
put(most)
put(bytes(maker.frame) == bytes(buf[:maker.journal.read(2, buf)]))
work = maker.data(800, [Stream(3, 800, 10)])
next(work)
work.close()
made(maker, maker.status(900, {}))
"""
    lines = device(body)
    assert lines[0] == "no descriptor yet"
    assert all(n <= SLICE[kind] for kind, n in lines[2].items()), lines[2]
    assert lines[3] is True
    assert lines[4]["seq"] == 3
    opened(bytes.fromhex(lines[4]["frame"]))


@pytest.mark.parametrize("boots", [1, 16, 25])
def test_a_verdict_explains_all_that_a_device_gave_up(device: Device, boots: int) -> None:
    """Frames of many turns of the ring that nobody read, boot events and declarations among them: none is missing."""
    point = ec.derive_private_key(KEY, ec.SECP256R1()).public_key().public_numbers()
    body = f"""
fields = contents("vital-0001", bytes.fromhex("{point.x:064x}"), bytes.fromhex("{point.y:064x}"))
def finish(work):
    for _ in work: pass
def begin():
    global maker
    maker = boot()
    finish(maker.describe(5, fields))
    finish(maker.events(6, [(wire.EVENT_BOOT, 6, maker.boot_details(1))]))
begin()
journal = maker.journal
buf = memoryview(bytearray(4096))
def show():
    seq = 0
    while True:
        seq = journal.next_unacked(seq)
        if not seq: break
        put(bytes(buf[:journal.read(seq, buf)]).hex())
show()
journal.acknowledge(1, 2)
journal.flush()
for life in range({boots}):
    if life:
        begin()
        journal = maker.journal
    for i in range({200 if boots == 1 else 7}):
        ticks = 100 + 2 * i
        finish(maker.data(ticks, [Stream(500, ticks, 400)]))
        if journal.dropped:
            finish(maker.events(ticks + 1, []))
show()
"""
    raws = [bytes.fromhex(line) for line in device(body)]
    with Registry() as registry:
        registry.enrol(parse(raws[0]).body.thumbprint, "device")
        (verdict,) = verify(raws, registry).devices
    assert verdict.ok, verdict
    assert verdict.verified == len(raws)
    assert verdict.dropped > 60
    assert verdict.verified + verdict.dropped + verdict.burned == verdict.head
