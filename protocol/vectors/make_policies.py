"""Make `accepted-2.jsonl` and `refused-2.jsonl`, once and by hand. It refuses to overwrite: the vectors are locked.

Imports nothing of vitalwire; what the lines say stands in `making/policies.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from making import policies


def write(name: str, lines: list[dict[str, Any]]) -> None:
    """Write a file, if it is not there."""
    assert len({line["name"] for line in lines}) == len(lines)
    with Path(__file__).with_name(name).open("x", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def main() -> None:
    """Write both files."""
    accepted = list(policies.accepted())
    write("accepted-2.jsonl", accepted)
    write("refused-2.jsonl", list(policies.refused({line["name"]: bytes.fromhex(line["hex"]) for line in accepted})))


if __name__ == "__main__":
    main()
