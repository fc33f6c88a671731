"""A frame explained field by field: every byte once, whatever the bytes are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.walk import recorded

from vitalwire.frame import parse
from vitalwire.inspect import Row, explain
from vitalwire.messages import Calibration, Decimal10, Descriptor
from vitalwire.testing import FakeDevice, flipped, high_s
from vitalwire_protocol.spec import Durable, Event, EventKey, Mark

CURVE = Calibration(150456, (Decimal10(1105, -1), Decimal10(-25, 0)))
DEVICE = FakeDevice("inspected", calibrations=[CURVE, Calibration(7, CURVE.coefficients)], durable=Durable.BROKER)
DEVICE.utc_us = 1_760_000_000_000_000
BODY = parse(DEVICE.descriptor()).body
assert BODY is not None
DESCRIPTOR: Descriptor = BODY
SAMPLES = {name: values[:64] for name, values in recorded().items() if not name.startswith("ppg")}
FRAMES = {
    "descriptor": DEVICE.descriptor(),
    "data": DEVICE.data(SAMPLES, marks=[(0, Mark.LEAD_OFF, 3, 7)], scalars=[(6, -5, 8200)]),
    "event": DEVICE.events((Event.BOOT, {EventKey.CAUSE: 3, EventKey.DIGEST: bytes(16), EventKey.ESTIMATED: True})),
    "status": DEVICE.status({1: 70_000, 12: 9000}),
    "unknown": DEVICE.make(2, {99: [1, [2]], 100: {1: "text"}, 101: -3}),
}


def said(rows: list[Row], *words: str) -> Row:
    """Return the one row whose meaning has all the words."""
    (row,) = [row for row in rows if all(word in row.meaning for word in words)]
    return row


def assert_whole(rows: list[Row], raw: bytes) -> None:
    """Check that the rows have every byte once, in order."""
    at = 0
    for row in rows:
        assert row.offset == at
        at += len(row.data)
    assert b"".join(row.data for row in rows) == raw


@pytest.mark.parametrize("kind", FRAMES)
def test_every_byte_stands_in_one_row(kind: str) -> None:
    """The rows of a good frame of any kind are its bytes in order, and none of them is unexplained."""
    rows = explain(FRAMES[kind], DESCRIPTOR)
    assert_whole(rows, FRAMES[kind])
    assert not [row for row in rows if "not readable" in row.meaning or "belongs to nothing" in row.meaning]


def test_fields_are_told_with_path_and_meaning() -> None:
    """Number, kind, time, marks and single readings of a data frame are named, with their bytes and paths."""
    raw = FRAMES["data"]
    rows, frame = explain(raw, DESCRIPTOR), parse(raw)
    assert said(rows, "KIND = DATA").path == "/2/1"
    assert said(rows, f"SEQ = {frame.seq}").data == bytes([3, frame.seq])
    assert said(rows, "PREV, 16 bytes").data[2:] == frame.prev
    assert "2025-10-09" in said(rows, "UTC = ").meaning
    assert said(rows, "mark = LEAD_OFF").path == "/2/10/0/1"
    assert "(temperature_skin)" in said(rows, "channel = 6").meaning
    assert "-0.000005 s" in said(rows, "ticks from the frame's").meaning
    assert said(rows, "counts = 8200").depth > said(rows, "KIND = DATA").depth
    assert said(rows, "tag 18").data == b"\xd2"
    assert said(rows, "s, low").data == raw[-32:]


def test_blocks_are_told_with_coding_and_overhead() -> None:
    """Of each block there is its coding, count, range and the bits beside its samples; empty streams are named too."""
    rows = explain(FRAMES["data"], DESCRIPTOR)
    ecg = SAMPLES["ecg_lead_i"]
    head = said(rows, "block of ecg_lead_i: LIFT")
    assert head.path.endswith("/2/9/stream 0/ecg_lead_i")
    body = rows[rows.index(head) + 1]
    assert f"64 samples from {ecg[0]} to {ecg[-1]}, lowest {ecg.min()}, highest {ecg.max()}" in body.meaning
    assert "bits beside" in body.meaning
    assert "differences of order" in body.meaning
    assert said(rows, "0 samples of each of ppg_red, ppg_ir").data == b"\x00"
    assert "after that of the readout before" in " ".join(row.meaning for row in rows)
    assert len([row for row in rows if "block of accel" in row.meaning]) == 3


def test_channels_of_a_descriptor_are_told() -> None:
    """A descriptor names each channel's fields, its key's parts, its policy and its calibrations."""
    rows = explain(FRAMES["descriptor"])
    assert said(rows, "NAME = 'ecg_lead_i'").path == "/2/22/0/1"
    assert said(rows, f"mantissa = {DEVICE.channels[0].scale.mantissa}").path == "/2/22/0/8/0"
    assert "P" not in said(rows, "CRV = 1").meaning[6:]
    assert said(rows, "POLICY = SIGN")
    assert said(rows, "DEVICE = 'inspected'")
    assert said(rows, "SPO2, 2 entries")
    assert said(rows, "DURABLE = BROKER")
    assert said(rows, "mantissa = 1105").path == "/2/23/150456/0/0"


def test_events_and_counters_are_told() -> None:
    """Events have names, their details too; counters are named."""
    rows = explain(FRAMES["event"], DESCRIPTOR)
    assert said(rows, "event = BOOT")
    assert said(rows, "CAUSE = WATCHDOG")
    assert said(rows, "ESTIMATED = True")
    rows = explain(FRAMES["status"], DESCRIPTOR)
    assert said(rows, "UPTIME_S = 70000").path == "/2/13/1"


def test_what_is_wrong_is_told() -> None:
    """A high s, an unprotected header, a missing descriptor and a cut frame are said where they stand."""
    assert said(explain(high_s(FRAMES["data"]), DESCRIPTOR), "s, high")
    without = explain(FRAMES["data"])
    assert "not readable without their descriptor" in " ".join(row.meaning for row in without)
    assert_whole(without, FRAMES["data"])
    cut = explain(FRAMES["data"][:100], DESCRIPTOR)
    assert "not readable from here on" in cut[-1].meaning
    more = explain(FRAMES["data"] + b"xx", DESCRIPTOR)
    assert (more[-1].data, "must be none" in more[-1].meaning) == (b"xx", True)
    assert explain(b"", None)[0].meaning.startswith("not readable")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FRAMES)), st.integers(0, 1 << 20), st.integers(0, 5000))
def test_bad_bytes_are_explained_as_far_as_they_go(kind: str, bit: int, length: int) -> None:
    """One changed bit and a cut anywhere raise nothing, and still every byte stands in one row."""
    raw = flipped(FRAMES[kind], bit)[: length or None]
    if raw:
        assert_whole(explain(raw, DESCRIPTOR), raw)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_explained(raw: bytes) -> None:
    """Any bytes are explained to their end, in bounded time and depth."""
    assert_whole(explain(raw, DESCRIPTOR), raw)


def test_deep_nesting_is_bounded() -> None:
    """Arrays within arrays without end do not exhaust the stack."""
    raw = FRAMES["status"]
    start = raw.index(b"\x0d\xa2")
    deep = raw[:start] + b"\x0d" + b"\x81" * 3000 + raw[start:]
    assert_whole(explain(deep, DESCRIPTOR), deep)
