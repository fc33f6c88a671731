"""Captures: what a crash, a full disk, rotation, damage and a seek do to a file of frames."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitalwire.capture import Damage, Index, Record, Writer, parts, read, select
from vitalwire.capture import writer as writer_module
from vitalwire.errors import CaptureError, TransportError
from vitalwire_protocol.spec import CAPTURE_FORMAT, VERSION, Key, Kind, Limit

HEADER = cbor2.dumps({1: CAPTURE_FORMAT, 2: VERSION}, canonical=True)


def frame(kind: int, seq: int, *, descriptor: bytes = bytes(8), utc: int | None = None, size: int = 40) -> bytes:
    """Return a frame of the right form, made with cbor2; its signature is noise, which a capture does not judge."""
    payload = {Key.KIND: kind, Key.BOOT: 1, Key.SEQ: seq, Key.PREV: bytes(16), Key.TICKS: seq * 2_000_000}
    if kind != Kind.DESCRIPTOR:
        payload[Key.DESCRIPTOR] = descriptor
    if utc is not None:
        payload[Key.UTC], payload[Key.UTC_ACCURACY] = utc, 10
    noise = random.Random(seq)
    payload[Key.BLOCKS] = noise.randbytes(size)
    body = cbor2.dumps({int(key): value for key, value in payload.items()}, canonical=True)
    return cbor2.dumps(cbor2.CBORTag(18, [bytes.fromhex("a10126"), {}, body, noise.randbytes(64)]))


def digest(descriptor: bytes) -> bytes:
    """Return what frames call a descriptor."""
    return hashlib.sha256(descriptor).digest()[:8]


DESCRIPTOR = frame(Kind.DESCRIPTOR, 1)
FRAMES = [frame(Kind.DATA, seq, descriptor=digest(DESCRIPTOR)) for seq in range(2, 12)]


def written(path: Path, frames: list[bytes], **options: float) -> bytes:
    """Write frames that arrive a microsecond apart; return the file's bytes."""
    with Writer(path, **options) as writer:  # type: ignore[arg-type]
        for received, raw in enumerate(frames, 1000):
            writer.write(raw, received)
    return path.read_bytes()


def raws(items: Iterator[Record | Damage]) -> list[bytes]:
    """Return the frames' bytes."""
    return [item.raw for item in items if isinstance(item, Record)]


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


# ------------------------------------------------------------ writing


def test_rotation_by_size_gives_files_that_stand_alone(tmp_path: Path) -> None:
    """Each file stays within the limit and begins with header and descriptor; together they hold every frame once."""
    path = tmp_path / "night.cbor"
    with Writer(path, max_bytes=700) as writer:
        writer.write(DESCRIPTOR)
        for raw in FRAMES:
            writer.write(raw, 7)
    files = parts(path)
    assert len(files) > 2
    assert [file.name for file in files[:2]] == ["night.cbor", "night-00001.cbor"]
    found = []
    for file in files:
        first, *rest = raws(read(file))
        assert first == DESCRIPTOR
        assert file.stat().st_size <= 700
        found += rest
    assert found == FRAMES


def test_a_frame_larger_than_a_file_may_be_is_written_all_the_same(tmp_path: Path) -> None:
    """A limit below a frame's size gives one frame a file and no empty files."""
    path = tmp_path / "a.cbor"
    with Writer(path, max_bytes=10) as writer:
        for raw in FRAMES:
            writer.write(raw)
    assert [raws(read(file)) for file in parts(path)] == [[raw] for raw in FRAMES]


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


def test_rotation_by_time_and_going_on_in_the_last_file(tmp_path: Path) -> None:
    """A file older than asked is followed by a new one, and a new writer appends to the newest."""
    path, now = tmp_path / "a.cbor", [0.0]
    with Writer(path, max_seconds=60, clock=lambda: now[0]) as writer:
        writer.write(DESCRIPTOR)
        now[0] = 59
        writer.write(FRAMES[0])
        now[0] = 60
        writer.write(FRAMES[1])
    with Writer(path) as writer:
        assert writer.path == tmp_path / "a-00001.cbor"
        writer.write(FRAMES[2])
    assert [raws(read(file)) for file in parts(path)] == [
        [DESCRIPTOR, FRAMES[0]],
        [DESCRIPTOR, FRAMES[1], FRAMES[2]],
    ]


def test_a_descriptor_stands_once_and_before_its_frames(tmp_path: Path) -> None:
    """A descriptor handed over with a frame, or seen before a reopening, is written where it is needed, once a file."""
    path = tmp_path / "a.cbor"
    with Writer(path) as writer:
        writer.write(FRAMES[0], descriptor=DESCRIPTOR)
        writer.write(DESCRIPTOR)
    with Writer(path) as writer:
        writer.write(FRAMES[1], descriptor=DESCRIPTOR)
        writer.write(DESCRIPTOR)
    assert raws(read(path)) == [DESCRIPTOR, FRAMES[0], FRAMES[1]]


def test_descriptors_held_for_rotation_are_bounded(tmp_path: Path) -> None:
    """A device that makes descriptors without end does not fill the memory."""
    with Writer(tmp_path / "a.cbor") as writer:
        for seq in range(3 * writer_module.MAX_DESCRIPTORS):
            writer.write(frame(Kind.DESCRIPTOR, seq + 1))
        assert len(writer._known) == len(writer._present) == writer_module.MAX_DESCRIPTORS


def test_durable_is_what_was_synced(tmp_path: Path) -> None:
    """`write` says durable only after an fsync: by its own interval or by `sync`."""
    now = [0.0]
    with Writer(tmp_path / "a.cbor", sync_seconds=5, clock=lambda: now[0]) as writer:
        assert not writer.write(DESCRIPTOR)
        assert writer.pending == 1
        now[0] = 5
        assert writer.write(FRAMES[0])
        assert not writer.write(FRAMES[1])
        writer.sync()
        assert writer.pending == 0


@pytest.mark.skipif(writer_module.fcntl is None, reason="this system has no advisory locks")
def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """A second writer of the same file is refused while the first is open."""
    with Writer(tmp_path / "a.cbor"), pytest.raises(TransportError, match="another process"):
        Writer(tmp_path / "a.cbor")
    Writer(tmp_path / "a.cbor").close()


@pytest.mark.parametrize("raw", [b"", b"\xa0", DESCRIPTOR[:-1], DESCRIPTOR + b"\x00", b"x" * 5000])
def test_only_frames_are_written(tmp_path: Path, raw: bytes) -> None:
    """What has not the form of a frame is refused and leaves the file as it was."""
    with Writer(tmp_path / "a.cbor") as writer:
        with pytest.raises(CaptureError):
            writer.write(raw)
        writer.write(DESCRIPTOR)
    assert raws(read(tmp_path / "a.cbor")) == [DESCRIPTOR]


FULL_DISK = """
import os, resource, signal, sys
from vitalwire.capture import Writer
from vitalwire.errors import TransportError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, frame, limit = sys.argv[1], bytes.fromhex(sys.argv[2]), int(sys.argv[3])
writer = Writer(path)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
count = 0
try:
    while True:
        whole = os.path.getsize(path)
        writer.write(frame)
        count += 1
except TransportError as error:
    print(count, error)
    assert os.path.getsize(path) == whole, "the begun frame is still there"
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
writer.write(frame)
writer.close()
"""


def test_a_disk_that_is_full_in_mid_write_loses_nothing_written(tmp_path: Path) -> None:
    """A write that the system cuts short is undone and reported, and writing goes on when there is room again."""
    path = tmp_path / "a.cbor"
    limit = str(len(HEADER) + 3 * len(FRAMES[0]) + 20)
    command = [sys.executable, "-c", FULL_DISK, str(path), FRAMES[0].hex(), limit]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[0] == "3"
    assert os.strerror(errno.EFBIG) in result.stdout
    assert list(map(type, read(path))) == [Record] * 4


def test_a_failed_fsync_ends_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After fsync has failed nothing is called durable any more: later work is refused."""
    writer = Writer(tmp_path / "a.cbor")
    writer.write(DESCRIPTOR)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(TransportError, match="Input/output error"):
            writer.sync()
    with pytest.raises(TransportError):
        writer.sync()
    with pytest.raises(TransportError):
        writer.write(FRAMES[0])
    assert writer.pending == 1
    writer.close()


KILLED = """
import sys
from vitalwire.capture import Writer
writer = Writer(sys.argv[1])
frames = [bytes.fromhex(line) for line in sys.stdin]
for number, frame in enumerate(frames):
    writer.write(frame)
    writer.sync()
    print(number, flush=True)
"""


def test_what_was_durable_survives_a_kill(tmp_path: Path) -> None:
    """A writer killed at a random moment leaves every frame it called durable, whole and in order."""
    path = tmp_path / "a.cbor"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    many = [frame(Kind.DATA, seq) for seq in range(1, 400)]
    process.stdin.write("\n".join(raw.hex() for raw in many))
    process.stdin.close()
    for _ in range(20):
        durable = int(process.stdout.readline())
    process.kill()
    durable = max([durable, *map(int, process.stdout.read().split())])
    process.wait()
    process.stdout.close()
    found = raws(read(path))
    assert len(found) > durable
    assert found == many[: len(found)]


# ------------------------------------------------------------ index


@pytest.fixture
def long_capture(tmp_path: Path) -> Path:
    """2,000 frames over an hour, the resent half of each hundred behind the live one."""
    path = tmp_path / "long.cbor"
    descriptor = frame(Kind.DESCRIPTOR, 1)
    numbers = [base + step for base in range(2, 2002, 100) for step in [*range(50, 100), *range(50)]]
    with Writer(path) as writer:
        writer.write(descriptor)
        for seq in numbers:
            writer.write(frame(Kind.DATA, seq, descriptor=digest(descriptor), utc=seq * 1_800_000, size=600))
    return path


def seqs(items: Iterator[Record | Damage]) -> list[int]:
    """Return the frames' sequence numbers, read by cbor2."""
    return [cbor2.loads(cbor2.loads(raw).value[2])[Key.SEQ] for raw in raws(items)]


@pytest.mark.parametrize("span", [(2, 2), (777, 777), (700, 812), (1999, 2001), (0, 10**6), (5000, 6000), (9, 3)])
def test_select_finds_what_a_whole_read_finds(long_capture: Path, span: tuple[int, int]) -> None:
    """A range of numbers, or of time, gives the descriptor and exactly those frames, in the order of the file."""
    wanted = [seq for seq in seqs(read(long_capture)) if seq != 1 and span[0] <= seq <= span[1]]
    assert seqs(select(long_capture, seq=span)) == [1, *wanted]
    microseconds = (span[0] * 1_800_000, span[1] * 1_800_000)
    assert seqs(select(long_capture, utc_us=microseconds)) == [1, *wanted]


def test_select_reads_only_a_part(long_capture: Path) -> None:
    """A seek touches stretches around what is wanted, not the whole file."""
    index = Index.open(long_capture)
    touched = sum(stop - start for start, stop in index.spans(seq=(1500, 1502)))
    assert 0 < touched < long_capture.stat().st_size / 4


def test_a_frame_without_utc_is_found_by_its_arrival(tmp_path: Path) -> None:
    """Where no frame says the time the note of arrival does; where neither does, the frame is always given."""
    path = tmp_path / "a.cbor"
    with Writer(path) as writer:
        for seq in range(2, 200):
            writer.write(frame(Kind.DATA, seq, size=3000), seq * 1000 if seq % 2 else None)
    found = seqs(select(path, utc_us=(51_000, 53_000)))
    assert [seq for seq in found if seq % 2] == [51, 53]
    assert [seq for seq in found if not seq % 2] == list(range(2, 200, 2))


def sidecar(path: Path) -> Path:
    """Return where the index is kept."""
    return path.with_name(path.name + ".index")


def test_the_index_is_kept_and_grows_with_the_capture(long_capture: Path) -> None:
    """The sidecar is used as it is while the file is the same, and extended when frames were appended."""
    index = Index.open(long_capture)
    assert index.covered == long_capture.stat().st_size
    kept = sidecar(long_capture).read_bytes()
    assert Index.open(long_capture).stretches.tolist() == index.stretches.tolist()
    assert sidecar(long_capture).read_bytes() == kept
    with Writer(long_capture) as writer:
        writer.write(frame(Kind.DATA, 9000))
    assert seqs(select(long_capture, seq=(9000, 9000)))[1:] == [9000]
    assert sidecar(long_capture).read_bytes() != kept


def test_a_stale_or_damaged_index_is_built_again(long_capture: Path) -> None:
    """An index of a file that was replaced, cut or of which a byte is wrong gives no wrong answer."""
    Index.open(long_capture)
    kept = bytearray(sidecar(long_capture).read_bytes())
    for at in [*range(90), len(kept) // 2, len(kept) - 1]:
        broken = bytearray(kept)
        broken[at] ^= 1
        sidecar(long_capture).write_bytes(broken)
        assert seqs(select(long_capture, seq=(700, 702))) == [1, 700, 701, 702], at
    for cut in (0, 10, len(kept) - 1):
        sidecar(long_capture).write_bytes(kept[:cut])
        assert seqs(select(long_capture, seq=(700, 700))) == [1, 700]
    sidecar(long_capture).write_bytes(kept)
    long_capture.write_bytes(HEADER + b"".join(frame(Kind.DATA, seq) for seq in range(700, 9000)))
    assert seqs(select(long_capture, seq=(700, 701))) == [700, 701]
    long_capture.write_bytes(HEADER + DESCRIPTOR + FRAMES[0])
    assert seqs(select(long_capture, seq=(2, 2))) == [1, 2]


def test_an_index_that_cannot_be_kept_is_still_used(long_capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a read-only medium a seek works without a sidecar."""
    monkeypatch.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(PermissionError(errno.EACCES, "no")))
    assert seqs(select(long_capture, seq=(700, 700))) == [1, 700]
    assert not sidecar(long_capture).exists()


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
