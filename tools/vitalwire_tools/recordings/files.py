"""Reads a recording of the user's own: .npy of integers (samples x channels), CSV, or a WFDB record."""

from __future__ import annotations

import csv
import warnings
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np

from vitalwire.errors import InputError, UsageError
from vitalwire_protocol import spec

from .model import Recording

TIME = ("t", "time", "timer", "timestamp", "date", "datetime", "index", "sample")


def load_file(path: Path, rate: float | None = None) -> list[Recording]:
    """Return the channels of a file, each in the fewest bits that hold it; `rate` in Hz, which WFDB knows itself.

    CSV: one channel a column, with or without a row of names; columns of time, and those that are not numbers, are left
    out; decimals become integers by the power of ten that needs. Raises `UsageError` for a kind of file that is not
    known, a missing rate or library, `InputError` for what is not integers of at most 24 bits.
    """
    kind = path.suffix.lower()
    if kind in {".hea", ".dat"} or (not kind and path.with_suffix(".hea").exists()):
        columns, rate = _wfdb(path, rate)
    elif kind == ".npy":
        columns = _npy(path)
    elif kind in {".csv", ".tsv", ".txt"}:
        columns = _csv(path)
    else:
        raise UsageError(f"{path.name}: not a .npy, CSV or WFDB file")
    if not rate or rate <= 0:
        raise UsageError(f"{path.name} does not say how many samples a second it has", advice="Give --rate.")
    return [_recording(path, name, values, rate) for name, values in columns.items()]


def _recording(path: Path, name: str, values: Any, rate: float) -> Recording:
    if not len(values):
        raise InputError(f"{path.name} has no samples")
    low, high = int(values.min()), int(values.max())
    bits = max(1, 1 + max((-low - 1 if low < 0 else low).bit_length(), (high if high >= 0 else -high - 1).bit_length()))
    if bits > spec.Limit.MAX_BITS:
        raise InputError(f"{path.name} {name} needs {bits} bits a sample; {spec.Limit.MAX_BITS} are possible")
    return Recording(f"{path.name} {name}".strip(), values.astype(np.int32), bits, rate, str(path))


def _npy(path: Path) -> dict[str, Any]:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} is not a .npy file: {error}") from None
    if values.dtype.kind not in "iu" or values.ndim not in {1, 2}:
        raise InputError(f"{path.name} has {values.dtype} of shape {values.shape}, not integers, samples x channels")
    values = values[:, None] if values.ndim == 1 else values
    single = values.shape[1] == 1
    return {"" if single else str(index): values[:, index] for index in range(values.shape[1])}


def _csv(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        dialect = (
            csv.Sniffer().sniff("\n".join(lines[:20]), ",;\t ") if any(c in lines[0] for c in ",;\t ") else csv.excel
        )
    except (OSError, UnicodeDecodeError, IndexError, csv.Error) as error:
        raise InputError(f"{path.name} is not a CSV file: {error}") from None
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, dialect)]
    named = not all(_number(cell) for cell in rows[0] if cell)
    names = rows.pop(0) if named else [str(index) for index in range(len(rows[0]))]
    found = {}
    for index, name in enumerate(names):
        cells = [_number(row[index]) if index < len(row) else None for row in rows]
        if name.lower() not in TIME and cells and None not in cells:
            found[name if named or len(names) > 1 else ""] = _scaled(path, [cell for cell in cells if cell is not None])
    if not found:
        raise InputError(f"{path.name} has no column of numbers")
    return found


def _number(cell: str) -> Decimal | None:
    try:
        number = Decimal(cell)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _scaled(path: Path, numbers: list[Decimal]) -> Any:
    """Return numbers as integers: times the power of ten that their longest fraction needs."""
    places = max(max(0, -int(number.normalize().as_tuple().exponent)) for number in numbers)
    scaled = [int(number.scaleb(places)) for number in numbers]
    if max(map(abs, scaled)) >= 1 << spec.Limit.MAX_BITS:
        raise InputError(f"{path.name} needs more than {spec.Limit.MAX_BITS} bits a sample to be kept exactly")
    return np.array(scaled)


def _wfdb(path: Path, rate: float | None) -> tuple[dict[str, Any], float]:
    try:
        import wfdb
    except ImportError:
        raise UsageError("WFDB records need the package wfdb", advice="pip install 'vitalwire[export]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # wfdb's own affair
            record = wfdb.rdrecord(str(path.with_suffix("")), physical=False)
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"{path.name} is not a WFDB record: {error}") from None
    columns = {name: record.d_signal[:, index] for index, name in enumerate(record.sig_name)}
    return columns, float(rate or record.fs)
