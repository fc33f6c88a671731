"""EDF+ (and BDF+, its form for 24 bits, where counts do not fit 16): one file a stretch, marks as annotations.

The digital values are the counts, unchanged. A file holds one stream with the rate its chip had, because every chip has
an oscillator of its own. EDF has whole data records only: the last one is filled up, and an annotation says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import edfio
import numpy as np

from vitalwire.crew import Crew
from vitalwire.messages import Channel

from .files import Files
from .whole import Gathered, Record, RecordWriter


class _Counted:
    """Counts data records by samples: edfio divides durations, which fails by rounding after some half an hour."""

    def _set_num_data_records_with_signals(self: Any, signals: Sequence[Any]) -> None:
        first = signals[0]
        self._set_num_data_records(len(first.digital) // round(first.sampling_frequency * self.data_record_duration))


class _Edf(_Counted, edfio.Edf):
    pass


class _Bdf(_Counted, edfio.Bdf):
    pass


NUMBER = 8  # characters of a number in the header (EDF specification, 1992)
FORMS: dict[str, tuple[Any, Any, Any, tuple[int, int]]] = {
    ".edf": (_Edf, edfio.EdfSignal, np.int16, (-(1 << 15), (1 << 15) - 1)),
    ".bdf": (_Bdf, edfio.BdfSignal, np.int32, (-(1 << 23), (1 << 23) - 1)),
}
YEARS = range(1985, 2085)  # that its date can name


def names(files: Files, gathered: Gathered) -> list[Path]:
    """Return the name of one file, of the form that holds its counts."""
    low, high = gathered.bounds
    suffix = next(suffix for suffix, (*_, (least, most)) in FORMS.items() if least <= low and high <= most)
    return [files.name(gathered.title, suffix)]


def save(names: list[Path], gathered: Gathered) -> None:
    """Write one file."""
    (path,) = names
    stretch, counts = gathered.stretch, gathered.counts
    whole, signal, kind, bounds = FORMS[path.suffix]
    per_record, duration = layout(stretch.rate, len(counts))
    fill = -len(counts) % per_record
    rate = per_record / duration
    annotations = [
        edfio.EdfAnnotation(start / rate, length / rate, text) for start, length, text in sorted(gathered.marks)
    ]
    if fill:
        text = f"the last {fill} samples repeat the one before: the recording ended"
        annotations.append(edfio.EdfAnnotation(len(counts) / rate, fill / rate, text))
        counts = np.concatenate([counts, np.repeat(counts[-1:], fill, axis=0)])
    began = gathered.began
    dated = began if began is not None and began.year in YEARS else None
    signals = [
        signal.from_digital(
            np.ascontiguousarray(counts[:, place], kind),
            rate,
            label=channel.name[:16],
            transducer_type=channel.part[:80],
            physical_dimension=channel.unit[:NUMBER],
            physical_range=physical_range(channel, bounds),
            digital_range=bounds,
            prefiltering=f"value = counts x {channel.scale.mantissa}e{channel.scale.exponent}",
        )
        for place, channel in enumerate(stretch.channels)
    ]
    whole(
        signals,
        recording=edfio.Recording(
            startdate=dated.date() if dated else None, equipment_code=stretch.descriptor.thumbprint.hex()[:16]
        ),
        starttime=dated.time() if dated else None,
        data_record_duration=duration,
        annotations=annotations,
    ).write(path)


def layout(rate: float, count: int) -> tuple[int, float]:
    """Return the samples of a data record and its duration in seconds, which must be a number of 8 characters."""
    per_record = min(max(1, math.ceil(rate)), count)
    return per_record, float(f"{per_record / rate:.{NUMBER - 1}g}"[:NUMBER])


def physical_range(channel: Channel, bounds: tuple[int, int]) -> tuple[float, float]:
    """Return the values at both digital bounds, in 8 characters each: less exact than the scale in `prefiltering`."""
    low, high = (float(channel.offset.fraction + bound * channel.scale.fraction) for bound in bounds)
    return _short(low), _short(high)


def _short(value: float) -> float:
    for digits in range(NUMBER, 0, -1):
        if len(text := f"{value:.{digits}g}") <= NUMBER and "e" not in text:
            return float(text)
    return float(f"{value:.0f}"[:NUMBER])


def writer(files: Files, crew: Crew | None) -> RecordWriter:
    """Return the writer of this format."""
    return RecordWriter(files, Record(names, save), crew)
