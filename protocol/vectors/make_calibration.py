"""Make `accepted-3.jsonl` and `refused-3.jsonl`, once and by hand. It refuses to overwrite: the vectors are locked.

Imports nothing of vitalwire; what the lines say stands in `making/calibration.py`.
"""

from __future__ import annotations

from make_policies import write
from making import calibration


def main() -> None:
    """Write both files."""
    write("accepted-3.jsonl", list(calibration.accepted()))
    write("refused-3.jsonl", list(calibration.refused()))


if __name__ == "__main__":
    main()
