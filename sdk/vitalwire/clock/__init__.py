"""Sample times: each chip's clock, each device's clock and UTC, joined."""

from __future__ import annotations

from .device import DeviceClock, Pending
from .runs import SampleTimes

__all__ = ["DeviceClock", "Pending", "SampleTimes"]
