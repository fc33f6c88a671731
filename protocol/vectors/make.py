"""Make a set of locked vectors, once and by hand: `python make.py NUMBER`. It refuses to overwrite: they are locked.

Imports nothing of vitalwire; what the lines say stands in `making`, one subject a file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from making import calibration, durable, first, policies
from making.independent import Vector

# What each set is about: `accepted()`, and `refused` by damaging it.
SETS = {1: first, 2: policies, 3: calibration, 4: durable}


def write(name: str, number: int, lines: list[Vector]) -> None:
    """Write a file, if it is not there."""
    assert len({line["name"] for line in lines}) == len(lines)
    path = Path(__file__).with_name(f"{name}.jsonl" if number == 1 else f"{name}-{number}.jsonl")
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def main(number: int) -> None:
    """Write both files of a set."""
    accepted = list(SETS[number].accepted())
    write("accepted", number, accepted)
    write(
        "refused", number, list(SETS[number].refused({line["name"]: bytes.fromhex(line["hex"]) for line in accepted}))
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
