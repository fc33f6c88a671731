"""Every format reads back to the same integers, by the library its users have."""

# ruff: noqa: D103

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.walk import BEGAN_US, MARKED, RATES, Walk, walk

from vitalwire.capture import Writer
from vitalwire.crew import Crew
from vitalwire.errors import BlockError, UsageError
from vitalwire.export import Export, export
from vitalwire.export import stretches as stretches_module
from vitalwire.offline import Reader
from vitalwire.registry import Registry
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Event, Key, Kind

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The inplace keyword")

ReadBack = Callable[[Path, dict[str, Any]], dict[str, NDArray[Any]]]  # file, entry of the manifest -> counts by channel


def from_csv(path: Path, entry: dict[str, Any]) -> dict[str, NDArray[Any]]:
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["stretch"]) == entry["stretch"]]
    return {name: np.array([int(row[name]) for row in rows]) for name in entry["channels"]}


def from_parquet(path: Path, entry: dict[str, Any]) -> dict[str, NDArray[Any]]:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    table = table.filter(pc.equal(table["stretch"], entry["stretch"]))
    return {name: table[name].to_numpy() for name in entry["channels"]}


def from_wfdb(path: Path, entry: dict[str, Any]) -> dict[str, NDArray[Any]]:
    import wfdb

    record = wfdb.rdrecord(str(path.with_suffix("")), physical=False)
    assert record.sig_name == entry["channels"]
    return {name: record.d_signal[:, place] for place, name in enumerate(record.sig_name)}


def from_edf(path: Path, entry: dict[str, Any]) -> dict[str, NDArray[Any]]:
    import edfio

    file = (edfio.read_edf if path.suffix == ".edf" else edfio.read_bdf)(path)
    # EDF has whole data records only: what fills the last one is annotated, and the manifest has the number.
    return {signal.label: signal.digital[: entry["samples"]] for signal in file.signals}


FORMATS: dict[str, ReadBack] = {"csv": from_csv, "parquet": from_parquet, "wfdb": from_wfdb, "edf": from_edf}


def exported(made: Walk, target: Path, form: str, **options: Any) -> Export:
    with made.registry() as registry:
        return export(Reader(made.path, registry), target, form, **options)


@pytest.mark.parametrize("form", FORMATS)
def test_reads_back_to_the_same_integers(form: str, tmp_path: Path) -> None:
    """Each stretch of each stream comes back, sample by sample, what was signed; no stretch is missing or added."""
    made = walk(tmp_path / "walk.vwc")
    done = exported(made, tmp_path / "out", form)
    manifest = json.loads((tmp_path / f"out.{form}.json").read_text())
    back: dict[str, list[NDArray[Any]]] = {name: [] for name in RATES}
    for entry in manifest["stretches"]:
        read = FORMATS[form](tmp_path / entry["file"], entry)
        assert {len(values) for values in read.values()} == {entry["samples"]}
        for name, values in read.items():
            back[name].append(values)
    for name, expected in made.stretches.items():
        assert len(back[name]) == len(expected) == 3
        assert all(np.array_equal(one, other) for one, other in zip(back[name], expected, strict=True))
    assert done.samples == sum(len(each) for expected in made.stretches.values() for each in expected)
    assert all(file.exists() for file in done.files)


def test_manifest_tells_gaps_and_marks(tmp_path: Path) -> None:
    """The manifest says why each stretch begins, how many samples are invalid, and what the verdict misses."""
    made = walk(tmp_path / "walk.vwc")
    exported(made, tmp_path / "out", "csv")
    manifest = json.loads((tmp_path / "out.csv.json").read_text())
    ecg = [entry for entry in manifest["stretches"] if entry["channels"] == ["ecg_lead_i"]]
    assert [entry["after"] for entry in ecg] == ["the beginning", "missing frames", "a reboot"]
    assert ecg[0]["invalid"] == {"ecg_lead_i": 412 + 50}
    assert manifest["verdict"]["missing"] == 2
    assert manifest["verdict"]["burned"] == 2
    assert not manifest["verdict"]["complete"]
    assert abs(ecg[0]["start_utc"] - BEGAN_US / 1e6) < 0.1
    assert float({each["name"]: each["scale"] for each in manifest["channels"]}["ecg_lead_i"]) == made.scale(
        "ecg_lead_i"
    )


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_tables_mark_samples_and_keep_events(form: str, tmp_path: Path) -> None:
    """A sample under a mark says so in its row, others do not; events and single readings have files of their own."""
    made = walk(tmp_path / "walk.vwc")
    exported(made, tmp_path / "out", form)

    def column(file: str, name: str) -> list[Any]:
        if form == "parquet":
            import pyarrow.parquet as pq

            return pq.read_table(tmp_path / f"out-{file}.parquet")[name].to_pylist()
        with open(tmp_path / f"out-{file}.csv", newline="") as table:
            return [row[name] for row in csv.DictReader(table)]

    marks = column("ecg_lead_i", "ecg_lead_i_mark")
    ((_, _, start, length),) = MARKED[1]
    assert [i for i, mark in enumerate(marks) if mark] == list(range(512 + start, 512 + start + length + 50))
    assert set(marks) == {"", "LEAD_OFF"}
    accel = column("accel", "accel_y_mark")
    assert [i for i, mark in enumerate(accel) if mark] == [2 * 104 + 3]
    assert column("events", "event") == ["LEAD_ON", "BOOT"]
    assert [int(count) for count in column("readings", "counts")] == [
        8192 + place for place in range(12) if place not in (4, 5)
    ]
    values = [float(value) for value in column("ecg_lead_i", "ecg_lead_i_value")]
    counts = [int(count) for count in column("ecg_lead_i", "ecg_lead_i")]
    assert np.allclose(values, np.array(counts) * made.scale("ecg_lead_i"), rtol=1e-9, atol=0)


def test_wfdb_annotates_marks_and_keeps_the_rate(tmp_path: Path) -> None:
    """Marks are annotations at their sample, a run over two frames is one; physical values and the time are right."""
    import wfdb

    made = walk(tmp_path / "walk.vwc")
    exported(made, tmp_path / "out", "wfdb")
    found = wfdb.rdann(str(tmp_path / "out-ecg_lead_i-0001"), "atr")
    assert found.sample.tolist() == [512 + 100]
    assert found.symbol == ["~"]
    assert found.aux_note[0].rstrip("\0") == "LEAD_OFF ecg_lead_i 462"
    record = wfdb.rdrecord(str(tmp_path / "out-ecg_lead_i-0001"))
    assert np.allclose(record.p_signal[:, 0], made.stretches["ecg_lead_i"][0] * made.scale("ecg_lead_i"), rtol=1e-6)
    assert (record.units, record.fs) == (["mV"], 256)
    assert abs(record.base_datetime.timestamp() - record.base_datetime.replace(microsecond=0).timestamp()) < 1


def test_edf_annotates_marks_and_fill(tmp_path: Path) -> None:
    """EDF+ keeps counts of 16 bits and marks as annotations; wider counts go to BDF+."""
    import edfio

    made = walk(tmp_path / "walk.vwc")
    exported(made, tmp_path / "out", "edf")
    ecg = edfio.read_edf(tmp_path / "out-ecg_lead_i-0001.edf")
    texts = {note.text: (note.onset, note.duration) for note in ecg.annotations}
    assert texts["LEAD_OFF ecg_lead_i"] == pytest.approx((612 / 256, 462 / 256))
    assert ecg.reserved.startswith("EDF+C")
    assert ecg.signals[0].physical_dimension == "mV"
    wide = edfio.read_bdf(tmp_path / "out-ppg-0001.bdf")
    assert max(wide.signals[0].digital) > 1 << 16
    assert not (tmp_path / "out-ppg-0001.edf").exists()
    accel = edfio.read_edf(tmp_path / "out-accel-0001.edf")
    assert np.allclose(
        accel.signals[0].data[:100], made.stretches["accel_x"][0][:100] * made.scale("accel_x"), atol=1e-3
    )


@pytest.mark.parametrize("rate", [0.981132, 1.0000213, 25.0007, 255.99123])
def test_edf_holds_long_stretches_of_any_rate(tmp_path: Path, rate: float) -> None:
    """Hours at the rate a chip had are whole data records of the duration in the header, the counts unchanged."""
    import edfio

    from vitalwire.export.edf import names, save
    from vitalwire.export.files import Files
    from vitalwire.export.stretches import Stretch
    from vitalwire.export.whole import Gathered
    from vitalwire.frame import parse

    body = parse(FakeDevice().descriptor()).body
    assert body is not None
    stretch = Stretch(body, 0, 1, "the beginning", 1, 1)
    channels = tuple(replace(channel, rate=Fraction(rate)) for channel in stretch.channels)
    stretch = replace(stretch, descriptor=replace(body, channels=channels))
    for hours in (0.3, 1.7, 4.2):
        counts = np.arange(int(3600 * hours * rate), dtype=np.int32)[:, None] % 999 * np.ones(len(channels), np.int32)
        gathered = Gathered(stretch, [counts], samples=len(counts))
        with Files(tmp_path / f"{hours}", "", "edf", overwrite=False) as files:
            made = names(files, gathered)
            save(made, gathered)
        read = edfio.read_edf(tmp_path / made[0].name)
        assert np.array_equal(read.signals[0].digital[: len(counts)], counts[:, 0])
        assert read.num_data_records * read.data_record_duration == pytest.approx(3600 * hours, abs=3)
        assert len(read.signals[0].digital) - len(counts) < rate + 1


def extreme(path: Path, samples: list[int]) -> Walk:
    """Return a capture of one frame of acceleration."""
    device = FakeDevice()
    with Writer(path) as writer:
        writer.write(device.descriptor())
        writer.write(device.data(dict.fromkeys(("accel_x", "accel_y", "accel_z"), samples)))
    return Walk(path, device)


@pytest.mark.parametrize("form", FORMATS)
def test_extremes_of_a_channel_survive(form: str, tmp_path: Path) -> None:
    """The lowest count of 16 bits, which WFDB's format 16 keeps for "no sample", comes back; so does one alone."""
    for number, samples in enumerate(([-32768, 32767, 0], [-32768])):
        made = extreme(tmp_path / f"{number}.vwc", samples)
        done = exported(made, tmp_path / f"out{number}", form)
        (entry,) = done.manifest["stretches"]  # type: ignore[misc]
        read = FORMATS[form](tmp_path / entry["file"], entry)
        assert read["accel_x"].tolist() == samples


@pytest.mark.parametrize("form", ["wfdb", "edf"])
def test_long_stretches_are_cut(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What must be held in memory is bounded: a longer stretch goes on in the next record, no sample lost."""
    monkeypatch.setattr(stretches_module, "MAX_SAMPLES", 1000)
    made = walk(tmp_path / "walk.vwc")
    done = exported(made, tmp_path / "out", form)
    entries = [each for each in done.manifest["stretches"] if each["channels"] == ["ecg_lead_i"]]  # type: ignore[attr-defined]
    assert max(entry["samples"] for entry in entries) <= 1000
    assert "its length" in {entry["after"] for entry in entries}
    back = np.concatenate([FORMATS[form](tmp_path / entry["file"], entry)["ecg_lead_i"] for entry in entries])
    assert np.array_equal(back, np.concatenate(made.stretches["ecg_lead_i"]))


def test_a_pause_of_the_sensor_ends_a_stretch(tmp_path: Path) -> None:
    """Samples that come later than their number says are not joined to those before, though no frame is missing."""
    device = FakeDevice()
    samples = {"ecg_lead_i": np.arange(512)}
    with Writer(tmp_path / "a.vwc") as writer:
        writer.write(device.descriptor())
        writer.write(device.data(samples))
        writer.write(device.data(samples))
        device.ticks += 700_000
        writer.write(device.data(samples))
    done = exported(Walk(tmp_path / "a.vwc", device), tmp_path / "out", "csv")
    entries: list[Any] = done.manifest["stretches"]  # type: ignore[assignment]
    assert [(entry["samples"], entry["after"]) for entry in entries] == [
        (1024, "the beginning"),
        (512, "a pause of the sensor"),
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_a_pause_that_is_told_ends_every_stretch(form: str, tmp_path: Path) -> None:
    """However short for a slow channel, also where the next is told before the data between; and nothing is missing."""
    *fast, slow = FakeDevice().channels
    device = FakeDevice(channels=[*fast, replace(slow, stream=3, rate=Fraction(1))])
    with Writer(tmp_path / "a.vwc") as writer:
        writer.write(device.descriptor())
        writer.write(device.sampled())
        writer.write(device.events((Event.PAUSE_BEGUN, {})))
        for _ in range(2):
            device.ticks += 1_000_000
            writer.write(device.events((Event.PAUSE_ENDED, {})))
            device.ticks += 2_000_000
            writer.write(device.events((Event.PAUSE_BEGUN, {})))
            device.ticks -= 2_000_000
            writer.write(device.sampled())
    done = exported(Walk(tmp_path / "a.vwc", device), tmp_path / "out", form)
    entries: list[Any] = done.manifest["stretches"]  # type: ignore[assignment]
    assert len(entries) == 3 * 4
    temperature = [each for each in entries if each["channels"] == ["temperature_skin"]]
    assert [(each["samples"], each["after"]) for each in temperature] == [
        (2, "the beginning"),
        (2, "a pause of the sensor"),
        (2, "a pause of the sensor"),
    ]
    for each in entries:
        read = FORMATS[form](tmp_path / each["file"], each)
        assert {len(values) for values in read.values()} == {each["samples"]}
    verdict: Any = done.manifest["verdict"]
    assert verdict["complete"]
    assert verdict["missing"] == 0


def test_a_frame_that_does_not_decode_is_told(tmp_path: Path) -> None:
    """A signed frame with a spoiled block is left out, named in the manifest, and nothing is joined over it."""
    device = FakeDevice()
    with Writer(tmp_path / "a.vwc") as writer:
        writer.write(device.descriptor())
        writer.write(device.sampled())
        writer.write(device.make(Kind.DATA, {Key.BLOCKS: b"\x05\xff"}))
        spoiled = device.seq
        writer.write(device.sampled())
    done = exported(Walk(tmp_path / "a.vwc", device), tmp_path / "out", "csv")
    assert done.manifest["undecodable_frames"] == [spoiled]
    ecg = [each for each in done.manifest["stretches"] if each["channels"] == ["ecg_lead_i"]]  # type: ignore[attr-defined]
    assert [entry["after"] for entry in ecg] == ["the beginning", "a frame that does not decode"]
    assert BlockError.exit_code == 3


def test_another_descriptor_gets_a_file_of_its_own(tmp_path: Path) -> None:
    """When a stream has other channels after an update, its rows do not go under the old header."""
    device = FakeDevice()
    with Writer(tmp_path / "a.vwc") as writer:
        writer.write(device.descriptor())
        writer.write(device.data({"ecg_lead_i": [1, 2, 3]}))
        other = FakeDevice(
            channels=[replace(device.channels[0], bits=20), *device.channels[1:]], private_key=device.private_key
        )
        other.seq, other.digest, other.ticks = device.seq, device.digest, device.ticks
        writer.write(other.descriptor())
        writer.write(other.data({"ecg_lead_i": [4, 5, 6]}))
    done = exported(Walk(tmp_path / "a.vwc", device), tmp_path / "out", "csv")
    assert [file.name for file in done.files if "ecg" in file.name] == ["out-ecg_lead_i.csv", "out-ecg_lead_i-2.csv"]
    with open(tmp_path / "out-ecg_lead_i-2.csv", newline="") as file:
        assert [int(row["ecg_lead_i"]) for row in csv.DictReader(file)] == [4, 5, 6]


def test_nothing_is_overwritten_or_left_half(tmp_path: Path) -> None:
    """Files that are there stop an export and stay as they are, nothing else is left behind; `overwrite` goes on."""
    made = walk(tmp_path / "walk.vwc")
    (tmp_path / "out-ppg.csv").write_text("mine")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match="there already"):
        exported(made, tmp_path / "out", "csv")
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "out-ppg.csv").read_text() == "mine"
    exported(made, tmp_path / "out", "csv", overwrite=True)
    assert "ppg_red" in (tmp_path / "out-ppg.csv").read_text()


def test_a_failed_export_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an overwriting export fails half way, every older file is as it was and nothing is added."""
    made = walk(tmp_path / "walk.vwc")
    exported(made, tmp_path / "out", "csv")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vitalwire.export._manifest", full)  # the last thing that is made
    with pytest.raises(OSError, match="No space"):
        exported(made, tmp_path / "out", "csv", overwrite=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("form", FORMATS)
def test_workers_change_nothing(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are the same byte for byte with workers and without, also where rows are rendered a few at a time."""
    monkeypatch.setattr("vitalwire.export.tables.BATCH", 1000)
    made = walk(tmp_path / "walk.vwc")
    for name in ("alone", "together"):
        (tmp_path / name).mkdir()
    exported(made, tmp_path / "alone", form)
    with Crew(2) as crew:
        exported(made, tmp_path / "together", form, crew=crew)
    files = [sorted((tmp_path / name).iterdir()) for name in ("alone", "together")]
    assert [file.name for file in files[0]] == [file.name for file in files[1]] != []
    assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]


def test_a_folder_takes_the_captures_name(tmp_path: Path) -> None:
    """Files in a folder are named after the capture, and a suffix of the target does not become part of names."""
    made = walk(tmp_path / "walk.vwc")
    (tmp_path / "folder").mkdir()
    names = {file.name for file in exported(made, tmp_path / "folder", "csv").files}
    assert {"walk.csv.json", "walk-ppg.csv"} <= names
    names = {file.name for file in exported(made, tmp_path / "other.csv", "csv").files}
    assert {"other.csv.json", "other-ppg.csv"} <= names


def test_formats_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown format and one whose library is not installed are said in one line that names what to do."""
    made = walk(tmp_path / "walk.vwc")
    with pytest.raises(UsageError, match="no format 'xls'"):
        exported(made, tmp_path / "out", "xls")
    monkeypatch.setitem(sys.modules, "edfio", None)
    monkeypatch.delitem(sys.modules, "vitalwire.export.edf", raising=False)
    with pytest.raises(UsageError, match="edf needs edfio") as refused:
        exported(made, tmp_path / "out", "edf")
    assert "vitalwire[export]" in refused.value.advice


def test_only_verified_frames_are_exported(tmp_path: Path) -> None:
    """A forged frame between good ones is not in the export, which says that one was refused."""
    from vitalwire.testing import forged

    device = FakeDevice()
    good = [device.data({"ecg_lead_i": [place] * 512}) for place in range(3)]
    with Writer(tmp_path / "a.vwc") as writer:
        for raw in (device.descriptor(), good[0], forged(good[1]), good[2]):
            writer.write(raw)
    with Registry() as registry:
        registry.enrol(device.thumbprint, "one")
        done = export(Reader(tmp_path / "a.vwc", registry), tmp_path / "out", "csv")
    with open(tmp_path / "out-ecg_lead_i.csv", newline="") as file:
        assert {int(row["ecg_lead_i"]) for row in csv.DictReader(file)} == {0, 2}
    assert done.manifest["verdict"]["refused"] == {"forged": 1}  # type: ignore[index]
