"""What a writer of captures promises: files that stand alone, and nothing called durable that a crash may take."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.sdk.captures import DESCRIPTOR, FRAMES, HEADER, frame, raws

from vitalwire.capture import Record, Writer, parts, read
from vitalwire.capture import writer as writer_module
from vitalwire.errors import CaptureError, TransportError
from vitalwire_protocol.spec import Kind


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
