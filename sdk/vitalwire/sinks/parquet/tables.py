"""Entries as tables and files: which file an entry belongs to, what a row is, how two tables become one. No I/O.

A file's name follows from the frame alone (date, device, number), so that the same frame, delivered again in another
batch, after a restart or by another spool, comes to the same file; rows are united by digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from vitalwire.spool import Entry

from ..forms import JSON_TYPE, Message, utc

SCHEMA = pa.schema(
    [
        pa.field("digest", pa.binary(32), nullable=False),
        pa.field("thumbprint", pa.binary(32), nullable=False),
        pa.field("kind", pa.int16(), nullable=False),
        pa.field("boot", pa.int64(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("time", pa.timestamp("us", "UTC")),
        pa.field("accuracy_us", pa.int64()),
        pa.field("arrived", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("trust", pa.string(), nullable=False),
        pa.field("frame", pa.binary(), nullable=False),
        pa.field("event", pa.string()),
    ]
)


def file_of(entry: Entry, frames: int) -> str:
    """Return the file of an entry, `frames` numbers of one device and one day in each; hive's names for folders."""
    moment = utc(entry.time_us) or utc(entry.arrived_us)
    date = "unknown" if moment is None else f"{moment:%Y-%m-%d}"
    first = entry.seq - entry.seq % frames
    return f"date={date}/device={quote(entry.device, safe='')}/{entry.thumbprint.hex()[:16]}-{first:010}.parquet"


def table_of(messages: Sequence[tuple[Entry, Message]]) -> pa.Table:
    """Return entries as rows; `event` is the JSON, if that is what a message is."""
    rows = [
        {
            "digest": entry.digest,
            "thumbprint": entry.thumbprint,
            "kind": int(entry.kind),
            "boot": entry.boot,
            "seq": entry.seq,
            "time": utc(entry.time_us),
            "accuracy_us": entry.accuracy_us,
            "arrived": utc(entry.arrived_us),
            "trust": entry.trust.value,
            "frame": entry.raw,
            "event": message.body.decode() if message.content_type == JSON_TYPE else None,
        }
        for entry, message in messages
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def united(older: bytes | None, newer: pa.Table) -> bytes | None:
    """Return a file of both, rows by number and each digest once; None if there is nothing new.

    Raises ValueError (pyarrow's are some) where what is there is no file of ours.
    """
    before = SCHEMA.empty_table() if older is None else pq.read_table(pa.BufferReader(older)).cast(SCHEMA)
    seen = set(before["digest"].to_pylist())
    fresh = []
    for digest in newer["digest"].to_pylist():
        fresh.append(digest not in seen)
        seen.add(digest)
    if not any(fresh):
        return None
    both = pa.concat_tables([before, newer.filter(pa.array(fresh))]).sort_by(
        [("seq", "ascending"), ("digest", "ascending")]
    )
    out = pa.BufferOutputStream()
    pq.write_table(both, out, compression="zstd")
    data: bytes = out.getvalue().to_pybytes()
    return data
