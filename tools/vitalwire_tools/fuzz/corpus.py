"""What fuzzing begins with: the bytes of the vectors, by what they are; none where there is no checkout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).resolve().parents[3] / "protocol" / "vectors"


@cache
def _lines() -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(VECTORS.glob("*.jsonl")) for line in file.read_text().splitlines()]


def vectors(what: str) -> Iterator[tuple[bytes, Any]]:
    """Yield (bytes, key) of the vectors of one kind, accepted ones first; `key` as it stands in the file."""
    for line in _lines():
        if line["what"] == what:
            yield bytes.fromhex(line["hex"]), line["key"]


def raw(*whats: str) -> list[bytes]:
    """Return the bytes of the vectors of some kinds."""
    return [data for what in whats for data, _ in vectors(what)]
