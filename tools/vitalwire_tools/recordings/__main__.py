"""`python -m vitalwire_tools.recordings FILE.npz [FOLDER]`: write the excerpts that the tests carry.

From the middle of each published recording 1024 samples, its bits in front of them, unchanged.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from .published import load

SAMPLES = 1024


def main(arguments: list[str]) -> int:
    """Write the excerpts of all recordings, from archives in FOLDER if given."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    excerpts = {}
    for recording in load(Path(arguments[1]) if len(arguments) > 1 else None):
        start = max(0, (len(recording.samples) - SAMPLES) // 2)
        part = recording.samples[start : start + SAMPLES]
        excerpts[recording.name] = np.concatenate([[recording.bits], part]).astype(np.int32)
    np.savez_compressed(arguments[0], **excerpts)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
