"""All that goes into a chip's flash, as one file: MicroPython as it was downloaded, the firmware, an identity."""

from __future__ import annotations

from .build import Image, build
from .device import device_files
from .stock import Stock, read_stock

__all__ = ["Image", "Stock", "build", "device_files", "read_stock"]
