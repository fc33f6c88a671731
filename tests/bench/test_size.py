"""The size benchmark and the readers of recordings."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tests.blocks import excerpts

from vitalwire.errors import InputError, UsageError
from vitalwire_tools.bench import size
from vitalwire_tools.recordings import load_file

flac = pytest.mark.skipif(shutil.which("flac") is None, reason="needs flac (Debian package flac)")


@flac
def test_size_reports_what_its_tables_show(tmp_path: Path) -> None:
    """Two channels of a .npy give each its sizes, the ratio to FLAC and the cost of each block length; all is shown."""
    names = ["ecg, MIT-BIH 208", "temperature"]
    np.save(tmp_path / "two.npy", np.stack([excerpts()[name][0] for name in names], axis=1))
    result = size.run([tmp_path / "two.npy"], rate=360, lengths=(2.0, 0.5))
    first, second = result["recordings"]
    assert [first["name"], second["name"]] == ["two.npy 0", "two.npy 1"]
    for each in (first, second):
        assert each["samples"] == 1024
        assert 0 < each["side_bits"] < each["bits"] < each["raw_bits"]
        assert {"flac_bits", "xz_bits", "zlib_bits"} <= each.keys()
        assert each["lengths"] == {"2.0": each["bits"], "0.5": each["lengths"]["0.5"]}
    assert first["blocks"] == 2
    assert result["excess_bytes"] <= 0
    assert result["total_ratio"] == (first["bits"] + second["bits"]) / (first["flac_bits"] + second["flac_bits"])
    assert result["worst_ratio"] >= result["total_ratio"]
    short, long = result["costs"]
    assert [short["seconds"], long["seconds"]] == [short["lost_most"], long["latency_most"]] == [0.5, 2.0]
    assert (short["latency_mean"], long["lost_mean"], short["signatures_per_hour"]) == (0.25, 1.0, 7200)
    assert short["bits_per_sample"] * 2048 == sum(each["lengths"]["0.5"] for each in (first, second))
    assert short["ratio"] > long["ratio"] == result["total_ratio"]
    shown = io.StringIO()
    for table in size.render(result):
        Console(file=shown, width=140).print(table)
    assert "two.npy 1" in shown.getvalue()
    assert f"{first['bits'] / 1024:.2f}" in shown.getvalue()
    assert "0.5 s" in shown.getvalue()


def test_noise_is_at_most_a_little_above_raw() -> None:
    """Blocks of full-scale noise stay within 1 % and 4 bytes of raw samples, heads included, for short blocks too."""
    rng = np.random.default_rng(8)
    for bits in (1, 8, 11, 16, 24):
        noise = rng.integers(-(1 << bits - 1), 1 << bits - 1, 700).astype(np.int32)
        for seconds in (0.01, 0.02, 0.05, 1, 7):
            recording = size.Recording("noise", noise, bits, 100)
            assert size.blocks_bits(recording, seconds)["excess_bytes"] <= 0


def test_csv_columns_become_integers(tmp_path: Path) -> None:
    """Names are read where there are any, time is left out, decimals are scaled to integers, bits are those needed."""
    path = tmp_path / "some.csv"
    path.write_text("time,ecg,temp,note\n0.00,-3,36.50,a\n0.01,4,36.6,b\n0.02,-5,36.72,c\n")
    ecg, temp = load_file(path, 100)
    assert (ecg.name, ecg.samples.tolist(), ecg.bits, ecg.rate) == ("some.csv ecg", [-3, 4, -5], 4, 100)
    assert (temp.samples.tolist(), temp.bits) == ([3650, 3660, 3672], 13)
    path.write_text("530\n518\n-506\n")
    (only,) = load_file(path, 100)
    assert (only.name, only.samples.tolist(), only.bits) == ("some.csv", [530, 518, -506], 11)


@pytest.mark.filterwarnings("ignore")  # wfdb's own
def test_wfdb_records_give_their_own_rate(tmp_path: Path) -> None:
    """A WFDB record is read as the converter's integers, with or without its ending."""
    wfdb = pytest.importorskip("wfdb", reason="needs wfdb (pip install 'vitalwire[export]')")
    x = excerpts()["ecg, MIT-BIH 208"][0]
    signal = np.stack([x, -x], axis=1)
    wfdb.wrsamp(
        "rec",
        360,
        ["mV"] * 2,
        ["a", "b"],
        d_signal=signal,
        fmt=["16"] * 2,
        adc_gain=[200.0] * 2,
        baseline=[0] * 2,
        write_dir=str(tmp_path),
    )
    for name in ("rec", "rec.hea", "rec.dat"):
        a, b = load_file(tmp_path / name)
        assert (a.rate, a.name) == (360, f"{name} a")
        assert np.array_equal(a.samples, x)
        assert np.array_equal(b.samples, -x)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.npy", b"no array", InputError),
        ("a.csv", b"", InputError),
        ("a.csv", b"name\nanna\n", InputError),
        ("a.csv", b"0.1\n99999999.9\n", InputError),
        ("a.csv", b"1\ninf\n", InputError),
        ("a.hea", b"nonsense", InputError),
        ("a.wav", b"RIFF", UsageError),
    ],
)
def test_files_that_are_no_recordings_are_refused(tmp_path: Path, name: str, content: bytes, error: type) -> None:
    """What cannot be read as integers is a typed error."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error):
        load_file(tmp_path / name, 100)


def test_arrays_that_are_no_recordings_are_refused(tmp_path: Path) -> None:
    """Floats, three dimensions, too wide integers, emptiness and a missing rate are typed errors."""
    for values in (np.zeros(4), np.zeros((2, 2, 2), int), np.array([1 << 24]), np.zeros(0, int)):
        np.save(tmp_path / "a.npy", values)
        with pytest.raises(InputError):
            load_file(tmp_path / "a.npy", 100)
    np.save(tmp_path / "a.npy", np.zeros(4, int))
    with pytest.raises(UsageError, match="samples a second"):
        load_file(tmp_path / "a.npy")
