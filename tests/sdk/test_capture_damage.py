"""What a capture that is torn, damaged or spoilt still says: every other frame."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.sdk.captures import DESCRIPTOR, FRAMES, HEADER, frame, raws

from vitalwire.capture import Damage, Record, Writer, read
from vitalwire.errors import CaptureError, TransportError
from vitalwire_protocol.spec import CAPTURE_FORMAT, VERSION, Kind, Limit


def written(path: Path, frames: list[bytes], **options: float) -> bytes:
    """Write frames that arrive a microsecond apart; return the file's bytes."""
    with Writer(path, **options) as writer:  # type: ignore[arg-type]
        for received, raw in enumerate(frames, 1000):
            writer.write(raw, received)
    return path.read_bytes()


def test_a_capture_is_a_cbor_sequence_any_tool_reads(tmp_path: Path) -> None:
    """cbor2 alone finds the header, the notes of arrival and the frames, in order."""
    stream = io.BytesIO(written(tmp_path / "a.cbor", [DESCRIPTOR, *FRAMES]))
    items = []
    while stream.tell() < len(stream.getvalue()):
        items.append(cbor2.load(stream))
    assert items[0] == {1: CAPTURE_FORMAT, 2: VERSION}
    assert items[1:3] == [{3: 1000}, cbor2.loads(DESCRIPTOR)]
    assert [item.value[2] for item in items[2::2]] == [cbor2.loads(raw).value[2] for raw in [DESCRIPTOR, *FRAMES]]


def test_frames_come_back_with_their_offsets_and_arrivals(tmp_path: Path) -> None:
    """What was written is read: the bytes, when they arrived, where they stand."""
    path = tmp_path / "a.cbor"
    data = written(path, [DESCRIPTOR, *FRAMES])
    records = list(read(path))
    assert [record.raw for record in records if isinstance(record, Record)] == [DESCRIPTOR, *FRAMES]
    assert [record.received_us for record in records if isinstance(record, Record)] == list(range(1000, 1011))
    assert all(data[r.offset :].startswith(r.raw) for r in records if isinstance(r, Record))


def test_a_tail_torn_at_any_byte_costs_only_the_last_frame(tmp_path: Path) -> None:
    """Cut anywhere in the last record: the reader reports it torn, a new writer cuts it and goes on."""
    whole = written(tmp_path / "whole.cbor", [DESCRIPTOR, *FRAMES[:3]])
    before = len(written(tmp_path / "before.cbor", [DESCRIPTOR, *FRAMES[:2]]))
    path = tmp_path / "torn.cbor"
    for end in range(before, len(whole)):
        path.write_bytes(whole[:end])
        items = list(read(path))
        assert raws(iter(items)) == [DESCRIPTOR, *FRAMES[:2]]
        damage = [item for item in items if isinstance(item, Damage)]
        note = len(cbor2.dumps({3: 1002}))
        if end in (before, before + note):
            assert not damage
        else:
            assert [(item.torn, item.offset + item.length) for item in damage] == [(True, end)]
        with Writer(path) as writer:
            assert writer.cut == end - before
            writer.write(FRAMES[2], 1003)
        assert path.read_bytes() == whole


def test_a_header_torn_at_any_byte_is_written_again(tmp_path: Path) -> None:
    """A file that ends within its first note holds nothing and is begun anew."""
    path = tmp_path / "a.cbor"
    for end in range(len(HEADER)):
        path.write_bytes(HEADER[:end])
        assert [item.torn for item in read(path) if isinstance(item, Damage)] == [True]
        assert written(path, [DESCRIPTOR]).startswith(HEADER)
        assert raws(read(path)) == [DESCRIPTOR]


@pytest.mark.parametrize("data", [b"hello, this is no capture", HEADER[:-1] + b"\x02", b"\xa1\x01\x02"])
def test_what_is_no_capture_is_neither_read_nor_touched(tmp_path: Path, data: bytes) -> None:
    """Another file, or a later version, is a CaptureError for reader and writer, and keeps its bytes."""
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(CaptureError):
        list(read(path))
    with pytest.raises(CaptureError):
        Writer(path)
    assert path.read_bytes() == data


@given(st.integers(0, 2**32), st.integers(0, 255), st.integers(0, 3))
@example(1, 0x1A, 0)  # the note's key, and with its frame it would be one note
@example(2, 0x59, 0)  # its value, and it would be a note around all that follows
@settings(max_examples=300, deadline=None)
def test_damage_in_the_middle_is_reported_and_costs_no_other_frame(position: int, value: int, width: int) -> None:
    """Overwritten bytes lose at most the records they touch; the rest is read, and the loss is seen."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.cbor"
        data = bytearray(written(path, [DESCRIPTOR, *FRAMES]))
        starts = [item.offset for item in read(path)]
        at = len(HEADER) + position % (len(data) - len(HEADER) - width)
        data[at : at + width + 1] = bytes([value]) * (width + 1)
        path.write_bytes(data)
        items = list(read(path))
    ends = [start + len(raw) for start, raw in zip(starts, [DESCRIPTOR, *FRAMES], strict=True)]
    untouched = {
        raw
        for previous, end, raw in zip([len(HEADER), *ends], ends, [DESCRIPTOR, *FRAMES], strict=False)
        if at + width < previous or at >= end
    }
    assert untouched <= set(raws(iter(items)))
    covered = sorted((i.offset, i.offset + (len(i.raw) if isinstance(i, Record) else i.length)) for i in items)
    assert all(a[1] <= b[0] for a, b in pairwise(covered))
    assert len(items) >= len(FRAMES) + 1


def test_garbage_between_frames_is_damage_of_its_length(tmp_path: Path) -> None:
    """Bytes that are no item, however many, are one report with offset and length, and nothing else is lost."""
    garbage = bytes(random.Random(1).randbytes(3 << 20)).replace(b"\xd2", b"\x00")
    path = tmp_path / "a.cbor"
    path.write_bytes(HEADER + DESCRIPTOR + garbage + FRAMES[0] + FRAMES[1])
    items = list(read(path))
    assert raws(iter(items)) == [DESCRIPTOR, FRAMES[0], FRAMES[1]]
    (damage,) = [item for item in items if isinstance(item, Damage)]
    assert (damage.offset, damage.length, damage.torn) == (len(HEADER) + len(DESCRIPTOR), len(garbage), False)


def test_garbage_longer_than_a_record_is_kept_by_a_writer(tmp_path: Path) -> None:
    """Only what one torn write can leave is cut; more than that stays for whoever wants to look at it."""
    path = tmp_path / "a.cbor"
    path.write_bytes(HEADER + DESCRIPTOR + bytes(3 * Limit.MAX_FRAME))
    with Writer(path) as writer:
        assert writer.cut == 0
        writer.write(FRAMES[0])
    items = list(read(path))
    assert [type(item) for item in items] == [Record, Damage, Record]


@pytest.mark.parametrize(
    "item",
    [
        cbor2.dumps({3: 5, 99: [1, {2: b"later"}]}, canonical=True),
        cbor2.dumps({7: "a note of a later version"}),
    ],
)
def test_unknown_notes_are_skipped(tmp_path: Path, item: bytes) -> None:
    """Notes with unknown keys stand between frames without harm and hide no arrival."""
    path = tmp_path / "a.cbor"
    path.write_bytes(HEADER + cbor2.dumps({3: 5}) + item + DESCRIPTOR)
    assert list(read(path)) == [Record(path.stat().st_size - len(DESCRIPTOR), DESCRIPTOR, 5)]


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(b"\x00", id="integer"),
        pytest.param(b"\xbf\x03\x05\xff", id="indefinite"),
        pytest.param(b"\xa1\x18\x03\x05", id="not shortest"),
        pytest.param(b"\xa1\x63abc\x05", id="text key"),
        pytest.param(b"\xa1\x07\x5a\x7f\xff\xff\xff", id="length beyond the limit"),
        pytest.param(b"\xa1\x07\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", id="array beyond the limit"),
        pytest.param(b"\xa1\x07" + b"\x81" * 100 + b"\x00", id="deep"),
        pytest.param(frame(Kind.DATA, 5, size=Limit.MAX_FRAME), id="frame beyond the limit"),
        pytest.param(FRAMES[0][:7] + b"\x5a\x00\x00\x00\x04abcd", id="length not shortest"),
        pytest.param(FRAMES[0].replace(b"\xa0", b"\xa1\x04\x41\x00", 1), id="unprotected header"),
    ],
)
def test_a_wrong_item_is_damage_and_the_next_frame_is_found(tmp_path: Path, item: bytes) -> None:
    """Other CBOR than frames and notes, or beyond a limit, is reported, and the frame behind it is read."""
    path = tmp_path / "a.cbor"
    path.write_bytes(HEADER + DESCRIPTOR + item + FRAMES[3])
    items = list(read(path))
    assert [type(found) for found in items] == [Record, Damage, Record]
    assert (items[1].offset, items[1][1]) == (len(HEADER) + len(DESCRIPTOR), len(item))
    assert raws(iter(items)) == [DESCRIPTOR, FRAMES[3]]


def test_esp256_frames_are_frames(tmp_path: Path) -> None:
    """The second algorithm of SPEC.md section 2 is read as well."""
    path = tmp_path / "a.cbor"
    path.write_bytes(HEADER + FRAMES[0].replace(b"\xa1\x01\x26", b"\xa1\x01\x28"))
    assert len(raws(read(path))) == 1


def test_reading_gives_the_same_at_every_chunk_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the reader's chunks end makes no difference, not even with damage across them."""
    path = tmp_path / "a.cbor"
    path.write_bytes(written(path, [DESCRIPTOR, *FRAMES[:2]]) + bytes(50) + FRAMES[3] + FRAMES[4][:60] + FRAMES[5][:-9])
    expected = list(read(path))
    for chunk in [*range(1, 40), 100, 101, 1000]:
        monkeypatch.setattr("vitalwire.capture.reader.CHUNK", chunk)
        assert list(read(path)) == expected


def test_bytes_of_any_value_are_survived(tmp_path: Path) -> None:
    """Noise, and frames sprinkled into noise, give items that lie in the file without overlap, and end at its end."""
    rng = random.Random(7)
    path = tmp_path / "a.cbor"
    for _ in range(200):
        pieces = [rng.randbytes(rng.randrange(300)) for _ in range(rng.randrange(6))]
        pieces += [rng.choice(FRAMES)[: rng.randrange(200)] for _ in range(rng.randrange(6))]
        rng.shuffle(pieces)
        data = HEADER + b"".join(pieces)
        path.write_bytes(data)
        at = len(HEADER)
        for item in read(path):
            assert item.offset >= at
            at = item.offset + (len(item.raw) if isinstance(item, Record) else item.length)
            assert not isinstance(item, Record) or data[item.offset : at] == item.raw
        assert at <= len(data)


BOUNDED = """
import resource, sys
from vitalwire.capture import Index, read
soft = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for _ in read(sys.argv[1]))
Index.open(sys.argv[1])
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - soft)
"""


def test_a_large_capture_needs_little_memory(tmp_path: Path) -> None:
    """Reading and indexing 150 MB takes less than 20 MB."""
    path = tmp_path / "large.cbor"
    block = b"".join(frame(Kind.DATA, seq, size=3900 - 150) for seq in range(1, 40))
    with path.open("wb") as file:
        file.write(HEADER)
        for _ in range(1000):
            file.write(block)
    result = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(path)], capture_output=True, text=True, timeout=120, check=True
    )
    count, grown = map(int, result.stdout.split())
    assert count == 39_000
    assert grown * (1 if sys.platform == "darwin" else 1024) < 20 << 20


def test_what_cannot_be_opened_is_a_transport_error(tmp_path: Path) -> None:
    """A missing file or folder is an error of one line, not a traceback of the system's."""
    with pytest.raises(TransportError, match="No such file"):
        list(read(tmp_path / "none.cbor"))
    with pytest.raises(TransportError, match="No such file"):
        Writer(tmp_path / "none" / "a.cbor")
    with pytest.raises(TransportError):
        Writer(tmp_path)
