"""Frames as values: `parse` bytes into a `Frame`, cut its blocks into `Readout`s; form only, no trust, no samples."""

from vitalwire.frame.blocks import readouts
from vitalwire.frame.form import parse

__all__ = ["parse", "readouts"]
