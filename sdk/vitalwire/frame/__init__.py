"""Frames as values: `parse` bytes into a `Frame`, cut its blocks into `Readout`s; form only, no trust, no samples."""

from vitalwire.frame.parse import parse
from vitalwire.frame.blocks import readouts

__all__ = ["parse", "readouts"]
