"""How frames of a time are found in a long capture without reading all of it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import cbor2
import pytest
from tests.sdk.captures import DESCRIPTOR, FRAMES, HEADER, digest, frame, raws

from vitalwire.capture import Damage, Index, Record, Writer, read, select
from vitalwire_protocol.spec import Key, Kind


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
