"""Frames as values: `parse` bytes into a `Frame`, open what it keeps private, cut its blocks into `Readout`s.

Form only, no trust, no samples.
"""

from vitalwire.frame.blocks import readouts
from vitalwire.frame.form import parse
from vitalwire.frame.private import opened

__all__ = ["opened", "parse", "readouts"]
