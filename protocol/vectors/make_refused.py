"""Make `refused.jsonl`, once and by hand: damage what `accepted.jsonl` holds, one fault each, and sign the rest anew.

Imports nothing of vitalwire; what the lines say stands in `making`, one subject a file. It refuses to overwrite.
"""

from __future__ import annotations

import json
from pathlib import Path

from making import blocks, commands, cose, maps, numbers, packets, stored
from making.independent import ALICE

HERE = Path(__file__).parent
DATA = "data with marks and scalars"


def main() -> None:
    """Write the file, if it is not there."""
    accepted = [json.loads(line) for line in (HERE / "accepted.jsonl").read_text(encoding="utf-8").splitlines()]
    bytes_of = {line["name"]: bytes.fromhex(line["hex"]) for line in accepted}
    lines = [
        *numbers.refused(),
        *cose.refused(bytes_of[DATA], ALICE.public),
        *maps.refused(bytes_of, ALICE.public),
        *blocks.refused(),
        *packets.refused(),
        *stored.refused(bytes_of),
        *commands.refused(),
    ]
    assert len({line["name"] for line in lines}) == len(lines)
    with (HERE / "refused.jsonl").open("x", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


if __name__ == "__main__":
    main()
