"""A capture judged in pieces by several workers gives what one reader gives, whatever was done to the capture."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vitalwire import ahead, cbor, offline
from vitalwire import survey as module
from vitalwire.capture import Damage, Record, read, splits
from vitalwire.capture.reader import HEADER
from vitalwire.crew import Crew
from vitalwire.errors import CaptureError, InputError, TransportError
from vitalwire.frame import parse
from vitalwire.messages import Descriptor, Frame
from vitalwire.offline import Reader
from vitalwire.registry import Registry
from vitalwire.session import proof
from vitalwire.signals import Signals
from vitalwire.survey import Places, survey
from vitalwire.testing import FakeDevice, flipped, forged, high_s, unprotected
from vitalwire.verdict import as_dict, verify
from vitalwire_protocol.spec import Kind, NoteKey

NOW = 1_790_000_000_000_000
PIECE = 2048  # bytes: a few frames


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    """Two workers."""
    with Crew(2) as workers:
        yield workers


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut even small captures into many pieces."""
    monkeypatch.setattr(module, "PIECE", PIECE)


DEVICES = [FakeDevice("one"), FakeDevice("two")]
STRANGER = FakeDevice("stranger")


def _record() -> list[bytes]:
    raws = [device.descriptor() for device in DEVICES]
    for number in range(60):
        device = DEVICES[number // 7 % 2]
        if number % 20 == 13:
            raws.append(device.reboot(burn=number % 3))
        raws.append(device.status() if number % 5 == 3 else device.data({"ecg_lead_i": range(40 + number)}))
    return raws


RECORD = _record()
INSIDE = FakeDevice("inside").descriptor()


def _hiding(raws: list[bytes]) -> list[bytes]:
    """Add frames that carry a whole frame inside, so that pieces seem to end where they do not."""
    hidden = [DEVICES[0].make(Kind.DATA, {1000: bytes(900) + INSIDE}) for _ in range(20)]
    return [*raws, *hidden]


Change = Callable[[list[bytes]], list[bytes]]


def _at(place: int, change: Callable[[bytes], bytes]) -> Change:
    return lambda raws: [*raws[:place], change(raws[place]), *raws[place + 1 :]]


CHANGES: dict[str, Change] = {
    "nothing": list,
    "a bit": _at(30, lambda raw: flipped(raw, 4 * len(raw))),
    "the first descriptor's bit": _at(0, lambda raw: flipped(raw, -1)),
    "high s": _at(31, high_s),
    "an unprotected header": _at(32, unprotected),
    "another key": _at(40, forged),
    "bits everywhere": lambda raws: [flipped(raw, -9) if n % 9 == 8 else raw for n, raw in enumerate(raws)],
    "removed": lambda raws: raws[:25] + raws[28:],
    "twice": lambda raws: raws + raws[10:40],
    "backwards": lambda raws: raws[:2] + raws[:1:-1],
    "a descriptor late": lambda raws: raws[2:20] + raws[:2] + raws[20:],
    "no descriptor": lambda raws: raws[2:],
    "a stranger": lambda raws: [*raws[:30], STRANGER.descriptor(), STRANGER.status(), *raws[30:]],
    "garbage": lambda raws: [*raws[:30], b"\xff" * 3000, *raws[30:], b"\x01\x02"],
    "a torn end": lambda raws: [*raws[:-1], raws[-1][:-7]],
    "a torn middle": lambda raws: [*raws[:33], raws[33][:-7], *raws[34:]],
    "frames within frames": _hiding,
    "no frame": lambda raws: [],
}


READ = [name for name in CHANGES if name != "no frame"]  # that leave something to read in order


def _written(path: Path, raws: list[bytes]) -> Path:
    """Write a capture by hand, every third item with a note of its arrival, some of them before they were made."""
    notes = [cbor.encode({int(NoteKey.RECEIVED): NOW + 1000 * n}) if n % 3 else b"" for n in range(len(raws))]
    path.write_bytes(HEADER + b"".join(note + raw for note, raw in zip(notes, raws, strict=True)))
    return path


def _enrolled() -> Registry:
    registry = Registry()
    for device in DEVICES:
        registry.enrol(device.thumbprint, device.name)
    return registry


def _rows(places: Places) -> list[list[int]]:
    return [list(each) for each in (places.numbers, places.offsets, places.received, places.which)]


@pytest.mark.parametrize("by_chain", [True, False], ids=["chain", "signatures"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_workers_change_nothing(tmp_path: Path, crew: Crew, change: Change, by_chain: bool) -> None:
    """Verdict, its JSON, damage and places are the same to the letter with workers, without, and read in one go."""
    paths = [_written(tmp_path / "a.vwc", change(RECORD)), _written(tmp_path / "b.vwc", RECORD[40:])]
    with _enrolled() as registry:
        alone, together = (survey(paths, registry, by_chain=by_chain, placed=True, crew=each) for each in (None, crew))
        items = [(path, item) for path in paths for item in read(path)]
        records = [item for _, item in items if isinstance(item, Record)]
        assert alone.verdict == verify([item[1:] for item in records], registry, by_chain=by_chain)
    assert alone.damage == tuple((path, item) for path, item in items if isinstance(item, Damage))
    assert list(alone.places.offsets) == [item.offset for item in records]
    assert alone.verdict == together.verdict
    assert as_dict(alone.verdict) == as_dict(together.verdict)
    assert (alone.damage, alone.thumbprints) == (together.damage, together.thumbprints)
    assert _rows(alone.places) == _rows(together.places)
    assert len(alone.places.numbers) == alone.verdict.frames > 0


def test_pieces_are_taken_from_workers(tmp_path: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a capture in order only the first piece is read here, of one with a forged frame one more."""
    own: list[int] = []
    reading = module._Survey._read
    monkeypatch.setattr(module._Survey, "_read", lambda work, piece: own.append(piece.start) or reading(work, piece))
    good, bad = _written(tmp_path / "a.vwc", RECORD), _written(tmp_path / "b.vwc", CHANGES["a bit"](RECORD))
    with _enrolled() as registry:
        assert survey([good], registry, crew=crew).verdict.ok
        assert own == [0]
        assert len(splits(good, PIECE)) > 5
        assert not survey([bad], registry, crew=crew).verdict.ok
        assert len(own) == 3


def test_progress_reaches_the_end(tmp_path: Path, crew: Crew) -> None:
    """Progress rises to the size of all files, with workers and without."""
    paths = [_written(tmp_path / name, CHANGES["a bit"](RECORD)) for name in ("a.vwc", "b.vwc")]
    size = sum(path.stat().st_size for path in paths)
    for each in (crew, None):
        heard: list[tuple[int, int]] = []
        with _enrolled() as registry:
            survey(paths, registry, crew=each, watch=lambda done, total, to=heard: to.append((done, total)))
        assert heard == sorted(heard)
        assert heard[-1] == (size, size)
        assert len(heard) > 5


def test_a_second_file_that_is_no_capture_is_refused(tmp_path: Path, crew: Crew) -> None:
    """What a worker cannot read is the same typed error as without one."""
    (tmp_path / "b.vwc").write_bytes(b"hello" * 1000)
    paths = [_written(tmp_path / "a.vwc", RECORD), tmp_path / "b.vwc"]
    with _enrolled() as registry, pytest.raises(CaptureError, match="is not a capture"):
        survey(paths, registry, crew=crew)
    with _enrolled() as registry, pytest.raises(TransportError, match="cannot read"):
        survey([tmp_path / "c.vwc"], registry, crew=crew)


@pytest.mark.parametrize("change", [CHANGES[name] for name in READ], ids=READ)
def test_a_reader_with_workers_reads_the_same(
    tmp_path: Path, crew: Crew, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames come in the same order with the same samples and times, and the same is told of all that is refused."""
    monkeypatch.setattr(ahead, "CHUNK", 8)
    monkeypatch.setattr(time, "time_ns", lambda: 1000 * (NOW + 1_000_000))  # where nobody noted the arrival
    path = _written(tmp_path / "a.vwc", change(RECORD))
    told: dict[bool, list[str]] = {False: [], True: []}
    with _enrolled() as registry:
        alone, together = (
            list(Reader(path, registry, crew=each).frames(tell=lambda outcome, to=to: to.append(repr(outcome))))
            for each, to in ((None, told[False]), (crew, told[True]))
        )
        records = [item for item in read(path) if isinstance(item, Record)]
    assert [frame.raw for frame in alone] == [frame.raw for frame in together]
    assert told[False] == told[True]
    assert len(alone) + len(told[False]) >= len(records) > 0
    for one, other in zip(alone, together, strict=True):
        assert one.verified == other.verified
        assert one.signals.keys() == other.signals.keys()
        for name, signal in one.signals.items():
            assert signal == replace(other.signals[name], counts=signal.counts)
            assert np.array_equal(signal.counts, other.signals[name].counts)
            assert np.array_equal(signal.time, other.signals[name].time, equal_nan=True)  # type: ignore[arg-type]


def test_workers_take_most_of_the_work(tmp_path: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the first frames no signature is verified and no sample decoded by who reads in order."""
    monkeypatch.setattr(ahead, "CHUNK", 40)
    verified: list[bytes] = []
    decoded: list[int] = []
    verify_one, decode_all = proof.verify_sign1, offline.decode_many

    def decode(frames: Iterable[tuple[Frame, Descriptor]]) -> Iterator[Signals | InputError]:
        listed = list(frames)
        decoded.extend(frame.seq for frame, _ in listed)
        return decode_all(listed)

    monkeypatch.setattr(proof, "verify_sign1", lambda raw, key: verified.append(raw) or verify_one(raw, key))
    monkeypatch.setattr(offline, "decode_many", decode)
    device = FakeDevice("one")
    raws = [device.descriptor(), *(device.data({"ecg_lead_i": range(40 + n)}) for n in range(150))]
    with Registry() as registry:
        registry.enrol(device.thumbprint, device.name)
        assert len(list(Reader(_written(tmp_path / "a.vwc", raws), registry, crew=crew).frames())) == len(raws)
    assert verified == raws[:40]
    assert decoded == list(range(1, 41))


def test_a_workers_word_is_for_one_key_and_one_descriptor(crew: Crew) -> None:
    """What was verified by one device's key proves nothing for another's, and no samples are another descriptor's."""
    one, other = FakeDevice("one"), FakeDevice("two")
    known = [parse(device.descriptor()).body for device in (one, other)]
    raws = [one.data({"ecg_lead_i": range(40)}), forged(one.data({"ecg_lead_i": range(50)}))]
    looking = ahead.Ahead(crew)
    for body in known:
        assert body is not None
        looking.learn(body)
    assert list(looking.frames([(raw, NOW) for raw in raws])) == [(raw, NOW) for raw in raws]
    said = [[looking.is_signed(raw, body.public_key) for body in known if body] for raw in raws]
    assert said == [[True, False], [False, False]]
    assert [looking.signals(raws[0], body) is None for body in known if body] == [False, True]
    assert known[0] is not None
    assert not looking.is_signed(high_s(raws[0]), known[0].public_key)
