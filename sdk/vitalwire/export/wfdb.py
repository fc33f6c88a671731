"""WFDB (PhysioNet): one record a stretch, marks as annotations of the kind `~` (change in signal quality).

Every chip has an oscillator of its own, so every stream is a record of its own, with the rate its chip had; one record
of several frequencies would have to drop or invent samples.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # wfdb's about pandas are no business of whoever exports
    import wfdb

from vitalwire.crew import Crew

from .files import Files
from .whole import Gathered, Record, RecordWriter

# Format and the lowest sample it can hold: one less stands for a missing sample (signal(5), WFDB manual).
FORMATS = (("16", -(1 << 15) + 1), ("24", -(1 << 23) + 1), ("32", -(1 << 31) + 1))
MAX_FREQUENCY_DIGITS = 9


def names(files: Files, gathered: Gathered) -> list[Path]:
    """Return the names of a record's files: header, signals and, if there are marks, annotations."""
    suffixes = (".hea", ".dat", ".atr") if gathered.marks else (".hea", ".dat")
    return [files.name(gathered.title, suffix) for suffix in suffixes]


def save(names: list[Path], gathered: Gathered) -> None:
    """Write one record."""
    stretch, counts = gathered.stretch, gathered.counts.astype(np.int64)
    low, high = int(counts.min()), int(counts.max())
    form = next(form for form, least in FORMATS if low >= least and high <= -least)
    record, folder = names[0].stem, str(names[0].parent)
    rate = round(stretch.rate, MAX_FREQUENCY_DIGITS)
    # physical = (counts - baseline) / gain; a gain is a decimal number of the header, so it is rounded, counts are not.
    gains = [float(1 / channel.scale.fraction) for channel in stretch.channels]
    zeros = [round(-channel.offset.fraction / channel.scale.fraction) for channel in stretch.channels]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wfdb.wrsamp(
            record,
            fs=rate,
            units=[channel.unit.replace(" ", "_") or "1" for channel in stretch.channels],
            sig_name=[channel.name for channel in stretch.channels],
            d_signal=counts,
            fmt=[form] * len(stretch.channels),
            adc_gain=gains,
            baseline=zeros,
            base_datetime=gathered.began,
            comments=[f"device {stretch.descriptor.thumbprint.hex()} boot {stretch.boot} seq {stretch.first_seq}"],
            write_dir=folder,
        )
        if gathered.marks:
            marks = sorted(gathered.marks)
            wfdb.wrann(
                record,
                "atr",
                sample=np.array([start for start, _, _ in marks]),
                symbol=["~"] * len(marks),
                aux_note=[f"{text} {length}" for _, length, text in marks],
                fs=rate,
                write_dir=folder,
            )


def writer(files: Files, crew: Crew | None) -> RecordWriter:
    """Return the writer of this format."""
    return RecordWriter(files, Record(names, save), crew)
