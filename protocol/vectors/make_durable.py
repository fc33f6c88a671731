"""Make `accepted-4.jsonl` and `refused-4.jsonl`, once and by hand. It refuses to overwrite: the vectors are locked.

Imports nothing of vitalwire; what the lines say stands in `making/durable.py`.
"""

from __future__ import annotations

from make_policies import write
from making import durable


def main() -> None:
    """Write both files."""
    write("accepted-4.jsonl", list(durable.accepted()))
    write("refused-4.jsonl", list(durable.refused()))


if __name__ == "__main__":
    main()
