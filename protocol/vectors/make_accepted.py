"""Make `accepted.jsonl`, once and by hand: `python make_accepted.py`. It refuses to overwrite: the vectors are locked.

Imports nothing of vitalwire; what the lines say stands in `making`, one subject a file.
"""

from __future__ import annotations

import json
from pathlib import Path

from making import blocks, commands, frames, numbers, packets, stored


def main() -> None:
    """Write the file, if it is not there."""
    history = frames.History()
    lines = [
        *numbers.accepted(),
        *frames.accepted(history),
        *blocks.accepted(),
        *packets.accepted(history.frames),
        *commands.accepted(),
        *stored.accepted(history.frames),
    ]
    assert len({line["name"] for line in lines}) == len(lines)
    with Path(__file__).with_name("accepted.jsonl").open("x", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


if __name__ == "__main__":
    main()
