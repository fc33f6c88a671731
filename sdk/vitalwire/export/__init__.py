"""Exports: one device's verified samples in the formats of others, each sample's count unchanged, nothing filled in.

Reader(path, registry) -> frames -> stretches -> files beginning with TARGET, and TARGET.FORMAT.json, which says what is
in them, what is missing between them and what was refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from vitalwire.client import VerifiedFrame
from vitalwire.crew import Crew
from vitalwire.errors import UsageError
from vitalwire.offline import Reader
from vitalwire.verdict import DeviceVerdict, device_as_dict

from .files import Files
from .rows import describe, details, event_name
from .stretches import Begin, Part, Splitter, Stretch

__all__ = ["FORMATS", "Export", "details", "event_name", "export"]

# What a format needs beside the SDK, all of it in the extra `export`; the module of its name has `writer(files, crew)`.
FORMATS = {"csv": "", "parquet": "pyarrow", "wfdb": "wfdb", "edf": "edfio"}


class Writer(Protocol):
    """Writes parts in some format."""

    def write(self, part: Part) -> None:
        """Write one part; sets `Stretch.file` when it is known."""

    def close(self) -> None:
        """Complete all files."""


@dataclass(frozen=True, slots=True)
class Export:
    """What was written: `files` in order, `samples` of all channels together, `manifest` as it stands in the file."""

    files: tuple[Path, ...]
    stretches: tuple[Stretch, ...]
    samples: int
    verdict: DeviceVerdict
    manifest: dict[str, object]


def export(
    reader: Reader,
    target: str | Path,
    form: str,
    *,
    device: str | None = None,
    overwrite: bool = False,
    crew: Crew | None = None,
    progress: Callable[[int], None] | None = None,
) -> Export:
    """Write one device's samples as `form`, one of FORMATS, into files beginning with `target`.

    The workers of `crew` render what is to be written; `progress` hears the number of frames read. Raises
    UsageError for an unknown or not installed format, a device that is not there, or files that are: files appear, all
    of them, when everything is written, and nothing is changed before.
    """
    make = _writer(form)
    chosen = reader.device(device)
    splitter, stretches = Splitter(), list[Stretch]()
    with Files(Path(target), reader.files[0].stem, form, overwrite=overwrite) as files:
        manifest = files.name("", ".json", beside=True)
        with closing(make(files, crew)) as writer:
            for part in splitter.split(_watched(reader, chosen.thumbprint, progress)):
                writer.write(part)
                if isinstance(part, Begin):
                    stretches.append(part.stretch)
        verdict = next(each for each in reader.verdict.devices if each.device == chosen.thumbprint)
        said = _manifest(form, reader, verdict, splitter, stretches)
        manifest.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    samples = sum(stretch.samples * len(stretch.channels) for stretch in stretches)
    return Export(tuple(files.made), tuple(stretches), samples, verdict, said)


def _writer(form: str) -> Callable[[Files, Crew | None], Writer]:
    if form not in FORMATS:
        raise UsageError(f"no format {form!r}", advice=f"there are {', '.join(FORMATS)}")
    try:
        module = import_module(f"{__name__}.{form}")
    except ImportError:
        raise UsageError(f"{form} needs {FORMATS[form]}", advice='pip install "vitalwire[export]"') from None
    make: Callable[[Files, Crew | None], Writer] = module.writer
    return make


def _watched(reader: Reader, device: bytes, progress: Callable[[int], None] | None) -> Iterator[VerifiedFrame]:
    for frame in reader.frames(device):
        if progress is not None:
            progress(reader.read)
        yield frame


def _manifest(
    form: str, reader: Reader, verdict: DeviceVerdict, splitter: Splitter, stretches: Iterable[Stretch]
) -> dict[str, object]:
    channels = {channel.name: channel for stretch in stretches for channel in stretch.descriptor.channels}
    return {
        "source": [file.name for file in reader.files],
        "format": form,
        "verdict": device_as_dict(verdict),
        "undecodable_frames": splitter.spoiled,
        "channels": [describe(channel) for channel in channels.values()],
        "stretches": [_described(stretch) for stretch in stretches],
    }


def _described(stretch: Stretch) -> dict[str, object]:
    return {
        "file": stretch.file,
        "stretch": stretch.number,
        "channels": [channel.name for channel in stretch.channels],
        "after": stretch.why,
        "boot": stretch.boot,
        "first_seq": stretch.first_seq,
        "last_seq": stretch.last_seq,
        "samples": stretch.samples,
        "invalid": stretch.invalid,
        "rate_hz": stretch.rate,
        "start_utc": None if math.isnan(stretch.start) else stretch.start,
    }
